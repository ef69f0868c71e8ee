"""qcow2 read at any place: as much as a look at a disk takes. Hostile files get an error.

Format: QEMU's ``docs/interop/qcow2.txt``, versions 2 and 3, without backing files or encryption.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import zstandard

from ..budgets import CLUSTER_BYTES, ZSTD_WINDOW_BYTES
from ..errors import SourceError

MAGIC: Final = b"QFI\xfb"
_HEAD: Final = struct.Struct(">4sIQIIQIIQ")
_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED: Final = 1 << 62
_ZERO: Final = 1
_SECTOR: Final = 512
_BITS: Final = range(9, CLUSTER_BYTES.limit.bit_length())  # of a cluster's size
_NAMES: Final = {0: "zlib", 1: "zstd"}


class Qcow2File:
    """An open file; ``size`` of the disk in bytes, ``compression`` of its clusters by name."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        head = os.pread(fd, 112, 0).ljust(112, b"\0")
        magic, version, backing, _, self._bits, self.size, crypt, tables, self._level1 = (
            _HEAD.unpack_from(head)
        )
        if magic != MAGIC or version not in (2, 3) or self._bits not in _BITS:
            raise self._bad("its header is not sound")
        if backing or crypt:
            raise self._bad("it has a backing file or is encrypted")
        (incompatible,) = struct.unpack_from(">Q", head, 72) if version == 3 else (0,)
        if incompatible & ~0b1001:  # dirty, or another compression
            raise self._bad("it uses features that diskgen does not know")
        kind = head[104] if incompatible & 0b1000 else 0
        if kind not in _NAMES:
            raise self._bad(f"its compression type {kind} is not known")
        self.compression = _NAMES[kind]
        self._tables = tables
        if self._level1 > os.fstat(fd).st_size:
            raise self._bad("it is cut off")

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk. Raises SourceError."""
        cluster = 1 << self._bits
        out = b""
        while len(out) < length:
            at = offset + len(out)
            piece = self._cluster(at // cluster)
            assert len(piece) == cluster  # else this would never end
            out += piece[at % cluster : at % cluster + length - len(out)]
        return out

    def _cluster(self, number: int) -> bytes:
        size = 1 << self._bits
        per_table = size // 8
        if number // per_table >= self._tables:
            raise self._bad("the disk ends before")
        table = self._entry(self._level1, number // per_table) & _OFFSET
        entry = self._entry(table, number % per_table) if table else 0
        if entry & _COMPRESSED:
            return self._inflate(entry)
        if not entry & _OFFSET or entry & _ZERO:
            return bytes(size)
        return os.pread(self._fd, size, entry & _OFFSET).ljust(size, b"\0")

    def _inflate(self, entry: int) -> bytes:
        shift = 62 - (self._bits - 8)
        place = entry & ((1 << shift) - 1)
        sectors = (entry & (_COMPRESSED - 1)) >> shift
        data = os.pread(self._fd, (sectors + 1) * _SECTOR - place % _SECTOR, place)
        size = 1 << self._bits
        try:
            if self.compression == "zstd":
                limit = ZSTD_WINDOW_BYTES.limit
                reader = zstandard.ZstdDecompressor(max_window_size=limit).stream_reader(data)
                made = reader.read(size)
            else:
                made = zlib.decompressobj(-12).decompress(data, size)
        except (zstandard.ZstdError, zlib.error) as error:
            raise self._bad(f"a cluster does not decompress ({error})") from error
        if len(made) != size:
            raise self._bad(f"a cluster of {size} bytes decompresses to {len(made)}")
        return made

    def _entry(self, table: int, index: int) -> int:
        raw = os.pread(self._fd, 8, table + 8 * index)
        if len(raw) != 8:
            raise self._bad("it is cut off")
        return int.from_bytes(raw, "big")

    def _bad(self, reason: str) -> SourceError:
        return SourceError(f"'{self._name}' cannot be read as qcow2: {reason}")


@contextmanager
def opened(path: Path) -> Generator[Qcow2File]:
    """Open a qcow2 file for reading. Raises SourceError for a file that is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Qcow2File(fd, str(path))
    finally:
        os.close(fd)
