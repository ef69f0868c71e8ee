"""Runs a sample of mutants against the tests that cover each, in copies of the project.

``python -m tests.worth.mutate``: measures which test runs which line, as far as ``make coverage``
and earlier runs do not say it (``--as-measured``: not at all), then runs mutant after mutant, each
until a test fails. Each verdict is kept in ``build/mutation`` at once, and is good for as long as
the mutant's file and the test's are the same: a run that was ended goes on where it was, and after
a change only what it concerns runs again. The tree itself is never written to. Fails below 85 %
killed, or where a survivor has no line in survivors.toml.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .choice import Chooser
from .measured import Known, digests, is_module, known, module
from .mutants import ROOMS, Mutant, sample

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build/mutation"
EXPLAINED = Path(__file__).with_name("survivors.toml")
ENOUGH = 0.85
WORKERS = 2
BOUNDS = (15.0, 90.0)  # seconds of tests for a mutant: all of them first, then what survived
PATIENCE = (
    60.0,
    10,
)  # seconds, and times what a test took: more is a hang, which counts as noticed

Row = dict[str, Any]


def main() -> int:
    now = digests(ROOT)
    program = [path for path in now if path.split("/")[1] in ROOMS and path[:7] == "diskgen"]
    places = [_Place(PLACE / str(number)) for number in range(WORKERS)]
    mutants = sample(ROOT)
    found = _measured(places[0], now, program)
    rows = _kept(PLACE / "results.jsonl", mutants, now)
    unsound: set[str] = set()
    while True:
        for bound in BOUNDS:
            _run(places, _Round(mutants, rows, found, now, bound))
        killers = {row["killer"] for row in rows.values() if row.get("killer") in found.times}
        # A test that fails without a mutant too has noticed nothing.
        failing = places[0].failing(sorted(killers - unsound), found)
        if not failing:
            break
        unsound |= failing
        for test in failing:
            print(f"fails without any mutant: {test}")
            found.times.pop(test, None)
        for name in [name for name, row in rows.items() if row.get("killer") in failing]:
            del rows[name]
    return report([rows[mutant.name] for mutant in mutants])


def report(rows: list[Row]) -> int:
    """Print the share and what survived without a reason. Return an exit status."""
    explained = tomllib.loads(EXPLAINED.read_text())
    verdicts = [row["verdict"] for row in rows]
    killed = sum(verdict in ("killed", "hung") for verdict in verdicts)
    alive = [row["name"] for row in rows if row["verdict"] in ("survived", "not covered")]
    open_ones = [name for name in alive if name not in explained]
    for name in open_ones:
        print(f"neither killed nor explained: {name}")
    print(
        f"{killed} of {len(rows)} killed ({killed / len(rows):.1%}), {len(alive)} survived,"
        f" {len(alive) - len(open_ones)} of them explained"
    )
    return int(killed < ENOUGH * len(rows) or bool(open_ones))


class _Place:
    """A copy of the project with a Python that finds it, and the process that tries mutants."""

    def __init__(self, place: Path) -> None:
        self.tree = place / "tree"
        self.python = place / "venv/bin/python"
        self._child: subprocess.Popen[str] | None = None
        self._copy()
        if not (place / "ready").exists():
            self._make_venv(place)
            (place / "ready").touch()
        # Files change within a second here: what is compiled is told by the bytes it came from.
        subprocess.run(
            [
                self.python, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash",
                self.tree / "diskgen",
            ],
            check=True,
        )  # fmt: skip

    def _copy(self) -> None:
        """Make the copy what the project is now, whatever an ended run left in it."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
            capture_output=True, check=True,
        ).stdout.split(b"\0")  # fmt: skip
        paths = {Path(os.fsdecode(name)) for name in listed if name}
        for path in paths:
            copied = self.tree / path
            if not copied.is_file() or copied.read_bytes() != (ROOT / path).read_bytes():
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes((ROOT / path).read_bytes())
                copied.chmod((ROOT / path).stat().st_mode)
        for room in ("diskgen", "tests"):
            for path in (self.tree / room).rglob("*.py"):
                if path.relative_to(self.tree) not in paths:
                    path.unlink()

    def _make_venv(self, place: Path) -> None:
        venv.create(place / "venv", symlinks=True)
        (beside,) = (place / "venv/lib").glob("python*/site-packages")
        (here,) = Path(sys.prefix, "lib").glob("python*/site-packages")
        (beside / "a_mutated.pth").write_text(f"{self.tree}\n{here}\n")
        program = self.python.with_name("diskgen")
        program.write_text(
            f"#!{self.python}\nimport sys\nfrom diskgen.__main__ import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)

    def measure(self, modules: Iterable[str], to: Path) -> None:
        """Run modules of tests with coverage, and keep what that says."""
        subprocess.run(
            [
                self.python, "-m", "tests.worth.measure", "-n", "2", "--dist", "loadfile", *modules,
            ],
            cwd=self.tree, check=False, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if not (self.tree / "build/coverage/data").is_file():
            sys.exit("error: no test ran, so nothing says which tests a mutant needs")
        shutil.move(self.tree / "build/coverage", to)

    def ask(self, mutant: Mutant | None, tests: list[str], known: Known) -> dict[str, list[str]]:
        """Try a mutant, until a test fails; or run tests on the program as it is, all of them."""
        if self._child is None:
            self._child = subprocess.Popen(
                [self.python, "tests/worth/trial.py"], cwd=self.tree, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        asked = {
            "path": mutant.path if mutant else None,
            "source": mutant.applied((ROOT / mutant.path).read_bytes()).decode() if mutant else "",
            "tests": {test: PATIENCE[0] + PATIENCE[1] * known.times[test] for test in tests},
            "all": mutant is None,
        }
        self._child.stdin.write(json.dumps(asked) + "\n")
        self._child.stdin.flush()
        answer: dict[str, list[str]] = json.loads(self._child.stdout.readline())
        return answer

    def failing(self, tests: list[str], known: Known) -> set[str]:
        answer = self.ask(None, tests, known)
        return {test for test in tests if test in answer["failed"] or test not in answer["ran"]}


def _measured(place: _Place, now: dict[str, str], program: list[str]) -> Known:
    kept = sorted(PLACE.glob("measured/*"), key=lambda path: int(path.name))
    places = [p for p in [ROOT / "build/coverage", *kept] if (p / "state").is_file()]
    found = known(places, now, program)
    if not found.due or "--as-measured" in sys.argv:
        return found
    print(f"measuring {len(found.due)} of {sum(map(is_module, now))} modules of tests")
    new = PLACE / "measured" / str(int(kept[-1].name) + 1 if kept else 1)
    new.parent.mkdir(exist_ok=True)
    place.measure(found.due, new)
    return known([*places, new], now, program)


def _kept(path: Path, mutants: list[Mutant], now: dict[str, str]) -> dict[str, Row]:
    """Return the verdicts of earlier runs that still say something about this program."""
    rows: dict[str, Row] = {}
    lines = path.read_text().splitlines() if path.is_file() else []
    wanted = {mutant.name: mutant for mutant in mutants}
    for row in map(json.loads, lines):
        if row["name"] not in wanted or row["file"] != now[wanted[row["name"]].path]:
            continue
        row["tried"] = {
            test: digest for test, digest in row["tried"].items() if now.get(module(test)) == digest
        }
        killer = row.get("killer")
        if killer is None or killer in row["tried"]:
            rows[row["name"]] = row
    return rows


class _Round:
    """What is left to try within a bound of seconds, and where verdicts go."""

    def __init__(
        self, mutants: list[Mutant], rows: dict[str, Row], known: Known, now: dict[str, str],
        bound: float,
    ) -> None:  # fmt: skip
        self._left = list(reversed(mutants))
        self._rows, self.known, self._now, self._bound = rows, known, now, bound
        self._chooser = Chooser(ROOT, known)
        self._lock = threading.Lock()

    def next(self) -> tuple[Mutant, list[str]] | None:
        """Return a mutant and the tests that it has not been shown to."""
        with self._lock:
            while self._left:
                mutant = self._left.pop()
                row = self._rows.get(mutant.name, {"tried": {}})
                if row.get("killer"):
                    continue
                tests = self._chooser.tests(mutant, self._bound)
                untried = [test for test in tests if test not in row["tried"]]
                if untried:
                    return mutant, untried
                if not row["tried"]:
                    self._keep(mutant, {"verdict": "not covered"}, {}, 0)
        return None

    def done(
        self, mutant: Mutant, tests: list[str], answer: dict[str, list[str]], seconds: float
    ) -> None:
        killers = answer["failed"] + answer["hung"]
        row: Row = {"verdict": "survived"}
        if killers:
            row = {"verdict": "killed" if answer["failed"] else "hung", "killer": killers[0]}
        before = self._rows.get(mutant.name, {"tried": {}})["tried"]
        tried = killers[:1] or tests
        with self._lock:
            self._keep(
                mutant, row, before | {test: self._now[module(test)] for test in tried}, seconds
            )

    def _keep(self, mutant: Mutant, row: Row, tried: dict[str, str], seconds: float) -> None:
        row |= {
            "name": mutant.name, "line": mutant.line, "file": self._now[mutant.path],
            "tried": tried, "seconds": round(seconds, 1),
            "covering": len(self._chooser.covering(mutant)),
        }  # fmt: skip
        self._rows[mutant.name] = row
        with (PLACE / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{len(self._rows):>3} {row['verdict']:<11} {mutant.name}", flush=True)


def _run(places: list[_Place], work: _Round) -> None:
    def worker(place: _Place) -> None:
        while found := work.next():
            began = time.monotonic()
            work.done(*found, place.ask(*found, work.known), time.monotonic() - began)

    threads = [threading.Thread(target=worker, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
