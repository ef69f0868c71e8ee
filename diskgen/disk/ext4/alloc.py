"""Free blocks, handed out from the lowest upwards: what is below the mark is in use."""

from __future__ import annotations

from collections.abc import Iterator

Run = tuple[int, int]  # (first block, number of blocks)


class FullError(Exception):
    """The filesystem has no more free blocks; the writer says it in the user's words."""


class Allocator:
    """Hands out each block of ``runs`` (ascending) once."""

    def __init__(self, runs: Iterator[Run]) -> None:
        self._runs = runs
        self._left = 0
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
        out = []
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
