"""Where contents come from and go to: what is one copy, and what must stay two."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskgen.disk.placing import content
from diskgen.tree import Packed

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
