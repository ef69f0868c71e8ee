"""A disk for packages: its partitions made, mounted where they are filled, listed in fstab."""

from __future__ import annotations

from typing import Final

from ..disk import makers, table
from ..layout import Layout, Partition, Role
from ..run import run
from ..units import MIB, align_down
from .disks import Disk, partition_path
from .image_mode import reread, zero
from .target import PHYSICAL, ROOT, Mounts

_HEAD: Final = 4 * MIB  # zeroed where each partition begins: no old filesystem shows through


def partition(disk: Disk, layout: Layout) -> None:
    """Write a table and filesystems onto a disk, whose contents are lost. Raises DiskgenError."""
    zero(disk.path, 0, _HEAD, lambda _: None)
    zero(disk.path, align_down(disk.size, MIB) - MIB, MIB, lambda _: None)
    for part in layout.partitions:
        zero(disk.path, part.start, min(_HEAD, part.size), lambda _: None)
    table.write(disk.path, layout)
    reread(disk.path)
    for part in layout.partitions:
        if part.filesystem is not None:
            run(makers.command(part, partition_path(disk.path, part.number)))


def mount(disk: Disk, layout: Layout, mounts: Mounts) -> None:
    """Mount the filesystems below PHYSICAL."""
    for place, part in _mounted(layout):
        mounts.add(partition_path(disk.path, part.number), PHYSICAL / place)


def show(layout: Layout, mounts: Mounts) -> None:
    """Show what is mounted at PHYSICAL at ROOT as well: a bind shows one filesystem alone."""
    for place, _part in _mounted(layout):
        mounts.bind(PHYSICAL / place, ROOT / place)


def _mounted(layout: Layout) -> list[tuple[str, Partition]]:
    """Return the partitions with filesystems and their places below the root, parents first."""
    return sorted((part.mountpoint.lstrip("/"), part) for part in layout.partitions
                  if part.mountpoint is not None)  # fmt: skip


def fstab(layout: Layout) -> str:
    """Return a line for each partition that is mounted (the fstab of util-linux)."""
    lines: list[str] = []
    for part in layout.partitions:
        if part.mountpoint is None:
            continue
        options, check = ("umask=0077", 2) if part.role is Role.ESP else ("defaults", 2)
        number = 1 if part.role is Role.ROOT else check
        lines.append(
            f"UUID={part.fs_uuid_text} {part.mountpoint} {part.filesystem} {options} 0 {number}\n"
        )
    return "".join(lines)
