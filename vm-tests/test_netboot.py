"""A machine without a medium: iPXE loads the installer, the image comes from its registry."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import runtime_image
from conftest import GUEST_HOST
from derive import derive
from guest import boot
from terminal import Terminal, answer, installing

from tests.fixtures.oci import TarBuilder
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm


@contextmanager
def serving(place: Path) -> Iterator[tuple[int, list[str]]]:
    """Serve a directory by HTTP; give the port, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_words: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=place))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def trusting() -> bytes:
    """Return a layer that lets an installer talk to the registry of the tests, which has no TLS."""
    tar = TarBuilder()
    text = f'[[registry]]\nlocation = "{GUEST_HOST}"\ninsecure = true\n'
    tar.file("etc/containers/registries.conf.d/test.conf", text.encode())
    return tar.finish()


@pytest.fixture(scope="module")
def target(served: Registry) -> str:
    return f"{GUEST_HOST}:{served.port}/os:1"


@pytest.fixture(scope="module")
def tree(
    diskgen: Program, served: Registry, target: str, cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """The files of a medium that holds no image."""
    place = tmp_path_factory.mktemp("net")
    served.push(derive(runtime_image.build(cache), place / "installer", trusting()), "net", "1")
    iso = diskgen(
        "iso", f"{served.host}/os:1", "--tls-verify=false", "--target-imgref", target,
        "--installer", f"{served.host}/net:1", "--remote-payload", "--mode", "image",
        "-o", diskgen.place / "net.iso",
    ).strip()  # fmt: skip
    argv = ["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", place / "tree"]
    subprocess.run(argv, check=True, capture_output=True)
    Path(iso).unlink()
    return place / "tree"


@contextmanager
def started(tree: Path, disk: Path) -> Iterator[Terminal]:
    """Start a machine with an empty disk from the network, and choose what its menu offers first.

    Give it when it has found the image in its registry.
    """
    with serving(tree) as (port, asked):
        url = f"http://{GUEST_HOST}:{port}/diskgen/boot.ipxe"
        card = ("-netdev", f"user,id=net,bootfile={url}",
                "-device", "virtio-net-pci,netdev=net,bootindex=0")  # fmt: skip
        with installing(
            None, disk, firmware="bios", network=False, log=disk.with_name("install.log"),
            extra=("-machine", "graphics=off", *card),
        ) as terminal:  # fmt: skip
            terminal.expect("image mode (recommended)", seconds=120)  # iPXE's menu
            terminal.send("")
            terminal.expect("sha256:", seconds=400)
            assert asked == [
                "/diskgen/boot.ipxe", "/images/pxeboot/vmlinuz", "/images/pxeboot/initrd.img",
                "/images/install.img",
            ]  # fmt: skip
            yield terminal


def test_the_installer_starts_and_finds_the_image(tree: Path, disk: Path) -> None:
    with started(tree, disk) as terminal:
        terminal.expect("Onto which disk?")
        assert disk.stat().st_blocks == 0


@pytest.mark.extended
def test_image_mode_from_the_network(tree: Path, target: str, disk: Path) -> None:
    with started(tree, disk) as terminal:
        answer(terminal)
        terminal.expect("installation is complete", seconds=900)
        terminal.expect("Press Enter")
        terminal.send("p")
        assert terminal.wait_end() == 0
    proof = boot(disk, "bios", action="poweroff")
    assert proof["state"] == "running", proof.get("failed")
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    assert proof["fsck"] == "ok"
