"""Tests are chosen by the lines that they ran, as long as what was measured is what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import coverage
import pytest

from .choice import Chooser
from .measured import digests, known, write_state
from .mutants import Mutant, of_file

PROGRAM = "diskgen/disk/size.py"
FILES = {
    PROGRAM: "LIMIT = 4\nOTHER = 5\n\ndef fits(size):\n    return size < LIMIT\n",
    "diskgen/layout.py": "from .disk.size import OTHER\n\ndef more():\n    return OTHER + 1\n",
    "tests/disk/test_size.py": "",
    "tests/test_layout.py": "",
}
ONE, TWO, OUTSIDE = (
    "tests/disk/test_size.py::test_one", "tests/disk/test_size.py::test_two",
    "tests/test_layout.py::test_more",
)  # fmt: skip
TIMES = {ONE: 2.0, TWO: 1.0, OUTSIDE: 0.4}
RAN = {
    PROGRAM: {"start": {1, 2, 4}, f"start|{ONE}": {5}, TWO: {5}, OUTSIDE: {5}},
    "diskgen/layout.py": {"start": {1, 3}, OUTSIDE: {4}},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def measure(tree: Path, times: Mapping[str, float | None]) -> Path:
    place = tree / "measured"
    (place / "times").mkdir(parents=True)
    (place / "times/1.json").write_text(json.dumps(times))
    held = coverage.CoverageData(str(place / "data"))
    for path, contexts in RAN.items():
        for context, lines in contexts.items():
            held.set_context(context)
            held.add_lines({str(tree / path): lines})
    held.write()
    write_state(place, tree, [])
    return place


def chosen(tree: Path, place: Path, mutant: Mutant, bound: float = 60) -> list[str]:
    found = known([place], digests(tree), [*RAN])
    return Chooser(tree, found).tests(mutant, bound)


def mutants(tree: Path) -> dict[int, Mutant]:
    return {mutant.line: mutant for mutant in of_file(tree / PROGRAM, tree)}


def test_the_rooms_own_and_the_quickest_come_first(tree: Path) -> None:
    place = measure(tree, TIMES)
    mutant = mutants(tree)[5]
    assert chosen(tree, place, mutant) == [TWO, OUTSIDE, ONE]
    assert chosen(tree, place, mutant, 1.5) == [TWO, OUTSIDE]
    assert chosen(tree, place, mutant, 0.1) == [TWO]


def test_long_ones_only_where_nothing_else_runs_the_line(tree: Path) -> None:
    assert chosen(tree, measure(tree, TIMES | {ONE: 30.0}), mutants(tree)[5]) == [TWO, OUTSIDE]


def test_nothing_but_long_ones(tree: Path) -> None:
    place = measure(tree, dict.fromkeys(TIMES, 30.0))
    assert chosen(tree, place, mutants(tree)[5], 1) == [ONE]


def test_what_failed_is_not_chosen(tree: Path) -> None:
    assert chosen(tree, measure(tree, TIMES | {TWO: None}), mutants(tree)[5]) == [OUTSIDE, ONE]


def test_a_constants_users_are_chosen(tree: Path) -> None:
    place = measure(tree, TIMES)
    assert chosen(tree, place, mutants(tree)[1]) == [TWO, OUTSIDE, ONE]
    assert chosen(tree, place, mutants(tree)[2]) == [OUTSIDE]  # used in another file


@pytest.mark.parametrize(("known_tests", "wanted"), [([ONE], [ONE]), ([], [OUTSIDE])])
def test_programs_of_unknown_tests_do_not_hide_those_that_are_known(
    tree: Path, monkeypatch: pytest.MonkeyPatch, known_tests: list[str], wanted: list[str]
) -> None:
    ran = {"start": {1, 2, 4, 5}, OUTSIDE: {1}, **{test: {5} for test in known_tests}}
    monkeypatch.setitem(RAN, PROGRAM, ran)
    assert chosen(tree, measure(tree, TIMES), mutants(tree)[5]) == wanted


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ("tests/test_layout.py", ["tests/test_layout.py"]),
        ("diskgen/layout.py", ["tests/test_layout.py"]),
        (PROGRAM, ["tests/disk/test_size.py", "tests/test_layout.py"]),
        ("tests/test_new.py", ["tests/test_new.py"]),
    ],
)
def test_what_a_change_concerns_is_measured_again(tree: Path, changed: str, due: list[str]) -> None:
    place = measure(tree, TIMES)
    assert known([place], digests(tree), [*RAN]).due == []
    (tree / changed).write_text("# changed\n")
    assert known([place], digests(tree), [*RAN]).due == due
