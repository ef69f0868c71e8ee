"""gce: Google's disk, a compressed archive with one member, ``disk.raw``.

Formats: GNU tar's manual, "Storing Sparse Files", the old GNU format (which Google asks for);
RFC 1952 and RFC 1951. Pieces are compressed by any thread and joined by sync flushes into one
member, so that every reader of gzip takes it; holes of the disk are in the archive's map alone.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from ..config import Request
from ..events import Emit, step
from ..units import format_size
from . import ustar
from .pieces import data_units, in_order

_BLOCK: Final = ustar.BLOCK
_PIECE: Final = 1024 * 1024  # that one thread compresses at a time
_LEVEL: Final = 2
_GRAIN: Final = 64 * 1024  # of the map: shorter holes are sent as zeros
_MEMBER: Final = b"disk.raw"
_IN_HEADER: Final = 4  # extents of the map in the header
_IN_EXTENSION: Final = 21  # and in each block behind it
_GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # no name, no time, unknown system
_FINAL_BLOCK: Final = b"\x03\0"  # of deflate, empty

Extents = Sequence[tuple[int, int]]  # (offset, length) in bytes


class Gce:
    """A gzipped tar with one member, ``disk.raw``."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,  # noqa: ARG002 - nothing to choose
        identity: UUID,  # noqa: ARG002 - the format has none
        emit: Emit,
    ) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        size = disk.stat().st_size
        with step(emit, "convert", "Writing the archive", unit="bytes") as phase:
            with disk.open("rb") as source, output.open("xb") as file:
                extents = tuple(_extents(source.fileno(), size))
                phase.total = sum(length for _at, length in extents)
                gzip(file, _pieces(source.fileno(), size, extents), phase.advance)
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Gce()


def gzip(
    file: BinaryIO,
    pieces: Iterator[tuple[int, Callable[[], bytes]]],
    advance: Callable[[int], None],
) -> None:
    """Write pieces, given by size and by what reads them, as one member. Raises OSError."""
    checksum = length = 0
    file.write(_GZIP_HEADER)
    jobs = ((size, partial(_packed, read)) for size, read in pieces)
    for packed, data in in_order(jobs, advance):
        file.write(packed)
        checksum = zlib.crc32(data, checksum)
        length += len(data)
    file.write(_FINAL_BLOCK + struct.pack("<II", checksum, length & 0xFFFFFFFF))


def _packed(read: Callable[[], bytes]) -> tuple[bytes, bytes]:
    """Return a piece as deflate's blocks that end with a byte, and the piece."""
    from zlib_ng import zlib_ng  # the host's zlib is another one on each distribution

    data = read()
    stream = zlib_ng.compressobj(_LEVEL, zlib_ng.DEFLATED, -15, 9)
    return stream.compress(data) + stream.flush(zlib_ng.Z_SYNC_FLUSH), data


def _extents(source: int, size: int) -> Iterator[tuple[int, int]]:
    for start, end in data_units(source, size, _GRAIN):
        yield start, end - start


def _pieces(source: int, size: int, extents: Extents) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Yield the archive in pieces: header and map, the data, the end."""
    head = header(size, extents)
    yield 0, lambda: head
    batch: list[tuple[int, int]] = []
    held = 0
    for start, length in extents:
        for at in range(start, start + length, _PIECE):
            part = min(_PIECE, start + length - at)
            if held + part > _PIECE:
                yield held, partial(_read, source, tuple(batch))
                batch, held = [], 0
            batch.append((at, part))
            held += part
    if batch:
        yield held, partial(_read, source, tuple(batch))
    written = len(head) + sum(length for _at, length in extents)
    yield 0, lambda: ustar.ending(written)


def _read(source: int, extents: Extents) -> bytes:
    return b"".join(os.pread(source, length, at) for at, length in extents)


def header(size: int, extents: Extents) -> bytes:
    """Return the member's header and the map of its data, whole blocks."""
    entries = [*extents, (size, 0)] if not extents or sum(extents[-1]) < size else [*extents]
    first, rest = entries[:_IN_HEADER], entries[_IN_HEADER:]
    fields = bytearray(_BLOCK)

    def put(at: int, value: bytes) -> None:
        fields[at : at + len(value)] = value

    put(0, _MEMBER)
    put(100, b"0000644\0")
    put(108, b"0000000\0" * 2)  # user and group
    put(124, ustar.number(sum(length for _at, length in extents)))
    put(136, ustar.number(0))  # time
    put(156, b"S")
    put(257, b"ustar  \0")
    put(386, _map(first))
    put(482, bytes([bool(rest)]))
    put(483, ustar.number(size))
    blocks = [ustar.summed(fields)]
    while rest:
        part, rest = rest[:_IN_EXTENSION], rest[_IN_EXTENSION:]
        block = _map(part).ljust(_IN_EXTENSION * 24, b"\0") + bytes([bool(rest)])
        blocks.append(block.ljust(_BLOCK, b"\0"))
    return b"".join(blocks)


def _map(entries: Extents) -> bytes:
    return b"".join(ustar.number(at) + ustar.number(length) for at, length in entries)
