"""What of a sparse file is data; lseek(2), SEEK_DATA and SEEK_HOLE."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator


def data_extents(fd: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what is no hole between two bytes of a file. Raises OSError.

    A filesystem that knows no holes has nothing but data.
    """
    at = begin
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            stop = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            if error.errno != errno.EINVAL:
                raise
            start, stop = at, end
        if start < end:
            yield start, min(stop, end)
        at = stop
