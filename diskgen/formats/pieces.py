"""The data of a raw disk in pieces, each made into something by any thread, in order.

What is a hole in the file is never read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from ..disk.sparse import data_extents
from ..units import align_down, align_up

_BATCH: Final = 2 * 1024 * 1024  # bytes that one thread takes at a time, about

Made = TypeVar("Made")


def data_units(source: int, size: int, unit: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of what is data in a sparse file of ``size`` bytes, grown to whole units.

    They ascend and do not touch; the last one ends with the file. Raises OSError.
    """
    begun: int | None = None
    end = 0
    for first, last in data_extents(source, 0, size):
        start = align_down(first, unit)
        if begun is not None and start > end:
            yield begun, min(end, size)
            begun = None
        if begun is None:
            begun = start
        end = align_up(last, unit)
    if begun is not None:
        yield begun, min(end, size)


def bytes_read(disk: Path, unit: int) -> int:
    """Return how much of a sparse disk file will be read in whole units. Raises OSError."""
    with disk.open("rb") as source:
        size = disk.stat().st_size
        return sum(end - start for start, end in data_units(source.fileno(), size, unit))


def made_of(
    source: int,
    size: int,
    unit: int,
    make: Callable[[bytes], Made],
    advance: Callable[[int], None],
) -> Iterator[tuple[int, Made]]:
    """Yield (number, ``make`` of its bytes) for each unit that is not all zeros, ascending.

    A last unit that the file cuts short is filled up with zeros. ``advance`` gets the bytes read.
    The result is the same for any number of threads. Raises OSError.
    """

    def batch(at: int, length: int) -> list[tuple[int, Made]]:
        data = memoryview(os.pread(source, length, at))
        out: list[tuple[int, Made]] = []
        for offset in range(0, length, unit):
            piece = bytes(data[offset : offset + unit])
            if piece.count(0) != len(piece):
                piece += bytes(unit - len(piece))
                out.append(((at + offset) // unit, make(piece)))
        return out

    def jobs() -> Iterator[tuple[int, Callable[[], list[tuple[int, Made]]]]]:
        step = max(unit, align_down(_BATCH, unit))
        for start, end in data_units(source, size, unit):
            for at in range(start, end, step):
                length = min(step, end - at)
                yield length, partial(batch, at, length)

    for done in in_order(jobs(), advance):
        yield from done


def in_order(
    jobs: Iterator[tuple[int, Callable[[], Made]]], advance: Callable[[int], None]
) -> Iterator[Made]:
    """Yield what jobs return, in their order, while threads work ahead.

    A job comes with its size, which ``advance`` gets when it is done. Raises what a job raises.
    """
    workers = os.cpu_count() or 1
    pending: deque[tuple[int, Future[Made]]] = deque()

    def oldest() -> Made:
        size, job = pending.popleft()
        done = job.result()
        advance(size)
        return done

    with ThreadPoolExecutor(workers) as pool:
        try:
            for size, job in jobs:
                pending.append((size, pool.submit(job)))
                if len(pending) > 2 * workers:
                    yield oldest()
            while pending:
                yield oldest()
        finally:
            pool.shutdown(cancel_futures=True)
