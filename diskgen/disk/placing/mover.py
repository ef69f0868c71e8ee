"""Brings contents to the disk, in a thread: whoever waits can report and be interrupted."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...units import MIB
from .content import Copy, Made, Move, Write, Zero
from .diskio import write_at

_CHUNK: Final = 32 * MIB  # of one copy_file_range: how long an interrupt waits
_BUFFER: Final = MIB
_ZEROS: Final = bytes(_BUFFER)
_GATHERED: Final = 1024  # buffers in one pwritev (IOV_MAX)
# The kernel or a filesystem does not copy between these two files: then we do.
_CANNOT_COPY: Final = {errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM}


class Mover:
    """Does moves in their order. ``done`` counts bytes; ``error`` is what ended it early.

    What comes out of the cache is compared with its sums before it goes to the disk.
    """

    def __init__(self, disk: int, moves: Sequence[Move]) -> None:
        self.done = 0
        self.error: BaseException | None = None
        self._disk = disk
        self._moves = moves
        self._stop = threading.Event()
        self._reported = 0
        self._copies = hasattr(os, "copy_file_range")
        self._thread = threading.Thread(target=self._run, name="diskgen-contents", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def report(self, advance: Callable[[int], None]) -> None:
        """Tell ``advance`` how many bytes were moved since the last time."""
        done = self.done
        if done > self._reported:
            advance(done - self._reported)
            self._reported = done

    def finish(self, advance: Callable[[int], None]) -> None:
        """Wait for the last byte, and raise what went wrong (OSError, DamagedEntry)."""
        while self._thread.is_alive():
            self._thread.join(0.1)
            self.report(advance)
        self.report(advance)
        if self.error is not None:
            raise self.error

    def cancel(self) -> None:
        """End soon and wait for it: nothing may write after the descriptor is closed."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for pack, moves in _by_pack(self._moves):
                with _opened(pack) as source:
                    for move in moves:
                        self._move(move, source)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
            self.error = error

    def _move(self, move: Move, source: int) -> None:
        match move:
            case Write(target, _, pieces):
                self._write_all(pieces, target)
            case Made(target, _, make):
                if not self._stop.is_set():
                    self._write_all(make(), target)
            case Zero(target, length):
                for at in range(0, length, _BUFFER):
                    self._write([_ZEROS[: length - at]], target + at)
            case Copy():
                self._copy(move, source)

    def _write_all(self, pieces: Sequence[bytes], target: int) -> None:
        for at in range(0, len(pieces), _GATHERED):
            target += self._write(pieces[at : at + _GATHERED], target)

    def _write(self, pieces: Sequence[bytes], target: int) -> int:
        """Write all of pieces at target unless stopped; return how many bytes they are."""
        if self._stop.is_set():
            return sum(map(len, pieces))
        written = write_at(self._disk, pieces, target)
        self.done += written
        return written

    def _copy(self, move: Copy, source: int) -> None:
        done = 0
        while done < move.length and not self._stop.is_set():
            size = min(_CHUNK if self._copies else _BUFFER, move.length - done)
            at, to = move.source + done, move.target + done
            if move.sums is not None:
                move.sums.check(source, at, size)
            count = self._copy_range(source, self._disk, size, at, to)
            if not count:
                raise OSError(errno.EIO, "is shorter than its index says", os.fspath(move.pack))
            done += count
            self.done += count

    def _copy_range(self, source: int, disk: int, size: int, at: int, to: int) -> int:
        if self._copies:
            try:
                count = os.copy_file_range(source, disk, size, at, to)
                if count:
                    return count  # some filesystems say 0 for "cannot", so reading decides
            except OSError as error:
                if error.errno not in _CANNOT_COPY:
                    raise
                self._copies = False
        data = os.pread(source, min(size, _BUFFER), at)
        return write_at(disk, [data], to)


@contextmanager
def moving(disk: int, moves: Sequence[Move]) -> Generator[Mover]:
    """Do moves meanwhile; when the block is left, nothing writes any more."""
    mover = Mover(disk, moves)
    mover.start()
    try:
        yield mover
    finally:
        mover.cancel()


def _by_pack(moves: Sequence[Move]) -> Iterator[tuple[Path | None, list[Move]]]:
    """Yield moves in their order, in groups that need one pack (or none) to be open."""
    pack: Path | None = None
    group: list[Move] = []
    for move in moves:
        if isinstance(move, Copy) and move.pack != pack:
            if group:
                yield pack, group
            pack, group = move.pack, []
        group.append(move)
    yield pack, group


@contextmanager
def _opened(pack: Path | None) -> Generator[int]:
    if pack is None:
        yield -1
        return
    fd = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
