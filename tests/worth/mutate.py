"""Runs a sample of mutants against the tests that cover each, in a copy of the project.

``python -m tests.worth.mutate [TESTS ...]``: measures which test runs which line, by the fast tests
or those named, then runs mutant after mutant and writes each verdict to ``build/mutation``: a run
that was ended goes on where it was, as long as the tree is the same. Fails below 85 % killed, or
where a survivor has no line in survivors.toml.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

from .mutants import Mutant, sample

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build/mutation"
EXPLAINED = Path(__file__).with_name("survivors.toml")
ENOUGH = 0.85
SECONDS = 120.0  # of tests for one mutant, by what they took when measured
PATIENCE = 5  # times as long as that is a hang, which counts as noticed


def main() -> int:
    tree, python = _copy(PLACE)
    covered, times = _measured(tree, python, sys.argv[1:])
    results = PLACE / "results.jsonl"
    done = {row["name"]: row for row in map(json.loads, _lines(results))}
    for mutant in sample(tree):
        if mutant.name in done:
            continue
        began = time.monotonic()
        tests = _tests(mutant, covered, times)
        verdict = _verdict(mutant, tests, times, tree, python) if tests else "not covered"
        row = {"name": mutant.name, "line": mutant.line, "verdict": verdict, "tests": len(tests)}
        done[mutant.name] = row
        with results.open("a") as file:
            file.write(json.dumps(row | {"seconds": round(time.monotonic() - began, 1)}) + "\n")
        print(f"{len(done):>3} {verdict:<11} {mutant.path}:{mutant.line} {mutant.name[-60:]}")
    return report([done[m.name]["verdict"] for m in sample(tree)], done)


def report(verdicts: list[str], done: dict[str, dict[str, str]]) -> int:
    """Print the share and what survived without a reason. Return an exit status."""
    explained = tomllib.loads(EXPLAINED.read_text())
    killed = sum(verdict in ("killed", "hung") for verdict in verdicts)
    open_ones = [
        name
        for name, row in done.items()
        if row["verdict"] in ("survived", "not covered") and name not in explained
    ]
    print(f"{killed} of {len(verdicts)} killed: {killed / len(verdicts):.1%}")
    for name in open_ones:
        print(f"neither killed nor explained: {name}")
    return int(killed < ENOUGH * len(verdicts) or bool(open_ones))


def _copy(place: Path) -> tuple[Path, Path]:
    """Copy the project and give the copy a Python that finds it, and the libraries here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    paths = [Path(os.fsdecode(name)) for name in listed if name]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(b"%s\0%s\0" % (os.fsencode(path), (ROOT / path).read_bytes()))
    state = place / "state"
    tree, python = place / "tree", place / "venv/bin/python"
    if state.is_file() and state.read_text() == digest.hexdigest():
        return tree, python
    subprocess.run(["rm", "-rf", place], check=True)
    for path in paths:
        copied = tree / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes((ROOT / path).read_bytes())
        copied.chmod((ROOT / path).stat().st_mode)
    venv.create(place / "venv", symlinks=True)
    (beside,) = (place / "venv/lib").glob("python*/site-packages")
    (here,) = Path(sys.prefix, "lib").glob("python*/site-packages")
    (beside / "a_mutated.pth").write_text(f"{tree}\n{here}\n")
    program = python.with_name("diskgen")
    program.write_text(
        f"#!{python}\nimport sys\nfrom diskgen.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    # Times of changed files are the same within a second: compiled ones are told by their bytes.
    subprocess.run(
        [python, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", tree / "diskgen"],
        check=True,
    )
    state.write_text(digest.hexdigest())
    return tree, python


def _measured(
    tree: Path, python: Path, tests: list[str]
) -> tuple[dict[str, dict[int, set[str]]], dict[str, float]]:
    """Return which tests run each line of each file, and how long each test takes."""
    import coverage

    data = tree / "build/coverage"
    ready = PLACE / "measured"
    if not ready.exists():
        argv: list[str | Path] = [python, "-m", "tests.worth.measure", *tests]
        subprocess.run(
            argv, cwd=tree, check=False
        )  # a share below the wanted one is no matter here
        if not (data / "data").is_file():
            sys.exit("error: no test ran, so nothing says which tests a mutant needs")
        ready.touch()
    held = coverage.CoverageData(str(data / "data"))
    held.read()
    covered: dict[str, dict[int, set[str]]] = {}
    for file in held.measured_files():
        lines = held.contexts_by_lineno(file)
        covered[str(Path(file).relative_to(tree))] = {n: set(lines[n]) for n in lines}
    times: dict[str, float] = {}
    for path in (data / "times").iterdir():
        times |= json.loads(path.read_text())
    return covered, times


def _tests(
    mutant: Mutant, covered: dict[str, dict[int, set[str]]], times: dict[str, float]
) -> list[str]:
    """Return the tests that run a mutant's lines, the quickest first, up to a bound."""
    lines = covered.get(mutant.path, {})
    names: set[str] = set()
    for line in range(mutant.line, mutant.last_line + 1):
        names |= lines.get(line, set())
    if "start" in names:  # what runs when a module is imported: whoever uses the file
        names = set().union(*lines.values())
    chosen: list[str] = []
    cost = 0.0
    for name in sorted(names & times.keys(), key=lambda name: (times[name], name)):
        cost += times[name]
        if chosen and cost > SECONDS:
            break
        chosen.append(name)
    return chosen


def _verdict(
    mutant: Mutant, tests: list[str], times: dict[str, float], tree: Path, python: Path
) -> str:
    path = tree / mutant.path
    whole = path.read_bytes()
    path.write_bytes(mutant.applied(whole))
    argv: list[str | Path] = [python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    bound = 60 + PATIENCE * sum(times[name] for name in tests)
    child = subprocess.Popen(
        argv, cwd=tree, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return "survived" if child.wait(bound) == 0 else "killed"
    except subprocess.TimeoutExpired:
        return "hung"
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        path.write_bytes(whole)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
