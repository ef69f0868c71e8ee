"""Our installer's root on btrfs, where the kernel's arguments name a subvolume: by the kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.install import image_mode
from diskgen.layout import Content, Filesystem, Role, make_layout
from diskgen.tree import Directory, regular
from diskgen.units import MIB

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts"),
    pytest.mark.skipif("btrfs" not in Path("/proc/filesystems").read_text(), reason="no btrfs"),
]


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "root.img"
    with file.open("wb") as made:
        made.truncate(256 * MIB)
    loop = run("losetup", "--show", "-f", file)
    yield Path(loop)
    run("losetup", "-d", loop)


@pytest.mark.parametrize("subvolume", [None, "root", "sys/@"])
def test_the_tree_is_where_the_kernel_looks(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subvolume: str | None
) -> None:
    place = tmp_path / "mounted"
    monkeypatch.setattr(image_mode, "PHYSICAL", place)
    layout = make_layout(MACHINES["x86_64"], seed="x", content=Content(root=MIB), disk_size=None)
    part = replace(layout.partition(Role.ROOT), filesystem=Filesystem.BTRFS)
    tree = Directory()
    tree.add("ostree/file", regular(b"here"))
    image_mode.fill_foreign(device, part, tree, lambda _: None, subvolume)
    options = f"ro,subvol={subvolume}" if subvolume else "ro"
    run("mount", "-o", options, device, place)
    try:
        assert (place / "ostree/file").read_bytes() == b"here"
        if subvolume:
            assert run("btrfs", "inspect-internal", "rootid", place) == "256"
    finally:
        run("umount", place)
