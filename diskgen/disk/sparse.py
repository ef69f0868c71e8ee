"""What of a sparse file is data; lseek(2), SEEK_DATA and SEEK_HOLE."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator


def data_extents(fd: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what is no hole between two bytes of a file. Raises OSError."""
    at = begin
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        if start < end:
            yield start, min(at, end)
