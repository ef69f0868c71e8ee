"""An initramfs as the bytes that a kernel unpacks: plain and compressed parts in one stream.

As in Linux's init/initramfs.c: where one part ends, zeros are passed and the next part is plain or
compressed, whatever the one before was; an archive may go on from one compressed part into the
next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ..compression import Damaged
from ..units import MIB
from . import unpackers
from .cpio import KNOWN

_PIECE: Final = MIB
_MAGIC: Final = 6  # bytes that tell what follows


class Raw:
    """Bytes out of an iterator of pieces, of which some can be put back."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left: bytes = b""
        self._at: int = 0

    def take(self, most: int = _PIECE) -> bytes:
        """Return at most so many bytes, at least one; none at the end."""
        while self._at >= len(self._left):
            found = next(self._pieces, None)
            if found is None:
                return b""
            self._left, self._at = found, 0
        data = self._left[self._at : self._at + most]
        self._at += len(data)
        return data

    def exactly(self, count: int) -> bytes:
        """Return so many bytes; fewer at the end only."""
        parts: list[bytes] = []
        while count > 0 and (data := self.take(count)):
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Let bytes be the next ones again."""
        if data == self._left[self._at - len(data) : self._at] and len(data) <= self._at:
            self._at -= len(data)
        else:
            self._left, self._at = data + self._left[self._at :], 0

    def peek(self, count: int) -> bytes:
        """Return the next bytes without taking them; fewer at the end only."""
        data = self.exactly(count)
        self.put_back(data)
        return data

    def pass_zeros(self) -> bool:
        """Pass zeros; say whether there is more."""
        while data := self.take():
            rest = data.lstrip(b"\0")
            if rest:
                self.put_back(rest)
                return True
        return False


class Source:
    """The unpacked stream; ``limit`` is how many bytes of it may be read."""

    def __init__(self, pieces: Iterator[bytes], limit: int, exceeded: str) -> None:
        self._raw = Raw(pieces)
        self._part: Raw | None = None  # the compressed part in hand
        self._left = limit
        self._exceeded = exceeded

    def at_end(self) -> bool:
        """Pass zeros between archives; say whether nothing is left. Raises Damaged."""
        while True:
            if self._part is not None:
                if self._part.pass_zeros():
                    return False
                self._part = None
            if not self._raw.pass_zeros():
                return True
            if not self._open():
                return False

    def read(self, count: int) -> bytes:
        """Return exactly so many bytes. Raises Damaged."""
        return b"".join(self._pieces(count))

    def skip(self, count: int) -> None:
        """Pass exactly so many bytes. Raises Damaged."""
        for _piece in self._pieces(count):
            pass

    def _pieces(self, count: int) -> Iterator[bytes]:
        self._left -= count
        if self._left < 0:
            raise Damaged(f"it holds {self._exceeded}")
        while count > 0:
            data = (self._part or self._raw).take(min(count, _PIECE))
            if not data:
                if self._part is None or not self._raw.pass_zeros() or not self._open():
                    raise Damaged("it ends too early")
                continue
            count -= len(data)
            yield data

    def _open(self) -> bool:
        """Begin the next part; say whether it is compressed. Raises Damaged."""
        self._part = None
        head = self._raw.peek(_MAGIC)
        if head in KNOWN:
            return False
        unpack: Callable[[Raw], Iterator[bytes]] = unpackers.of(head)
        self._part = Raw(_counted(unpack(self._raw), self._left, self._exceeded))
        return True


def _counted(pieces: Iterator[bytes], limit: int, exceeded: str) -> Iterator[bytes]:
    """Yield pieces up to a limit that zeros, which nobody reads, count against too."""
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise Damaged(f"it holds {exceeded}")
        yield piece
