"""Sums of a pack file's pieces: what a build reads out of the cache is what was put there.

They are CRC-32 (ISO 3309), which costs a tenth of what copying does: they find what disks, memory
and power cuts do. Against people there are owners and modes, see :mod:`diskgen.image.private`.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Final

from .errors import HostError

try:
    from isal.isal_zlib import crc32
except ImportError:  # the runtime of an installer may do without
    from zlib import crc32

PIECE: Final = 256 * 1024  # bytes under one sum; fits into a processor's cache


class DamagedEntry(HostError):  # noqa: N818 - the state of a file, which is ours to repair
    """A file of the cache is not as it was written; ``path`` is where it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"'{path}' of the cache is damaged",
            hint="look after the disk that it is on",
            setting="cache-dir",
        )
        self.path = path


class Summer:
    """Makes the sums of what is written, one piece after another."""

    def __init__(self) -> None:
        self.sums = array("I")
        self._at = 0
        self._sum = 0

    def add(self, data: memoryview) -> None:
        """Take more bytes."""
        at = 0
        while at < len(data):
            part = data[at : at + PIECE - self._at]
            self._sum = crc32(part, self._sum)
            self._at += len(part)
            at += len(part)
            if self._at == PIECE:
                self.finish()

    def finish(self) -> array[int]:
        """Return all sums; what comes after is in a piece of its own."""
        if self._at:
            self.sums.append(self._sum)
            self._at = self._sum = 0
        return self.sums


class PackSums:
    """The sums of one pack file of ``size`` bytes; each piece is looked at once."""

    __slots__ = ("_path", "_size", "_sound", "_sums")

    def __init__(self, path: Path, size: int, sums: array[int]) -> None:
        self._path = path
        self._size = size
        self._sums = sums
        self._sound = bytearray(len(sums))

    def check(self, fd: int, offset: int, length: int) -> None:
        """Read all pieces that a range of the open pack touches. Raises DamagedEntry, OSError."""
        buffer = None
        for number in range(offset // PIECE, -(-(offset + length) // PIECE)):
            if number >= len(self._sums):
                raise DamagedEntry(self._path)
            if self._sound[number]:
                continue
            buffer = buffer or bytearray(PIECE)
            at = number * PIECE
            wanted = min(PIECE, self._size - at)
            with memoryview(buffer)[:wanted] as view:
                if os.preadv(fd, [view], at) != wanted or crc32(view) != self._sums[number]:
                    raise DamagedEntry(self._path)
            self._sound[number] = 1
