"""Pack files: the contents of one layer, one after another, each at a multiple of 4096 bytes.

Laid out like this, contents that follow each other in a layer can follow each other on the disk,
and whole runs of files move with one copy.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from typing import Final

from ..packsums import Summer
from ..tree import BLOCK

WINDOW: Final = 64 * 1024  # zeros are left out in units of this, where they fill a whole unit
_ZEROS: Final = bytes(WINDOW)
_FLUSH: Final = 4 * 1024 * 1024

Extents = list[tuple[int, int, int]]


class PackWriter:
    """Appends contents to a pack file."""

    def __init__(self, fd: int, grown: Callable[[int], None]) -> None:
        self._fd = fd
        self._grown = grown
        self._buffer = bytearray()
        self.size = 0  # multiple of BLOCK between contents
        self._summer = Summer()

    def add(self, data: bytes) -> Extents:
        """Append one whole content of moderate size; return its extents."""
        extents: Extents = []
        self.extend(extents, 0, data)
        self.finish()
        return extents

    def extend(self, extents: Extents, at: int, data: bytes) -> None:
        """Append a piece of a content; ``at`` is its offset in the file, a multiple of WINDOW."""
        if len(data) < WINDOW or not any(
            data[i] == 0 and data[i : i + WINDOW] == _ZEROS
            for i in range(0, len(data) - WINDOW + 1, WINDOW)
        ):
            self._append(extents, at, data)
            return
        for i in range(0, len(data), WINDOW):
            window = data[i : i + WINDOW]
            if window != _ZEROS:
                self._append(extents, at + i, window)

    def finish(self) -> None:
        """Pad to the next block: the content is complete."""
        padding = -self.size % BLOCK
        if padding:
            self._buffer += bytes(padding)
            self.size += padding
        if len(self._buffer) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write out what is buffered."""
        view = memoryview(self._buffer)
        self._summer.add(view)
        at = 0
        while at < len(view):
            at += os.write(self._fd, view[at:])
        view.release()
        self._buffer = bytearray()
        self._grown(self.size)

    def close(self) -> array[int]:
        """Write out the rest; return the sums of all pieces."""
        self.flush()
        return self._summer.finish()

    def _append(self, extents: Extents, at: int, data: bytes) -> None:
        if extents:
            start, length, offset = extents[-1]
            if start + length == at and offset + length == self.size:
                extents[-1] = (start, length + len(data), offset)
            else:
                extents.append((at, len(data), self.size))
        else:
            extents.append((at, len(data), self.size))
        self._buffer += data
        self.size += len(data)
        if len(self._buffer) >= _FLUSH:
            self.flush()
