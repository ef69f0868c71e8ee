"""vmdk: VMware's disk for transport (streamOptimized), written once from front to back.

Format: VMware, "Virtual Disk Format 5.0": "Hosted Sparse Extent", "Stream-Optimized Compressed
Sparse Extents". Numbers are little-endian and count sectors of 512 bytes. A grain that is zero is
left out; the true header stands at the end, so that the file can be written into a pipe.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from ..config import Request
from ..events import Emit, step
from ..units import align_up, format_size
from . import vmdk_sparse
from .pieces import bytes_read, made_of
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

_OVERHEAD: Final = 128  # sectors before the first grain
_AT_END: Final = 0xFFFFFFFFFFFFFFFF  # in the first header: the directory's place is in the footer
_FLAGS: Final = 1 | 1 << 16 | 1 << 17  # newlines to test, grains compressed, markers
_DEFLATE: Final = 1
_GRAIN_MARKER: Final = struct.Struct("<QI")
_MARKER: Final = struct.Struct("<QII496x")
_END_OF_STREAM, _TABLE, _DIRECTORY, _FOOTER = range(4)


class Sink(Protocol):
    """What takes bytes in order."""

    def write(self, data: bytes, /) -> object: ...


class Vmdk:
    """A VMDK, streamOptimized or as a machine writes to it."""

    def write(self, disk: Path, output: Path, request: Request, identity: UUID, emit: Emit) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        assert request.output is not None
        with step(emit, "convert", "Writing the VMDK", unit="bytes") as phase:
            with output.open("xb") as file:
                phase.total = bytes_read(disk, GRAIN)
                write = {"stream": stream, "sparse": vmdk_sparse.write}[request.subformat]
                write(disk, file, request.output.name, identity, phase.advance)
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Vmdk()


def stream(
    disk: Path, sink: Sink, name: str, identity: UUID, advance: Callable[[int], None]
) -> int:
    """Write a VMDK called ``name`` of a raw disk; return its size in bytes. Raises OSError."""
    size = disk.stat().st_size
    writer = _Writer(sink, size, name, identity)
    with disk.open("rb") as source:
        for number, packed in made_of(source.fileno(), size, GRAIN, _deflate, advance):
            writer.add(number, packed)
    return writer.finish()


class _Writer:
    """The stream: header, grains of a table followed by it, the directory, the footer."""

    def __init__(self, sink: Sink, size: int, name: str, identity: UUID) -> None:
        self._sink = sink
        self._capacity = align_up(size, SECTOR) // SECTOR
        grains = -(-self._capacity // GRAIN_SECTORS)
        self._directory = [0] * -(-grains // TABLE_ENTRIES)
        self._table: list[int] = []
        self._current = 0  # the table that grains are added to
        self._at = 0  # sectors
        self._put(self._header(_AT_END))
        text = descriptor(
            self._capacity, name, identity, kind="streamOptimized", access="RDONLY"
        ).encode()
        room = DESCRIPTOR_SECTORS * SECTOR
        assert len(text) <= room
        self._put(text.ljust(room, b"\0"))
        self._put(bytes((_OVERHEAD - self._at) * SECTOR))

    def add(self, number: int, packed: bytes) -> None:
        """Append one compressed grain; numbers ascend."""
        table, entry = divmod(number, TABLE_ENTRIES)
        if table != self._current:
            self._end_table()
            self._current = table
        if not self._table:
            self._table = [0] * TABLE_ENTRIES
        self._table[entry] = self._at
        self._put(_GRAIN_MARKER.pack(number * GRAIN_SECTORS, len(packed)) + packed)

    def finish(self) -> int:
        """Write what follows the grains; return the size of the whole stream in bytes."""
        self._end_table()
        data = struct.pack(f"<{len(self._directory)}I", *self._directory)
        self._marker(_DIRECTORY, len(data))
        directory_at = self._at
        self._put(data)
        self._marker(_FOOTER, SECTOR)
        self._put(self._header(directory_at))
        self._marker(_END_OF_STREAM, 0)
        return self._at * SECTOR

    def _end_table(self) -> None:
        if not self._table:
            return
        self._marker(_TABLE, TABLE_SIZE)
        self._directory[self._current] = self._at
        self._put(struct.pack(f"<{TABLE_ENTRIES}I", *self._table))
        self._table = []

    def _marker(self, kind: int, size: int) -> None:
        self._put(_MARKER.pack(align_up(size, SECTOR) // SECTOR, 0, kind))

    def _put(self, data: bytes) -> None:
        whole = align_up(len(data), SECTOR)
        self._sink.write(data.ljust(whole, b"\0"))
        self._at += whole // SECTOR

    def _header(self, directory_at: int) -> bytes:
        return HEADER.pack(
            b"KDMV", 3, _FLAGS, self._capacity, GRAIN_SECTORS, DESCRIPTOR_AT,
            DESCRIPTOR_SECTORS, TABLE_ENTRIES, 0, directory_at, _OVERHEAD, 0, b"\n \r\n",
            _DEFLATE,
        )  # fmt: skip


def _deflate(grain: bytes) -> bytes:
    # libdeflate gives the same bytes on every processor, which igzip does not. Its first level
    # packs to within a twentieth of zlib's sixth, in a sixth of the time.
    import deflate

    return bytes(deflate.zlib_compress(grain, 1))
