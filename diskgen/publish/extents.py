"""The data of a sparse file in pieces of one size; holes and zeros are no data."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..formats.pieces import data_units


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, in bytes; ``number`` counts pieces of the whole file, holes too."""

    number: int
    offset: int
    length: int


class Sparse:
    """A file to be sent, with bytes that follow it or none. Use as a context manager."""

    def __init__(self, path: Path, tail: bytes = b"") -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._inner = os.fstat(self._file).st_size
        self._tail = tail
        self.size = self._inner + len(tail)

    def pieces(self, grain: int) -> Iterator[Piece]:
        """Yield what may hold data, in order, as :func:`pieces`; the tail is a piece of its own."""
        yield from pieces(self._file, grain, self._inner)
        if self._tail:
            yield Piece(-(-self._inner // grain), self._inner, len(self._tail))

    def parts(self, grain: int) -> Iterator[Piece]:
        """Yield all of the file, holes too; there is no tail then."""
        for offset in range(0, self._inner, grain):
            yield Piece(offset // grain, offset, min(grain, self._inner - offset))

    def read(self, piece: Piece) -> bytes:
        """Return the bytes of a piece. Raises OSError."""
        if piece.offset == self._inner:
            return self._tail
        return read(self._file, piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)


def pieces(file: int, grain: int, size: int) -> Iterator[Piece]:
    """Yield the pieces of an open file that are no holes, in order; the last may be short.

    ``file`` is a descriptor. Raises OSError.
    """
    for start, end in data_units(file, size, grain):
        for offset in range(start, end, grain):
            yield Piece(offset // grain, offset, min(grain, end - offset))


def read(file: int, piece: Piece) -> bytes:
    """Return the bytes of a piece. Raises OSError, also where the file has become shorter."""
    data = os.pread(file, piece.length, piece.offset)
    while len(data) < piece.length:
        more = os.pread(file, piece.length - len(data), piece.offset + len(data))
        if not more:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        data += more
    return data


def is_zero(data: bytes) -> bool:
    """Say whether there is nothing but zeros."""
    return not data.strip(b"\0") if data[:1] == b"\0" else not data
