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
_MAX_DEPTH: Final = 16  # of devices on devices
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
    """Return the writable disks without the medium, by name.

    The medium may be a partition of a disk, or lie on it: Ventoy maps the file of an image on a
    stick to a device of its own.
    """
    held = set(_below(medium.name, sys)) if medium is not None else set[str]()
    return [disk for disk in _disks(sys) if disk.path != medium and disk.name not in held]


def _below(name: str, sys: Path, depth: int = 0) -> Iterator[str]:
    """Yield the names of all devices that one consists of, itself included."""
    if depth > _MAX_DEPTH:
        return
    yield name
    place = sys / name
    if not place.is_dir():  # a partition: it lies in its disk's directory
        for disk in sorted(sys.iterdir()):
            if (disk / name / "partition").is_file():
                yield from _below(disk.name, sys, depth + 1)
        return
    slaves = place / "slaves"
    for slave in sorted(slaves.iterdir()) if slaves.is_dir() else ():
        yield from _below(slave.name, sys, depth + 1)
    if backing := _text(place / "loop/backing_file"):
        number = _device_of(Path(backing))
        for holder in (*sys.iterdir(), *sys.glob("*/*")):
            if number and _text(holder / "dev") == number:
                yield from _below(holder.name, sys, depth + 1)


def _device_of(path: Path) -> str | None:
    """Return the number of the device that a file lies on, as sysfs has it."""
    try:
        number = path.stat().st_dev
    except OSError:
        return None
    return f"{os.major(number)}:{os.minor(number)}"


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
