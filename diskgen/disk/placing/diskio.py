"""Writing at a place of a file, all of it: a nearly full host takes only a part at first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from ...units import MIB

Buffer = bytes | bytearray | memoryview

_GATHER: Final = MIB  # that are written together, about


def write_at(fd: int, pieces: Sequence[Buffer], offset: int) -> int:
    """Write pieces one after another at ``offset``; return their length. Raises OSError."""
    total = sum(map(len, pieces))
    written = os.pwritev(fd, pieces, offset) if total else 0
    if written < total:
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            count = os.pwrite(fd, rest, offset + written)
            rest, written = rest[count:], written + count
    return total


class Gathered:
    """Metadata on their way: what follows each other is written together.

    ``write`` gets pieces and the address of the first one.
    """

    def __init__(self, write: Callable[[Sequence[bytes], int], object]) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._begin = self._end = 0

    def put(self, at: int, raw: bytes) -> None:
        """Write bytes at an address, together with those before it. Raises OSError."""
        if at != self._end or self._end - self._begin >= _GATHER:
            self.flush()
            self._begin = at
        self._pieces.append(raw)
        self._end = at + len(raw)

    def flush(self) -> None:
        """Write what is still there. Raises OSError."""
        if self._pieces:
            self._write(self._pieces, self._begin)
        self._pieces = []
        self._begin = self._end
