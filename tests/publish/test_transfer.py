"""Data goes in parallel, again where a place stumbles, on from where a killed run was."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from diskgen.errors import HostError, PublishError
from diskgen.events import Event, StepProgress, discard
from diskgen.publish.extents import Piece, Sparse, is_zero, pieces
from diskgen.publish.journal import Journal
from diskgen.publish.pace import Pace
from diskgen.publish.publication import Means
from diskgen.publish.retry import Patience, Stopped, Transient
from diskgen.publish.transfer import Sent, send

GRAIN = 4096
QUICK = Patience(attempts=5, first=0.001, most=0.01)


@dataclass
class Shelf:
    """A place that keeps pieces; ``before`` may refuse one."""

    held: dict[int, bytes] = field(default_factory=dict)
    puts: list[int] = field(default_factory=list)
    before: Callable[[Piece], None] = lambda _piece: None
    opened: int = 0
    closed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self) -> Shelf:
        self.opened += 1
        return self

    def put(self, piece: Piece, data: bytes, digest: bytes) -> None:
        assert hashlib.sha256(data).digest() == digest
        with self.lock:
            self.puts.append(piece.number)
        self.before(piece)
        with self.lock:
            self.held[piece.number] = data

    def cut(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def sparse(path: Path, size: int, data: dict[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for at, some in data.items():
            file.seek(at)
            file.write(some)
    return path


def through(path: Path, shelf: Shelf, means: Means | None = None, *, pad: bool = False) -> Sent:
    means = means or Means(emit=discard, workers=4, patience=QUICK)
    with Journal.beside(path, "shelf", {}) as journal, Sparse(path) as source:
        return send(source, GRAIN, shelf.connect, journal, means, pad=pad)


def noise(number: int, length: int = GRAIN) -> bytes:
    return random.Random(number).randbytes(length)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return sparse(tmp_path / "disk", 1000 * GRAIN,
                  {n * GRAIN: noise(n) for n in (0, 1, 7, 8, 9, 500, 998)})  # fmt: skip


def test_what_arrives_is_the_file_without_its_holes(tmp_path: Path) -> None:
    """Random files: put together again they are the same, and no piece is of zeros."""
    chance = random.Random(15)
    for number in range(40):
        size = chance.choice([1, GRAIN - 1, GRAIN, GRAIN + 1, 90_000, 3 * 2**20 + 5])
        spots = {chance.randrange(size): chance.randbytes(chance.choice([1, 100, 9000]))
                 for _ in range(chance.randrange(5))}  # fmt: skip
        spots |= {chance.randrange(size): bytes(chance.randrange(9000))}
        path = sparse(tmp_path / f"{number}", size,
                      {at: data[: size - at] for at, data in spots.items()})  # fmt: skip
        shelf = Shelf()
        sent = through(path, shelf)
        whole = bytearray(size)
        for at, data in shelf.held.items():
            assert data.strip(b"\0")
            whole[at * GRAIN : at * GRAIN + len(data)] = data
        assert bytes(whole) == path.read_bytes()
        assert sent.sent == sum(map(len, shelf.held.values()))
        assert {n: d.hex() for n, d in sent.digests.items()} == {
            n: hashlib.sha256(data).hexdigest() for n, data in shelf.held.items()
        }


def test_holes_are_not_even_read(tmp_path: Path) -> None:
    path = sparse(tmp_path / "huge", 2**42, {2**41: b"x"})
    with Sparse(path) as source:
        assert [p.number for p in source.pieces(GRAIN)] == [2**41 // GRAIN]


def test_a_last_piece_is_filled_up_where_that_is_asked_for(tmp_path: Path) -> None:
    path = sparse(tmp_path / "short", GRAIN + 3, {GRAIN: b"abc"})
    short, filled = Shelf(), Shelf()
    through(path, short)
    Path(tmp_path / "filled").write_bytes(path.read_bytes())
    through(tmp_path / "filled", filled, pad=True)
    assert short.held[1] == b"abc"
    assert filled.held[1] == b"abc".ljust(GRAIN, b"\0")


def test_bytes_that_follow_a_file_are_a_piece_of_their_own(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 3 * GRAIN, {0: b"x"})
    with Sparse(path, b"footer") as source:
        found = list(source.pieces(2 * GRAIN))
        assert [(p.number, p.offset, p.length) for p in found][-1] == (2, 3 * GRAIN, 6)
        assert source.read(found[-1]) == b"footer"
        assert source.size == 3 * GRAIN + 6


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 3 * GRAIN, {0: noise(1, 3 * GRAIN)})
    with Sparse(path) as source:
        os.truncate(path, GRAIN)
        with pytest.raises(OSError, match="shorter"):
            source.read(Piece(2, 2 * GRAIN, GRAIN))


@pytest.mark.parametrize(("data", "zero"), [(b"", True), (bytes(9), True), (b"\0\0a", False),
                                            (b"a\0", False)])  # fmt: skip
def test_zeros_are_told(data: bytes, zero: bool) -> None:
    assert is_zero(data) == zero


def test_a_file_of_holes_has_no_piece(tmp_path: Path) -> None:
    path = sparse(tmp_path / "none", GRAIN * 5, {})
    with path.open("rb") as file:
        assert list(pieces(file.fileno(), GRAIN, GRAIN * 5)) == []
    assert through(path, Shelf()).digests == {}


def test_what_stumbles_is_sent_again(disk: Path) -> None:
    chance = random.Random(4)
    left = {n: chance.randrange(4) for n in range(1000)}

    def stumble(piece: Piece) -> None:
        left[piece.number] -= 1
        if left[piece.number] >= 0:
            raise Transient("not now")

    shelf = Shelf(before=stumble)
    through(disk, shelf)
    assert sorted(shelf.held) == [0, 1, 7, 8, 9, 500, 998]
    assert len(shelf.puts) > 7


def test_what_never_goes_well_ends_everything(disk: Path) -> None:
    def refuse(piece: Piece) -> None:
        if piece.number == 7:
            raise Transient("the cable is cut")

    shelf = Shelf(before=refuse)
    with pytest.raises(PublishError, match=r"failed 5 times.*the cable is cut"):
        through(disk, shelf)
    assert shelf.puts.count(7) == 5
    assert shelf.closed == shelf.opened


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    path = sparse(tmp_path / "long", 400 * GRAIN, {0: noise(1, 400 * GRAIN)})

    def refuse(piece: Piece) -> None:
        if piece.number == 9:
            raise PublishError("no")
        time.sleep(0.005)

    shelf = Shelf(before=refuse)
    with pytest.raises(PublishError, match="no"):
        through(path, shelf)
    assert shelf.puts.count(9) == 1
    assert len(shelf.puts) < 200, "the others stopped, too"


def test_pieces_go_side_by_side(disk: Path) -> None:
    together = threading.Barrier(4, timeout=20)

    def meet(piece: Piece) -> None:
        if piece.number in (0, 1, 7, 8):
            together.wait()

    shelf = Shelf(before=meet)
    through(disk, shelf)
    assert len(shelf.held) == 7


def test_a_second_run_sends_what_is_missing(disk: Path) -> None:
    def refuse(piece: Piece) -> None:
        if piece.number == 500:
            raise PublishError("no")

    one = Means(emit=discard, workers=1, patience=QUICK)
    with pytest.raises(PublishError):
        through(disk, Shelf(before=refuse), one)
    shelf = Shelf()
    sent = through(disk, shelf, one)
    assert sorted(shelf.held) == [500, 998]
    assert sorted(sent.digests) == [0, 1, 7, 8, 9, 500, 998]
    assert (sent.sent, sent.before) == (2 * GRAIN, 5 * GRAIN)


def test_a_file_that_changed_is_begun_anew(disk: Path) -> None:
    with Journal.beside(disk, "shelf", {}) as journal:
        journal.note("snapshot", "snap-1")
        journal.arrived(0, "00")
    with disk.open("r+b") as file:
        file.write(b"changed")
    os.utime(disk, ns=(1, 1))
    with Journal.beside(disk, "shelf", {}) as journal:
        assert journal.stale == {"snapshot": "snap-1"}
        assert journal.get("snapshot") is None
        assert journal.pieces == {}
        journal.arrived(1, "11")
    # A run that is killed before it has removed that leaves it to the next one.
    with Journal.beside(disk, "shelf", {}) as journal:
        assert (journal.stale, journal.pieces) == ({"snapshot": "snap-1"}, {1: "11"})
        journal.settle()
        journal.note("snapshot", "snap-2")
    with Journal.beside(disk, "shelf", {}) as journal:
        assert (journal.stale, journal.facts) == ({}, {"snapshot": "snap-2"})
        assert journal.pieces == {1: "11"}
        journal.forget()
    with Journal.beside(disk, "shelf", {}) as journal:
        assert (journal.stale, journal.facts, journal.pieces) == ({}, {}, {})


def test_what_is_asked_of_a_place_has_a_journal_of_its_own(disk: Path) -> None:
    with (
        Journal.beside(disk, "shelf", {"name": "a"}) as a,
        Journal.beside(disk, "shelf", {"name": "b"}) as b,
        Journal.beside(disk, "board", {"name": "a"}) as c,
    ):
        assert len({a.path, b.path, c.path}) == 3
        assert all(one.path.stat().st_mode & 0o777 == 0o600 for one in (a, b, c))


def test_two_runs_do_not_share_a_journal(disk: Path) -> None:
    with (
        Journal.beside(disk, "shelf", {}),
        pytest.raises(HostError, match="another run publishes the same"),
        Journal.beside(disk, "shelf", {}),
    ):
        pass


@pytest.mark.parametrize("end", [b'{"piece": 1, "dig', b"\n\n", b"[1]\n", b"\xff\xfe\n",
                                 b'{"piece": "1", "digest": 2}\n'])  # fmt: skip
def test_a_journal_that_was_cut_is_read_as_far_as_it_goes(disk: Path, end: bytes) -> None:
    with Journal.beside(disk, "shelf", {}) as journal:
        journal.note("token", "t")
        journal.arrived(3, "aa")
    with journal.path.open("ab") as file:
        file.write(end)
    with Journal.beside(disk, "shelf", {}) as again:
        assert again.get("token") == "t"
        assert again.pieces == {3: "aa"}
        again.arrived(4, "bb")
    if not end.endswith(b"\n"):
        with Journal.beside(disk, "shelf", {}) as third:
            assert third.pieces == {3: "aa", 4: "bb"}


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root: gives a file away")
def test_a_journal_of_somebody_else_is_not_believed(disk: Path) -> None:
    """It would name what we delete at the place, with our rights."""
    with Journal.beside(disk, "shelf", {}) as journal:
        journal.note("snapshot", "snap-1")
    os.chown(journal.path, 12345, 12345)
    os.utime(disk, ns=(1, 1))
    with pytest.raises(HostError, match="is not yours"):
        Journal.beside(disk, "shelf", {})


def test_a_directory_that_takes_no_journal_is_told(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 10, {})
    name = None
    with Journal.beside(path, "shelf", {}) as journal:
        name = journal.path
    name.unlink()
    name.symlink_to(tmp_path / "elsewhere")  # of somebody else
    with pytest.raises(HostError, match="cannot be written"):
        Journal.beside(path, "shelf", {})
    assert not (tmp_path / "elsewhere").exists()


def test_a_pace_is_kept(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 50 * GRAIN, {0: noise(1, 50 * GRAIN)})
    begun = time.monotonic()
    through(path, Shelf(), Means(emit=discard, workers=4, pace=Pace(100 * GRAIN), patience=QUICK))
    assert 0.4 < time.monotonic() - begun < 5


def test_waits_are_random_grow_and_heed_what_the_place_asks() -> None:
    waits: list[float] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return False

    def never() -> None:
        raise Transient("no", wait=30 if len(waits) == 5 else None)

    with pytest.raises(PublishError):
        Patience(attempts=12, first=1, most=20).until(Clock()).of("it", never)
    assert len(waits) == 11
    assert 40 <= waits[5] <= 50, "what is asked for, and a pause of our own"
    assert all(wait <= min(20, 2**n) for n, wait in enumerate(waits) if n != 5)
    assert len({round(wait, 6) for wait in waits}) > 8


def test_who_waits_is_stopped_at_once() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()

    def never() -> None:
        raise Transient("no", wait=100)

    begun = time.monotonic()
    with pytest.raises(Stopped):
        Patience().until(stop).of("it", never)
    assert time.monotonic() - begun < 10


def test_progress_counts_bytes(disk: Path) -> None:
    seen: list[Event] = []
    through(disk, Shelf(), Means(emit=seen.append, workers=2, patience=QUICK))
    progress = [event for event in seen if isinstance(event, StepProgress)]
    assert (progress[-1].done, progress[-1].total) == (7 * GRAIN, 7 * GRAIN)
