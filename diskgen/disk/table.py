"""Write the partition table of a layout into a disk file: libparted places, gpt.py names."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import parted

from ..errors import HostError, VerifyError
from ..layout import Layout
from . import gpt

_SECTOR_SIZE: Final = "PARTED_SECTOR_SIZE"
_FAILURES: Final = (
    parted.CreateException,
    parted.DeviceException,
    parted.DiskException,
    parted.IOException,
)


def write(disk: Path, layout: Layout) -> None:
    """Partition a plain file of the layout's size and read the result back.

    Raises VerifyError when what is on the disk is not what was planned, HostError where it cannot
    be written.
    """
    try:
        _write(disk, layout)
    except _FAILURES as error:
        raise HostError(
            f"the partition table of '{disk}' cannot be written: {error}",
            hint="the kernel's log may tell more; choose another directory",
            setting="output",
        ) from error
    gpt.set_identifiers(disk, layout)
    verify(disk, layout)


def _write(disk: Path, layout: Layout) -> None:
    with _sectors(layout.sector_size):
        device = parted.getDevice(str(disk))
    table = parted.freshDisk(device, "gpt")
    sector = layout.sector_size
    if device.sectorSize != sector:
        raise VerifyError(f"libparted sees {device.sectorSize}-byte sectors in '{disk}'")
    for part in layout.partitions:
        geometry = parted.Geometry(
            device=device, start=part.start // sector, length=part.size // sector
        )
        made = parted.Partition(disk=table, type=parted.PARTITION_NORMAL, geometry=geometry)
        table.addPartition(partition=made, constraint=parted.Constraint(exactGeom=geometry))
        made.getPedPartition().set_name(part.name)
    table.commitToDevice()


@contextmanager
def _sectors(size: int) -> Generator[None]:
    """Make libparted take a plain file's sectors for this large (``libparted/arch/linux.c``)."""
    os.environ[_SECTOR_SIZE] = str(size)
    try:
        yield
    finally:
        del os.environ[_SECTOR_SIZE]


def verify(disk: Path, layout: Layout) -> None:
    """Compare a disk's table with a layout. Raises VerifyError naming the first difference."""
    found = gpt.read(disk, sector_size=layout.sector_size)
    if found.disk_guid != layout.disk_guid:
        raise VerifyError(f"'{disk}' has the disk identifier '{found.disk_guid}'")
    planned = tuple(
        gpt.Entry(
            part.number, part.type, part.uuid, part.start, part.size,
            gpt.LEGACY_BOOTABLE if part.legacy_bootable else 0, part.name,
        )
        for part in layout.partitions
    )  # fmt: skip
    for wanted, entry in zip(planned, found.entries, strict=False):
        if wanted != entry:
            raise VerifyError(f"partition {wanted.number} of '{disk}' is {entry}, not {wanted}")
    if len(planned) != len(found.entries):
        raise VerifyError(f"'{disk}' has {len(found.entries)} partitions, not {len(planned)}")
