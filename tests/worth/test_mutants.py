"""Mutants are the same each time, are programs, and leave words for people alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .mutants import of_file, sample
from .mutate import report

SOURCE = '''"""A module."""

def fits(size: int, limit: int = 4) -> bool:
    """Say whether it fits."""
    note(size)
    if size > limit and not empty:
        raise ValueError(f"{size} is more than {limit + 1}")
    return size + 1 <= limit
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "diskgen/formats/é.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    return tmp_path


def test_what_is_changed(tree: Path) -> None:
    changes = [(m.before, m.text) for m in of_file(tree / "diskgen/formats/é.py", tree)]
    assert changes == [
        ("note(size)", "pass"),
        ("size > limit and (not empty)", "(size > limit or not empty)"),
        ("size > limit", "(size >= limit)"),
        ("not empty", "(empty)"),
        ("return size + 1 <= limit", "return None"),
        ("size + 1 <= limit", "(size + 1 < limit)"),
        ("size + 1", "(size - 1)"),
        ("1", "2"),
    ]


def test_a_mutant_is_a_program_with_one_change(tree: Path) -> None:
    source = SOURCE.encode()
    for mutant in sample(tree):
        changed = mutant.applied(source)
        assert changed != source
        assert changed.count(b"\n") == source.count(b"\n")
        ast.parse(changed)


def test_a_seed_gives_one_sample(tree: Path) -> None:
    assert sample(tree, 5, 1) == sample(tree, 5, 1)
    assert sample(tree, 5, 1) != sample(tree, 5, 2)
    assert len({m.name for m in sample(tree)}) == len(sample(tree)) == 8


@pytest.mark.parametrize(
    ("killed", "status"), [(17, 1), (20, 0)], ids=["survivors without a reason", "all killed"]
)
def test_the_verdict(killed: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": str(number), "verdict": "killed" if number < killed else "survived"}
        for number in range(20)
    ]
    assert report(rows) == status
    assert f"{killed} of 20 killed" in capsys.readouterr().out
