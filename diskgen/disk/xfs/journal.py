"""Whether the log of an xfs ends with the record of an unmount: else it has what is to be replayed.

Each 512 bytes of a log begin with the number of the round in which they were written, so that the
end is where that number changes. Source: "XFS Filesystem Structure", chapter "Journaling Log".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ...units import KIB

_PIECE: Final = 512
_MAGIC: Final = 0xFEEDBABE
_LONGEST: Final = 256 * KIB // _PIECE + 8  # pieces of a record, its headers included
_CYCLES: Final = 32 * KIB  # bytes of a record that one header is for
_UNMOUNT: Final = 0x20

ReadLog = Callable[[int, int], bytes]  # (offset in the log, length), both in bytes


def is_clean(read: ReadLog, size: int) -> bool:
    """Say whether a log of ``size`` bytes ends with an unmount. Raises VerifyError as ``read``."""
    pieces = size // _PIECE
    if not pieces:
        return False
    end = _end(read, pieces)
    first = max(0, end - _LONGEST)
    raw = read(first * _PIECE, (end - first) * _PIECE)
    for at in range(len(raw) - _PIECE, -1, -_PIECE):
        if struct.unpack_from(">I", raw, at)[0] == _MAGIC:
            return _is_unmount(raw[at:])
    return False  # the last record begins before the log's end, which an unmount's does not


def _end(read: ReadLog, pieces: int) -> int:
    """Return the piece after the last that was written."""

    def cycle(piece: int) -> int:
        word, following = struct.unpack(">II", read(piece * _PIECE, 8))
        return int(following if word == _MAGIC else word)

    first = cycle(0)
    low, high = 0, pieces  # what is at low was written in the round of the first
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cycle(middle) == first else (low, middle)
    return high


def _is_unmount(record: bytes) -> bool:
    """Say whether these bytes are one record, with an unmount and nothing else."""
    (length,) = struct.unpack_from(">I", record, 12)
    (operations,) = struct.unpack_from(">I", record, 40)
    (room,) = struct.unpack_from(">I", record, 0x140)
    begin = max(1, -(-room // _CYCLES)) * _PIECE
    whole = begin + -(-length // _PIECE) * _PIECE
    return operations == 1 and whole == len(record) > begin and bool(record[begin + 9] & _UNMOUNT)
