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
from terminal import answer, installing

from tests.oci import TarBuilder
from tests.program import Program
from tests.registry import Registry

pytestmark = pytest.mark.vm

DISK_SIZE = 12 * 1024**3


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


def test_image_mode_from_the_network(
    diskgen: Program, served: Registry, cache: Path, tmp_path: Path
) -> None:
    target = f"{GUEST_HOST}:{served.port}/os:1"
    served.push(derive(runtime_image.build(cache), tmp_path / "installer", trusting()), "net", "1")
    iso = diskgen(
        "iso", f"{served.host}/os:1", "--tls-verify=false", "--target-imgref", target,
        "--installer", f"{served.host}/net:1", "--remote-payload", "--mode", "image",
        "-o", diskgen.place / "net.iso",
    ).strip()  # fmt: skip
    tree = tmp_path / "tree"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree], check=True,
                   capture_output=True)  # fmt: skip
    Path(iso).unlink()
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK_SIZE)
    with serving(tree) as (port, asked):
        url = f"http://{GUEST_HOST}:{port}/diskgen/boot.ipxe"
        card = ("-netdev", f"user,id=net,bootfile={url}",
                "-device", "virtio-net-pci,netdev=net,bootindex=0")  # fmt: skip
        with installing(
            None, disk, firmware="bios", network=False, log=tmp_path / "install.log",
            extra=("-machine", "graphics=off", *card),
        ) as terminal:  # fmt: skip
            terminal.expect("image mode (recommended)", seconds=120)  # iPXE's menu
            terminal.send("")
            answer(terminal)
            terminal.expect("installation is complete", seconds=900)
            terminal.expect("Press Enter")
            terminal.send("p")
            assert terminal.wait_end() == 0
    assert asked == [
        "/diskgen/boot.ipxe", "/images/pxeboot/vmlinuz", "/images/pxeboot/initrd.img",
        "/images/install.img",
    ]  # fmt: skip
    proof = boot(disk, "bios", action="poweroff")
    assert proof["state"] == "running", proof.get("failed")
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    assert proof["fsck"] == "ok"
