"""The checksums of btrfs: CRC-32C of nodes, of names (another start), and of all contents."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ...units import MIB
from ..placing import native
from ..placing.content import Copy, Move, Write
from ..placing.crc32c import crc32c
from .geometry import SECTOR

_MASK: Final = 0xFFFFFFFF
_NAME: Final = 0xFFFFFFFE
_BUFFER: Final = MIB


def checksum(data: bytes) -> int:
    """Return the CRC-32C (RFC 3720) of data."""
    return crc32c(_MASK, data) ^ _MASK


def seal(raw: bytes) -> bytes:
    """Return a structure of which the first 32 bytes, its checksum, are still missing."""
    return checksum(raw).to_bytes(32, "little") + raw


def name_hash(name: bytes) -> int:
    """Return the hash that directories and attributes are sorted by: it is never inverted."""
    return crc32c(_NAME, name)


def reference_hash(parent: int, name: bytes) -> int:
    """Return the hash of an extended reference to an inode from a directory."""
    return crc32c(parent & _MASK, name)


def of_contents(moves: Iterable[Move]) -> array[int]:
    """Return a sum for each sector that moves bring to the disk, in their order.

    Raises OSError; a pack that is shorter than it was is one.
    """
    out = array("I")
    buffer = ctypes.create_string_buffer(_BUFFER)
    view = memoryview(buffer).cast("B")
    sectors = native.crc32c_of_blocks() or _portable
    fd, opened = -1, None
    try:
        for move in moves:
            if isinstance(move, Write):
                data = b"".join(move.pieces)
                for at in range(0, len(data), _BUFFER):
                    piece = data[at : at + _BUFFER]
                    view[: len(piece)] = piece
                    out.extend(sectors(buffer, len(piece), SECTOR))
            elif isinstance(move, Copy):
                if move.pack != opened:
                    fd, opened = _reopened(fd, move.pack), move.pack
                for at in range(move.source, move.source + move.length, _BUFFER):
                    size = min(_BUFFER, move.source + move.length - at)
                    if os.preadv(fd, [view[:size]], at) != size:
                        raise OSError(errno.EIO, "is shorter than its index says", opened)
                    out.extend(sectors(buffer, size, SECTOR))
            else:
                out.extend([checksum(bytes(SECTOR))] * (move.length // SECTOR))
    finally:
        if fd >= 0:
            os.close(fd)
    return out


def pack(sums: array[int]) -> bytes:
    """Return sums as the disk has them."""
    if sys.byteorder == "big":
        sums = array("I", sums)
        sums.byteswap()
    return sums.tobytes()


def _reopened(fd: int, pack: Path) -> int:
    if fd >= 0:
        os.close(fd)
    return os.open(pack, os.O_RDONLY | os.O_CLOEXEC)


def _portable(buffer: ctypes.Array[ctypes.c_char], length: int, block: int) -> list[int]:
    data = bytes(memoryview(buffer)[:length])
    return [checksum(data[at : at + block]) for at in range(0, length, block)]
