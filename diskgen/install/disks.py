"""The disks of a machine that a system could be installed on. Source: sysfs (Linux ABI, block)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import HostError, UsageError
from ..units import format_size

_SECTOR: Final = 512  # of sysfs's sizes
_NOT_DISKS: Final = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")
_DIRTY: Final = 64 * 1024  # bytes at the beginning in which every partition table shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """``size`` and ``sector_size`` in bytes."""

    name: str  # as the kernel has it
    path: Path
    size: int
    sector_size: int
    model: str
    partitions: tuple[str, ...]  # names

    @property
    def text(self) -> str:
        """The disk for people, in one line."""
        count = len(self.partitions)
        held = f"has {count} partition{'s' * (count > 1)}" if count else "no partitions"
        model = f"{self.model}, " if self.model else ""
        return f"{self.name}  {format_size(self.size)}  ({model}{held})"


def candidates(medium: Path | None, sys: Path = Path("/sys/block")) -> list[Disk]:
    """Return the writable disks without the medium, by name."""
    return [disk for disk in _disks(sys) if disk.path != medium]


def choose(wanted: Sequence[str], found: Sequence[Disk]) -> Disk:
    """Return the disk that a kickstart means: the one it names, or the only one.

    Raises UsageError or HostError, which list the disks.
    """
    listed = "; ".join(disk.text for disk in found) or "none"
    if not found:
        raise HostError("this machine has no disk to install on", hint="attach one")
    if not wanted:
        if len(found) > 1:
            raise UsageError(
                f"the kickstart names no disk, and this machine has several: {listed}",
                hint="name one: ignoredisk --only-use=NAME",
            )
        return found[0]
    if len(wanted) > 1:
        raise UsageError(
            f"the kickstart names several disks ({', '.join(wanted)}), this installer takes one"
        )
    for disk in found:
        if _same(wanted[0], disk):
            return disk
    raise HostError(
        f"this machine has no disk '{wanted[0]}' to install on", hint=f"it has: {listed}"
    )


def is_blank(disk: Disk) -> bool:
    """Say whether nothing is at the beginning of a disk."""
    if disk.partitions:
        return False
    with disk.path.open("rb") as file:
        return not any(file.read(_DIRTY))


def _same(name: str, disk: Disk) -> bool:
    path = Path(name if name.startswith("/dev/") else f"/dev/{name}")
    try:
        return path.resolve(strict=True) == disk.path
    except OSError:
        return False


def _disks(sys: Path) -> Iterator[Disk]:
    for place in sorted(sys.iterdir()):
        name = place.name
        size = int(_text(place / "size") or 0) * _SECTOR
        if name.startswith(_NOT_DISKS) or not size or _text(place / "ro") == "1":
            continue
        if _text(place / "hidden") == "1":  # a path of several to one disk
            continue
        yield Disk(
            name=name,
            path=Path("/dev") / name,
            size=size,
            sector_size=int(_text(place / "queue/logical_block_size") or _SECTOR),
            model=_text(place / "device/model"),
            partitions=tuple(
                sorted(p.name for p in place.iterdir() if (p / "partition").is_file())
            ),
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def partition_path(disk: Path, number: int) -> Path:
    """Return the device of a partition: ``sda1``, ``nvme0n1p1``."""
    between = "p" if disk.name[-1].isdigit() else ""
    return disk.with_name(f"{disk.name}{between}{number}")


def size_of(path: Path) -> int:
    """Return the bytes of a device or a file."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)
