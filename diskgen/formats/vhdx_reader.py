"""vhdx read at any place: fixed and dynamic ones that depend on no other disk.

Format: Microsoft, [MS-VHDX] 8.0. Hostile files get an error. A log that was not replayed does too.
"""

from __future__ import annotations

import os
import struct
from typing import Final
from uuid import UUID

from ..errors import SourceError
from ..units import KIB, MIB, TIB
from .vhdx import (
    BLOCKS_ID,
    HEADERS,
    LOGICAL_ID,
    METADATA_ID,
    PARAMETERS_ID,
    PRESENT,
    REGIONS,
    SIZE_ID,
    chunk_of,
)

MAGIC: Final = b"vhdxfile"
_LARGEST: Final = 64 * TIB
_MOST: Final = 2047  # entries of a table of regions, and of the metadata
_HAS_PARENT: Final = 1 << 1


class VhdxFile:
    """An open file; ``size`` of the disk in bytes."""

    compression: str | None = None

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        log = max(self._headers(), key=lambda found: found[0])[1]
        if log != bytes(16):
            raise self._bad("it was not closed: what was written last is in its log alone")
        regions = self._table(REGIONS[0], b"regi", 8, 16, "<16sQII")
        metadata = self._one(regions, METADATA_ID)
        items = self._table(metadata, b"metadata", 10, 32, "<16sIII4x")
        self._block, flags = self._item(items, metadata, PARAMETERS_ID, "<II")
        (self.size,) = self._item(items, metadata, SIZE_ID, "<Q")
        (sector,) = self._item(items, metadata, LOGICAL_ID, "<I")
        sound = MIB <= self._block <= 256 * MIB and not self._block & (self._block - 1)
        if not sound or sector not in (512, 4096) or not 0 < self.size <= _LARGEST:
            raise self._bad("its metadata is not sound")
        if flags & _HAS_PARENT:
            raise self._bad("it is what differs from another disk")
        self._chunk = chunk_of(self._block, sector)
        self._blocks = self._one(regions, BLOCKS_ID)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk. Raises SourceError."""
        if not 0 <= offset <= offset + length <= self.size:
            raise self._bad("the disk ends before")
        out = bytearray()
        while len(out) < length:
            number, start = divmod(offset + len(out), self._block)
            part = min(self._block - start, length - len(out))
            place = self._blocks + 8 * (number + number // self._chunk)
            (entry,) = struct.unpack("<Q", self._at(place, 8))
            state, at = entry & 7, entry >> 20 << 20
            out += self._at(at + start, part) if state == PRESENT else bytes(part)
        return bytes(out)

    def _headers(self) -> list[tuple[int, bytes]]:
        """Return number and log of each header that is one."""
        found: list[tuple[int, bytes]] = []
        for at, _number in HEADERS:
            mark, _sum, sequence, log = struct.unpack("<4sIQ32x16s", self._at(at, 64))
            if mark == b"head":
                found.append((sequence, log))
        if not found:
            raise self._bad("it has no header")
        return found

    def _table(
        self, at: int, mark: bytes, count_at: int, first: int, row: str
    ) -> dict[UUID, tuple[int, ...]]:
        """Return the rows of a table by their identifiers."""
        data = self._at(at, 64 * KIB)
        (count,) = struct.unpack_from("<H", data, count_at)
        if not data.startswith(mark) or count > _MOST or first + count * 32 > len(data):
            raise self._bad("a table of it is not sound")
        rows = (struct.unpack_from(row, data, first + 32 * number) for number in range(count))
        return {UUID(bytes_le=name): tuple(fields) for name, *fields in rows}

    def _one(self, regions: dict[UUID, tuple[int, ...]], name: UUID) -> int:
        if name not in regions:
            raise self._bad("a region is missing")
        return regions[name][0]

    def _item(
        self, items: dict[UUID, tuple[int, ...]], metadata: int, name: UUID, row: str
    ) -> tuple[int, ...]:
        if name not in items:
            raise self._bad("its metadata is not whole")
        return struct.unpack(row, self._at(metadata + items[name][0], struct.calcsize(row)))

    def _at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset) if offset < 2**63 else b""
        if len(data) != length:
            raise self._bad("it is cut off")
        return data

    def _bad(self, reason: str) -> SourceError:
        return SourceError(f"'{self._name}' cannot be read as vhdx: {reason}")
