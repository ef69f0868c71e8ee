"""A mutant is noticed, or not, by the tests named; and the copy is whole again afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "def twice(number):\n    while number < 0:\n        number += 1\n    return 2 * number\n"
TESTS = """
import subprocess
from twice import twice

def test_zero(): assert twice(0) == 0
def test_one(): assert twice(1) == 2
def test_less(): assert twice(-1) == 0
def test_child(): subprocess.run(["sleep", "1000"])
"""


class Trial:
    def __init__(self, place: Path) -> None:
        self.path = place / "twice.py"
        self.path.write_text(PROGRAM)
        (place / "test_twice.py").write_text(TESTS)
        (place / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
        self.child = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("trial.py")], cwd=place, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip

    def ask(self, source: str | None, limit: float, *tests: str, every: bool = False) -> None:
        asked = {
            "path": None if source is None else "twice.py", "source": source or "",
            "tests": {f"test_twice.py::test_{name}": limit for name in tests}, "all": every,
        }  # fmt: skip
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(asked) + "\n")
        self.child.stdin.flush()

    def answer(self) -> dict[str, list[str]]:
        assert self.child.stdout is not None
        found: dict[str, Any] = json.loads(self.child.stdout.readline())
        return {what: [name.rpartition("_")[2] for name in names] for what, names in found.items()}


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tmp_path)
    yield made
    made.child.communicate(timeout=60)
    assert made.path.read_text() == PROGRAM


def test_the_first_failure_is_enough(trial: Trial) -> None:
    trial.ask(PROGRAM.replace("2 *", "3 *"), 60, "zero", "one", "less")
    assert trial.answer() == {"ran": ["zero", "one"], "failed": ["one"], "hung": []}
    trial.ask(PROGRAM.replace("2 *", "3 *"), 60, "less", "zero")
    assert trial.answer() == {"ran": ["less", "zero"], "failed": [], "hung": []}
    trial.ask(None, 60, "one", "zero", every=True)
    assert trial.answer() == {"ran": ["one", "zero"], "failed": [], "hung": []}


def test_what_hangs_is_ended(trial: Trial) -> None:
    trial.ask(PROGRAM.replace("+= 1", "-= 1"), 1, "less", "one")
    assert trial.answer() == {"ran": [], "failed": [], "hung": ["less"]}
    trial.ask(None, 1, "child")
    assert trial.answer()["hung"] == ["child"]


def test_what_is_no_program_is_noticed(trial: Trial) -> None:
    trial.ask("import nothing_of_that_name", 60, "one")
    assert trial.answer()["failed"] == ["twice.py"]


def test_an_ended_trial_leaves_no_mutant(trial: Trial) -> None:
    trial.ask(PROGRAM.replace("+= 1", "-= 1"), 1000, "less")
    while trial.path.read_text() == PROGRAM:
        time.sleep(0.01)
    trial.child.send_signal(signal.SIGTERM)
    trial.child.wait(60)
