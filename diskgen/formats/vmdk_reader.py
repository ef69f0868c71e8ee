"""vmdk read at any place: sparse and stream-optimized ones, alone or within an OVA.

Formats: VMware, "Virtual Disk Format 5.0": "Hosted Sparse Extent", "Stream-Optimized Compressed
Sparse Extents"; DMTF DSP0243 and POSIX ustar for the OVA. Hostile files get an error.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Final

from ..errors import SourceError
from ..units import MIB, align_up

MAGIC: Final = b"KDMV"
_SECTOR: Final = 512
_HEADER: Final = struct.Struct("<4sIIQQQQIQQQB4sH")
_AT_END: Final = 0xFFFFFFFFFFFFFFFF
_FOOTER: Final = 1024  # before the end: the footer, then the end of the stream
_COMPRESSED: Final = 1 << 16  # of the flags
_ZEROED: Final = 1 << 2
_DEFLATE: Final = 1
_MARKER: Final = 12  # bytes before a compressed grain
_MAX_GRAIN: Final = 2 * MIB
_MAX_ENTRIES: Final = 4096  # grains of one grain table
_MAX_MEMBERS: Final = 64  # of an OVA
_MAX_TABLES: Final = 64 * 1024


class VmdkFile:
    """An open file; ``size`` of the disk in bytes. It begins at byte ``start`` of the file."""

    def __init__(self, fd: int, name: str, start: int = 0, length: int | None = None) -> None:
        self._fd = fd
        self._name = name
        self._start = start
        self._end = start + length if length is not None else os.fstat(fd).st_size
        head = self._header(start)
        if head[9] == _AT_END:
            head = self._header(self._end - _FOOTER)
        _, version, flags, capacity, grain, _, _, entries, _, directory, _, _, _, packing = head
        self._grain = grain * _SECTOR
        self._entries = entries
        tables = -(-capacity // max(grain * entries, 1))
        if (
            version not in (1, 2, 3)
            or not 0 < self._grain <= _MAX_GRAIN
            or not 0 < entries <= _MAX_ENTRIES
            or tables > _MAX_TABLES
            or packing not in (0, _DEFLATE)
        ):
            raise self._bad("its header is not sound")
        self._packed = bool(flags & _COMPRESSED)
        self._zeroed = bool(flags & _ZEROED)
        self.compression = "zlib" if self._packed else None
        self.size = capacity * _SECTOR
        raw = self._at(directory * _SECTOR, 4 * tables)
        self._directory = struct.unpack(f"<{tables}I", raw)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk. Raises SourceError."""
        if not 0 <= offset <= offset + length <= self.size:
            raise self._bad("the disk ends before")
        out = bytearray()
        while len(out) < length:
            at = offset + len(out)
            piece = self._piece(at // self._grain)
            out += piece[at % self._grain : at % self._grain + length - len(out)]
        return bytes(out)

    def _piece(self, number: int) -> bytes:
        table, entry = divmod(number, self._entries)
        place = self._directory[table]
        where = 0
        if place:
            (where,) = struct.unpack("<I", self._at(place * _SECTOR + 4 * entry, 4))
        if not where or (where == 1 and self._zeroed):
            return bytes(self._grain)
        if not self._packed:
            return self._at(where * _SECTOR, self._grain)
        lba, size = struct.unpack("<QI", self._at(where * _SECTOR, _MARKER))
        if lba * _SECTOR != number * self._grain or size > 2 * self._grain + _SECTOR:
            raise self._bad("a grain is not where it belongs")
        try:
            data = zlib.decompressobj().decompress(
                self._at(where * _SECTOR + _MARKER, size), self._grain
            )
        except zlib.error as error:
            raise self._bad(f"a grain does not decompress ({error})") from error
        return data.ljust(self._grain, b"\0")

    def _header(self, at: int) -> tuple[int, ...]:
        raw = os.pread(self._fd, _HEADER.size, at) if at >= self._start else b""
        if len(raw) != _HEADER.size or raw[:4] != MAGIC:
            raise self._bad("it has no header")
        return _HEADER.unpack(raw)

    def _at(self, offset: int, length: int) -> bytes:
        at = self._start + offset
        data = os.pread(self._fd, length, at) if at + length <= self._end else b""
        if len(data) != length:
            raise self._bad("it is cut off")
        return data

    def _bad(self, reason: str) -> SourceError:
        return SourceError(f"'{self._name}' cannot be read as vmdk: {reason}")


def in_ova(fd: int, name: str) -> VmdkFile:
    """Return the first disk of an OVA. Raises SourceError for an archive without any."""
    at = 0
    for _ in range(_MAX_MEMBERS):
        head = os.pread(fd, _SECTOR, at)
        if len(head) < _SECTOR or head[257:262] != b"ustar":
            break
        try:
            size = int(head[124:136].strip(b"\0 ") or b"0", 8)
        except ValueError:
            break
        at += _SECTOR
        if head[:100].partition(b"\0")[0].endswith(b".vmdk"):
            return VmdkFile(fd, name, at, size)
        at += align_up(size, _SECTOR)
    raise SourceError(
        f"'{name}' is an archive without a disk of VMware's",
        hint=f"unpack it and inspect what is in it: tar -xf '{name}'",
    )
