"""The data of a file goes to a place: in parallel, each piece until it has arrived, holes never."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import DiskgenError, PublishError
from ..events import step
from ..units import format_size
from .extents import Piece, Sparse, is_zero
from .journal import Journal
from .publication import Means
from .retry import Patience, Stopped

_JOIN_SECONDS: Final = 10.0  # until workers have noticed that nobody wants them any more
_LOOK_SECONDS: Final = 0.2  # in which a signal is noticed, too


class Line(Protocol):
    """A connection of one worker."""

    def put(self, piece: Piece, data: bytes, digest: bytes) -> None:
        """Send a piece. ``digest`` is its sha256. Raises Transient, PublishError."""

    def cut(self) -> None:
        """End what another thread waits for now: it gets Transient."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a place has now: digests (sha256) of its pieces by number; bytes sent by this run."""

    digests: dict[int, bytes]
    sent: int
    before: int  # bytes that an earlier run had sent


@dataclass(slots=True)
class _Work:
    source: Sparse
    left: Iterator[Piece]
    journal: Journal
    means: Means
    patience: Patience
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Of the workers: a piece that is done, with its digest or None for zeros; what went wrong.
    done: queue.SimpleQueue[tuple[Piece, bytes | None, bool] | BaseException] = field(
        default_factory=queue.SimpleQueue
    )

    def next(self) -> Piece | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.left, None)


def send(
    source: Sparse,
    grain: int,
    connect: Callable[[], Line],
    journal: Journal,
    means: Means,
    *,
    pad: bool = False,
    every: bool = False,
    title: str = "Uploading the disk",
) -> Sent:
    """Send what data a file has in pieces of ``grain`` bytes, and return what has arrived.

    What the journal has is not sent again, unless its bytes are others now. With ``pad`` the last
    piece is filled up with zeros; with ``every`` holes and zeros are sent as well. Raises
    PublishError as soon as a piece cannot be sent, OSError.
    """
    parts = list(source.parts(grain) if every else source.pieces(grain))
    stop = threading.Event()
    work = _Work(source, iter(parts), journal, means, means.patience.until(stop), stop)
    size = grain if pad else 0
    number = max(1, min(means.workers, len(parts)))
    lines: list[Line] = []
    threads: list[threading.Thread] = []
    with step(
        means.emit, "upload", title, total=sum(piece.length for piece in parts), unit="bytes"
    ) as phase:
        try:
            for _ in range(number):
                line = connect()
                lines.append(line)
                threads.append(
                    threading.Thread(target=_run, args=(work, line, size, every), daemon=True)
                )
                threads[-1].start()
            sent = _gather(work, threads, len(parts), phase.advance)
        finally:
            work.stop.set()
            for line in lines:
                line.cut()
            for thread in threads:
                thread.join(_JOIN_SECONDS)
            for line in lines:
                line.close()
        phase.detail = _words(sent, source.size)
    return sent


def _words(sent: Sent, size: int) -> str:
    before = f", {format_size(sent.before)} were there" if sent.before else ""
    return f"{format_size(sent.sent)} of {format_size(size)} sent{before}"


def _gather(
    work: _Work, threads: list[threading.Thread], count: int, advance: Callable[[int], None]
) -> Sent:
    """Wait for all pieces; raise what the first worker that failed raised."""
    digests: dict[int, bytes] = {}
    sent = before = 0
    while count:
        try:
            found = work.done.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if not any(thread.is_alive() for thread in threads) and work.done.empty():
                raise PublishError("the workers of a transfer ended before it did") from None
            continue
        if isinstance(found, BaseException):
            raise found
        piece, digest, known = found
        count -= 1
        if digest is not None:
            digests[piece.number] = digest
            before += piece.length if known else 0
            sent += 0 if known else piece.length
        advance(piece.length)
    return Sent(digests=digests, sent=sent, before=before)


def _run(work: _Work, line: Line, size: int, every: bool) -> None:
    try:
        while (piece := work.next()) is not None:
            work.done.put(_piece(work, line, piece, size, every))
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001 - whoever waits for us raises it
        if not work.stop.is_set() or isinstance(error, DiskgenError):
            work.done.put(error)
        work.stop.set()


def _piece(
    work: _Work, line: Line, piece: Piece, size: int, every: bool
) -> tuple[Piece, bytes | None, bool]:
    data = work.source.read(piece)
    if not every and is_zero(data):
        return piece, None, False
    data = data.ljust(size, b"\0")
    digest = hashlib.sha256(data).digest()
    if work.journal.pieces.get(piece.number) == digest.hex():
        return piece, digest, True
    work.means.pace.take(len(data), work.stop)
    work.patience.of(
        f"sending bytes {piece.offset} to {piece.offset + piece.length - 1}",
        lambda: line.put(piece, data, digest),
    )
    work.journal.arrived(piece.number, digest.hex())
    return piece, digest, False
