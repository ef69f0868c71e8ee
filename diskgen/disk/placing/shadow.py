"""A file that has a filesystem's metadata and not its contents: all that e2fsck looks at.

e2fsck flushes its file to the medium even when it only reads, so it gets one of its own, and
judges it while the contents are on their way to the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...units import MIB
from ..sparse import data_extents
from .diskio import write_at

_BUFFER: Final = MIB

Range = tuple[int, int]  # begin and end, bytes


def make(
    disk: int, shadow: Path, whole: Range, contents: Sequence[Range], *, shift: int = 0
) -> None:
    """Copy to a new file, at the same places, what a part of ``disk`` holds beside ``contents``.

    ``shift`` is how many bytes before them it is to come to lie instead. The ranges of contents
    are in ascending order; others may write there meanwhile. Raises OSError.
    """
    with shadow.open("xb", buffering=0) as file:
        file.truncate(whole[1] - shift)
        for begin, end in _without(data_extents(disk, *whole), contents):
            for at in range(begin, end, _BUFFER):
                data = os.pread(disk, min(_BUFFER, end - at), at)
                write_at(file.fileno(), [data], at - shift)


def _without(ranges: Iterator[Range], taken: Sequence[Range]) -> Iterator[Range]:
    number = 0
    for begin, end in ranges:
        at = begin
        while number < len(taken) and taken[number][1] <= at:
            number += 1
        following = number  # a taken range may reach into the next one
        while following < len(taken) and taken[following][0] < end:
            if taken[following][0] > at:
                yield at, taken[following][0]
            at = max(at, taken[following][1])
            following += 1
        if at < end:
            yield at, end
