"""vmdk --subformat sparse: VMware's disk that a machine writes to, in one file (monolithicSparse).

Format: VMware, "Virtual Disk Format 5.0": "Hosted Sparse Extent". Numbers are little-endian and
count sectors of 512 bytes. All tables are there, twice, before the first grain; a grain that is
zero is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from ..units import align_up
from .pieces import made_of
from .vmdk_extent import (
    DESCRIPTOR_AT,
    DESCRIPTOR_SECTORS,
    GRAIN,
    GRAIN_SECTORS,
    HEADER,
    SECTOR,
    TABLE_ENTRIES,
    TABLE_SIZE,
    descriptor,
)

_FLAGS: Final = 1 | 1 << 1  # newlines to test, a second set of tables


def write(
    disk: Path, file: BinaryIO, name: str, identity: UUID, advance: Callable[[int], None]
) -> int:
    """Write a VMDK called ``name`` of a raw disk into an empty file; return its size in bytes.

    Raises OSError.
    """
    size = disk.stat().st_size
    capacity = align_up(size, SECTOR) // SECTOR
    tables = -(-capacity // (GRAIN_SECTORS * TABLE_ENTRIES))
    directory = -(-4 * tables // SECTOR)  # sectors
    table = TABLE_SIZE // SECTOR
    first = DESCRIPTOR_AT + DESCRIPTOR_SECTORS
    second = first + directory + tables * table
    overhead = align_up(second + directory + tables * table, GRAIN_SECTORS)
    grains = [0] * (tables * TABLE_ENTRIES)
    file.seek(overhead * SECTOR)
    with disk.open("rb") as source:
        for number, data in made_of(source.fileno(), size, GRAIN, bytes, advance):
            grains[number] = file.tell() // SECTOR
            file.write(data)
    end = file.tell()
    file.truncate(end)
    for at in (first, second):
        places = [at + directory + number * table for number in range(tables)]
        file.seek(at * SECTOR)
        file.write(struct.pack(f"<{tables}I", *places).ljust(directory * SECTOR, b"\0"))
        file.write(struct.pack(f"<{len(grains)}I", *grains))
    text = descriptor(capacity, name, identity, kind="monolithicSparse", access="RW").encode()
    assert len(text) <= DESCRIPTOR_SECTORS * SECTOR
    file.seek(0)
    file.write(
        HEADER.pack(
            b"KDMV", 1, _FLAGS, capacity, GRAIN_SECTORS, DESCRIPTOR_AT, DESCRIPTOR_SECTORS,
            TABLE_ENTRIES, first, second, overhead, 0, b"\n \r\n", 0,
        )
    )  # fmt: skip
    file.write(text)
    return end
