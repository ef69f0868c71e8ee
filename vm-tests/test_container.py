"""The tool as a container image: built here, and a disk made in it by somebody who is not root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.oci import bootable
from tests.fixtures.program import ROOT, Program, fingerprint
from tests.fixtures.registry import registry

pytestmark = [pytest.mark.vm, pytest.mark.extended]


@dataclass(frozen=True)
class Engine:
    """buildah with a storage of its own, without an engine or namespaces."""

    place: Path

    @property
    def environment(self) -> dict[str, str]:
        conf = str(self.place / "storage.conf")
        return {**os.environ, "CONTAINERS_STORAGE_CONF": conf, "ENGINE": "buildah"}

    def __call__(self, *words: str | Path) -> str:
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        return done.stdout

    def run(self, user: int, volumes: dict[str, Path], *words: str) -> str:
        """Run a program in the image as some user, by the way a container engine would."""
        container = self("buildah", "from", "localhost/diskgen").strip()
        options = [f"--volume={path}:{inside}" for inside, path in volumes.items()]
        try:
            return self(
                "buildah", "run", "--isolation", "chroot", f"--user={user}:{user}", *options,
                container, "--", *words,
            )  # fmt: skip
        finally:
            self("buildah", "rm", container)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    place = Path(tempfile.mkdtemp(prefix="diskgen-container-", dir="/var/tmp"))
    place.chmod(0o755)
    (place / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{place}/storage"\nrunroot = "{place}/run"\n'
    )
    made = Engine(place)
    try:
        subprocess.run(
            ["make", "-C", ROOT, "container"], env=made.environment | {"BASE": "packages"},
            check=True, capture_output=True,
        )  # fmt: skip
        yield made
    finally:
        shutil.rmtree(place)


def test_a_disk_is_made_in_it(engine: Engine, diskgen: Program) -> None:
    """By its own user and by one that it does not know: the same bytes, and the same deployment.

    Outside there are other versions of mke2fs and GRUB, which have other bytes.
    """
    layout = bootable(engine.place / "layout")
    for path in (layout, *layout.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    words = ("raw", "oci:/layout", "--target-imgref", "registry.example/os:1")
    expected = diskgen.place / "outside.raw"
    diskgen("raw", f"oci:{layout}", *words[2:], "-o", expected)
    disks = []
    for user in (1000, 4242):
        output = engine.place / f"output-{user}"
        output.mkdir()
        os.chown(output, user, user)
        printed = engine.run(
            user, {"/layout": layout, "/output": output}, "diskgen", *words, "-o", "/output/os.raw"
        )
        assert printed == "/output/os.raw\n"
        made = output / "os.raw"
        assert made.stat().st_uid == user
        assert [path.name for path in output.iterdir()] == ["os.raw"]
        disks.append(made)
    assert fingerprint(disks[0]) == fingerprint(disks[1])
    inside, outside = (
        json.loads(diskgen("inspect", path, "--json")) for path in (disks[0], expected)
    )
    assert inside["deployments"]
    assert inside["deployments"] == outside["deployments"]


def test_it_has_every_program(engine: Engine) -> None:
    findings = json.loads(engine.run(1000, {}, "diskgen", "doctor", "--json"))["findings"]
    assert len(findings) > 12
    assert [
        row["name"] for row in findings if not row["found"] and "acceleration" not in row["name"]
    ] == []


def test_it_takes_the_other_command_line(engine: Engine, tmp_path: Path) -> None:
    output = engine.place / "output-bib"
    output.mkdir()
    os.chown(output, 1000, 1000)
    with registry(tmp_path / "registry") as server:
        server.push(bootable(tmp_path / "layout"), "os", "1")
        engine.run(
            1000, {"/output": output}, "bootc-image-builder", "build", "--type", "qcow2",
            "--output", "/output", "--tls-verify=false", f"{server.host}/os:1",
        )  # fmt: skip
    assert (output / "qcow2/disk.qcow2").stat().st_uid == 1000


@pytest.mark.parametrize(
    ("name", "user"), [("diskgen", "diskgen"), ("bootc-image-builder", "root")]
)
def test_how_it_is_called(engine: Engine, name: str, user: str) -> None:
    shown = json.loads(engine("buildah", "inspect", "--type", "image", f"localhost/{name}"))
    config = shown["OCIv1"]["config"]
    assert config["Entrypoint"] == [name]
    assert config["User"] == user
    assert config["WorkingDir"] == "/output"
