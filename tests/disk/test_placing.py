"""Where contents come from and go to: what is one copy, and what must stay two."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from diskgen.disk.filesystems import KINDS, Job
from diskgen.disk.placing import content
from diskgen.disk.placing.diskio import Gathered, write_at
from diskgen.disk.placing.mover import Mover, moving
from diskgen.errors import UsageError
from diskgen.layout import Filesystem, Partition, Role
from diskgen.tree import Directory, Packed, regular
from diskgen.units import MIB

SIZE = 4096
FIRST = (0, 0)


@pytest.mark.parametrize(
    ("pack", "source", "target", "joined"),
    [
        ("pack", SIZE, SIZE, True),
        ("other", SIZE, SIZE, False),
        ("pack", 2 * SIZE, SIZE, False),
        ("pack", SIZE, 2 * SIZE, False),
        ("pack", 0, SIZE, False),
    ],
)
def test_copies_that_continue_are_one(pack: str, source: int, target: int, joined: bool) -> None:
    moves: list[content.Move] = []
    content._copy(moves, Packed(Path("pack"), SIZE, ((0, SIZE, 0),)), *FIRST, SIZE)
    content._copy(moves, Packed(Path(pack), SIZE, ((0, SIZE, source),)), source, target, SIZE)
    found = [
        (str(move.pack), move.source, move.target, move.length)
        for move in moves
        if isinstance(move, content.Copy)
    ]
    if joined:
        assert found == [("pack", 0, 0, 2 * SIZE)]
    else:
        assert found == [("pack", 0, 0, SIZE), (pack, source, target, SIZE)]


def test_what_is_gathered_is_written_as_if_it_were_not(tmp_path: Path) -> None:
    """Pieces that follow each other, or not, or go back; also more than is held."""
    chance = random.Random(11)
    straight, gathered = tmp_path / "straight", tmp_path / "gathered"
    calls: list[int] = []
    with straight.open("wb") as one, gathered.open("wb") as two:

        def write(pieces: Sequence[bytes], at: int) -> None:
            calls.append(write_at(two.fileno(), pieces, at))

        way = Gathered(write)
        at = count = 0
        for _ in range(3000):
            if chance.random() < 0.01:
                at = chance.randrange(2000) * SIZE
            piece = chance.randbytes(chance.choice((SIZE, SIZE, 4 * SIZE)))
            write_at(one.fileno(), [piece], at)
            way.put(at, piece)
            at, count = at + len(piece), count + len(piece)
        way.flush()
        way.flush()
    assert gathered.read_bytes() == straight.read_bytes()
    assert sum(calls) == count
    assert max(calls) < MIB + 4 * SIZE
    assert len(calls) < 100


@pytest.mark.parametrize("size", [16 * MIB, 330 * MIB])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_small_is_said_alike(kind: Filesystem, size: int, tmp_path: Path) -> None:
    """Too small for any filesystem, and for this tree: 340 MiB in few blocks of memory."""
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(MIB + size)
    part = Partition(
        role=Role.ROOT, number=1, start=MIB, size=size, type=UUID(int=1), uuid=UUID(int=2),
        name="root", filesystem=kind, fs_uuid=UUID(int=3), label="root",
    )  # fmt: skip
    large = bytes(MIB)
    tree = Directory(entries={b"f%d" % number: regular(large) for number in range(340)})
    job = Job(
        disk=tmp_path / "disk", part=part, tree=tree, timestamp=0, seed="s", kernel="6.12.0",
        sector_size=512, subvolume=None, spare=tmp_path / "spare", advance=lambda _: None,
    )  # fmt: skip
    with pytest.raises(UsageError) as caught:
        KINDS[kind].write(job)
    assert f"'{size // MIB} MiB' is too small for the image: '" in str(caught.value)
    more = re.search(r"'([0-9.]+) MiB' more are needed", str(caught.value))
    assert more is not None
    assert float(more[1]) > 340 - size // MIB
    if kind is Filesystem.EXT4:  # of the others the least size counts, which is more
        assert float(more[1]) < 345 - size // MIB * 0.8
    assert caught.value.setting == "disk-size"
    assert not (tmp_path / "spare").exists()


def interrupted(mover: Mover) -> None:
    while not mover.done:
        pass
    raise KeyboardInterrupt


def test_an_interrupt_stops_what_moves_contents(tmp_path: Path) -> None:
    """Whoever was interrupted closes the disk, and may remove it."""
    moves = [content.Write(0, SIZE, [bytes(SIZE)])] * 200_000
    before = threading.enumerate()
    with (tmp_path / "disk").open("wb") as disk:
        with pytest.raises(KeyboardInterrupt), moving(disk.fileno(), moves) as mover:
            interrupted(mover)
        assert threading.enumerate() == before
