"""Writing at a place of a file, all of it: a nearly full host takes only a part at first."""

from __future__ import annotations

import os
from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview


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
