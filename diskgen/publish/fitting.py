"""What any cloud asks of a disk: machines that it has, sectors of the size of its disks."""

from __future__ import annotations

from collections.abc import Container, Iterator

from .publication import DiskFile

Unfit = tuple[str, str | None, str | None]  # what is wrong, what to do, and the option to set


def of_machines(disk: DiskFile, place: str, architectures: Container[str]) -> Iterator[Unfit]:
    """Yield that a place, by its name, has no machines for a disk."""
    if disk.arch is None:
        yield f"'{disk.path}' does not say which machines it is for", "name them", "arch"
    elif disk.arch not in architectures:
        yield f"{place} has no machines of {disk.arch}", None, None


def of_sectors(disk: DiskFile, disks: str) -> Iterator[Unfit]:
    """Yield that a disk's sectors are not those of a place's ``disks``."""
    if disk.sector_size not in (None, 512):
        yield (
            f"'{disk.path}' has sectors of {disk.sector_size} bytes, and {disks} have 512",
            "build it with sectors of 512 bytes",
            None,
        )
