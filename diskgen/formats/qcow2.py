"""qcow2, written directly: the same disk gives the same bytes, on every core, past every hole.

Format: QEMU's ``docs/interop/qcow2.txt``, version 3. Clusters that are zero are not allocated,
compressed ones lie packed behind each other, and tables follow the data, so that the file is
written once from front to back. Only the header is written last: a file that ends early is no
qcow2.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import zstandard

from ..config import Request
from ..events import Emit, step
from ..units import format_size
from .pieces import bytes_read, made_of

CLUSTER: Final = 64 * 1024
_CLUSTER_BITS: Final = 16
_SECTOR: Final = 512
_COMPRESSED: Final = 1 << 62
_COPIED: Final = 1 << 63  # reference count is exactly one
_SIZE_SHIFT: Final = 62 - (_CLUSTER_BITS - 8)  # of the sector count in a compressed entry
_INCOMPATIBLE_COMPRESSION: Final = 1 << 3  # the header names a compression type
_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQQQIIB7x")
_ZSTD_LEVEL: Final = 3
_ZLIB_LEVEL: Final = 6
_TYPES: Final = {"none": 0, "zlib": 0, "zstd": 1}

Compress = Callable[[bytes], bytes]


class Qcow2:
    """QEMU's format, version 3 (``compat=1.1``)."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,
        identity: UUID,  # noqa: ARG002 - the format has none
        emit: Emit,
    ) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        with step(emit, "convert", "Writing the qcow2", unit="bytes") as phase:
            with output.open("xb") as file:
                phase.total = bytes_read(disk, CLUSTER)
                pour(disk, file, request.packing, phase.advance)
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Qcow2()


def pour(disk: Path, file: BinaryIO, compression: str, advance: Callable[[int], None]) -> int:
    """Write a qcow2 of a raw disk from a file's place on, and leave the place behind it.

    Returns its size in bytes. Raises OSError.
    """
    size = disk.stat().st_size
    writer = _Writer(file, size, compression)
    with disk.open("rb") as source:
        make = _maker(compression)
        for number, (kind, data) in made_of(source.fileno(), size, CLUSTER, make, advance):
            writer.add(number, kind, data)
    return writer.finish()


class _Writer:
    """The output file: clusters in ascending order, then tables, then the header."""

    def __init__(self, file: BinaryIO, size: int, compression: str) -> None:
        self._file = file
        self._base = file.tell()
        self._size = size
        self._compression = compression
        self._at = CLUSTER  # the header has the first
        self._refs = [1]
        self._entries: dict[int, int] = {}
        file.seek(self._base + CLUSTER)

    def add(self, number: int, compressed: bool, data: bytes) -> None:
        """Append one guest cluster."""
        if not compressed:
            self._align()
            self._entries[number] = self._at | _COPIED
            self._append(data)
            return
        sectors = (self._at + len(data) - 1) // _SECTOR - self._at // _SECTOR
        self._entries[number] = _COMPRESSED | (sectors << _SIZE_SHIFT) | self._at
        self._append(data)

    def finish(self) -> int:
        """Write mapping and reference counts, then the header; return the size of all."""
        per_table = CLUSTER // 8
        tables = max(1, -(-self._size // (CLUSTER * per_table)))
        level1 = [0] * tables
        by_table: dict[int, list[int]] = {}
        for number, entry in self._entries.items():
            by_table.setdefault(number // per_table, [0] * per_table)[number % per_table] = entry
        for index, entries in sorted(by_table.items()):
            self._align()
            level1[index] = self._at | _COPIED
            self._append(struct.pack(f">{per_table}Q", *entries))
        self._align()
        level1_at = self._at
        self._append(struct.pack(f">{tables}Q", *level1))
        self._align()
        table_at, table_clusters = self._reference_counts()
        end = self._file.tell()
        self._file.seek(self._base)
        self._file.write(self._header(tables, level1_at, table_at, table_clusters))
        self._file.seek(end)
        return end - self._base

    def _reference_counts(self) -> tuple[int, int]:
        """Write blocks and table that also count themselves; return the table's place and size."""
        per_block = CLUSTER // 2
        first = len(self._refs)
        blocks = table = 1
        while True:
            total = first + blocks + table
            needed = -(-total // per_block)
            needed_table = -(-needed * 8 // CLUSTER)
            if (needed, needed_table) == (blocks, table):
                break
            blocks, table = needed, needed_table
        counts = [*self._refs, *[1] * (blocks + table)]
        counts += [0] * (blocks * per_block - len(counts))
        self._file.write(struct.pack(f">{len(counts)}H", *counts))
        places = [(first + index) * CLUSTER for index in range(blocks)]
        places += [0] * (table * CLUSTER // 8 - blocks)
        self._file.write(struct.pack(f">{len(places)}Q", *places))
        return (first + blocks) * CLUSTER, table

    def _header(self, tables: int, level1_at: int, table_at: int, table_clusters: int) -> bytes:
        kind = _TYPES[self._compression]
        header = _HEADER.pack(
            b"QFI\xfb", 3, 0, 0, _CLUSTER_BITS, self._size, 0, tables, level1_at, table_at,
            table_clusters, 0, 0, _INCOMPATIBLE_COMPRESSION if kind else 0, 0, 0,
            4, _HEADER.size, kind,
        )  # fmt: skip
        return header + bytes(8)  # the end of header extensions

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        last = (self._at + len(data) - 1) // CLUSTER
        self._refs += [0] * (last + 1 - len(self._refs))
        for cluster in range(self._at // CLUSTER, last + 1):
            self._refs[cluster] += 1
        self._at += len(data)

    def _align(self) -> None:
        self._file.write(bytes(-self._at % CLUSTER))
        self._at += -self._at % CLUSTER


def _maker(compression: str) -> Callable[[bytes], tuple[bool, bytes]]:
    """Return what makes (is compressed, bytes) of a cluster, in any thread."""
    own = threading.local()  # a compressor serves one thread

    def make(cluster: bytes) -> tuple[bool, bytes]:
        if not hasattr(own, "compress"):
            own.compress = _compressor(compression)
        packed = own.compress(cluster) if own.compress else cluster
        small = len(packed) < CLUSTER
        return small, packed if small else cluster

    return make


def _compressor(compression: str) -> Compress | None:
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress
    if compression == "zlib":
        return _deflate
    return None


def _deflate(data: bytes) -> bytes:
    """Return a raw deflate stream with the 4 KiB window that the format asks for."""
    from zlib_ng import zlib_ng  # the host's zlib is another one on each distribution

    stream = zlib_ng.compressobj(_ZLIB_LEVEL, zlib_ng.DEFLATED, -12, 9)
    return stream.compress(data) + stream.flush()
