"""A medium's files copied onto a FAT32 stick of another label, as Rufus does it in ISO mode."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import runtime_image
from terminal import Terminal, installing

from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = [pytest.mark.vm, pytest.mark.extended]

MIB = 1024 * 1024
START = MIB  # of the stick's only partition
ROOM = 256 * MIB  # for what FAT takes itself


def run(*argv: str | Path, stdin: str = "") -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stderr)


@pytest.fixture(scope="module")
def stick(
    diskgen: Program, served: Registry, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    place = tmp_path_factory.mktemp("copied")
    served.push(runtime_image.build(cache), "copied", "1")
    iso = diskgen(
        "iso", f"{served.host}/os:1", "--tls-verify=false", "--target-imgref", "quay.io/x/os:1",
        "--installer", f"{served.host}/copied:1", "--mode", "image",
        "-o", diskgen.place / "copied.iso",
    ).strip()  # fmt: skip
    tree = place / "tree"
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree)
    run("chmod", "-R", "u+w", tree)
    path = place / "stick"
    with path.open("wb") as file:
        file.truncate(START + Path(iso).stat().st_size + ROOM)
    Path(iso).unlink()
    run("sfdisk", "-q", path, stdin="label: dos\n2048,,c,*\n")
    run("mkfs.vfat", "-F", "32", "-n", "OSSTICK", "--offset", "2048", path)
    run("mcopy", "-s", "-Q", "-i", f"{path}@@{START}", *sorted(tree.iterdir()), "::/")
    return path


@pytest.mark.parametrize("firmware", ["uefi", "secureboot"])
def test_copied_files_start_by_uefi(stick: Path, disk: Path, tmp_path: Path, firmware: str) -> None:
    """The installer finds the files by the medium's identifier, and spares their stick."""
    with installing(
        stick, disk, firmware=firmware, network=False, attach="usb", log=tmp_path / "log"
    ) as terminal:
        terminal.pick(0)
        terminal.expect("sha256:", seconds=900)  # the image on the stick
        terminal.expect("Onto which disk?", seconds=60)
        terminal.expect("vda ")
        terminal.expect("Choice [1]: ")
        assert_spared(terminal)


def assert_spared(terminal: Terminal) -> None:
    _before, _question, offered = terminal.log.partition("Onto which disk?")
    assert "sda" not in offered
