"""Free blocks, handed out from the lowest upwards: what is below the mark is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Run = tuple[int, int]  # (first block, number of blocks)
Extent = tuple[int, int, int]  # (first block in the file, number of blocks, first block on disk)


class FullError(Exception):
    """The filesystem has no more free blocks; the writer says it in the user's words."""


class Allocator:
    """Hands out each block of ``runs`` (ascending) once."""

    def __init__(self, runs: Iterator[Run]) -> None:
        self._runs = runs
        self._left: int = 0
        self.mark = 0  # every block below is used, every free block is at or above
        self.taken = 0

    def take(self, count: int) -> list[Run]:
        """Return ``count`` blocks in as few runs as there are. Raises FullError."""
        self.taken += count
        if count <= self._left:
            start = self.mark
            self.mark += count
            self._left -= count
            return [(start, count)] if count else []
        out: list[tuple[int, int]] = []
        while count:
            if not self._left:
                try:
                    self.mark, self._left = next(self._runs)
                except StopIteration:
                    raise FullError from None
            piece = min(count, self._left)
            out.append((self.mark, piece))
            self.mark += piece
            self._left -= piece
            count -= piece
        return out

    def one(self) -> int:
        """Return one block. Raises FullError."""
        return self.take(1)[0][0]


def append(extents: list[Extent], logical: int, runs: Iterable[Run], longest: int) -> int:
    """Append runs of disk blocks at block ``logical`` of a file; return the block after them.

    No extent is longer than ``longest`` blocks.
    """
    for first, blocks in runs:
        start, count = first, blocks
        if extents:
            at, length, disk = extents[-1]
            if at + length == logical and disk + length == start and length < longest:
                more = min(count, longest - length)
                extents[-1] = (at, length + more, disk)
                logical, start, count = logical + more, start + more, count - more
        while count:
            length = min(count, longest)
            extents.append((logical, length, start))
            logical, start, count = logical + length, start + length, count - length
    return logical
