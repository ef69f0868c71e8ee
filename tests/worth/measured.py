"""What is known of the tests: which of them run a line of the program, and how long each takes.

Each run of ``measure`` leaves a directory: ``data`` (of coverage, by test), ``times`` (seconds by
test, null where it failed) and ``state``: ``{"root": its tree, "tests": the modules that ran,
"files": {path: digest}}``. What one says of a test and a file of the program holds for as long as
both are what they were, so that a change costs the measuring of the tests that it concerns.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Known:
    """``lines``: tests by file and line; ``times``: seconds; ``due``: modules to be measured."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(_by_line))
    times: dict[str, float] = field(default_factory=dict)
    due: list[str] = field(default_factory=list)


def _by_line() -> dict[int, set[str]]:
    return defaultdict(set)


def digests(root: Path) -> dict[str, str]:
    """Return a digest of each Python file of the program and of the tests."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ("diskgen", "tests")
        for path in sorted((root / room).rglob("*.py"))
    }


def write_state(place: Path, root: Path, tests: Collection[str]) -> None:
    """Note beside a measurement of what it is; ``tests`` are modules, or none for all."""
    files = digests(root)
    ran = sorted(set(files) & set(tests)) if tests else [name for name in files if is_module(name)]
    (place / "state").write_text(json.dumps({"root": str(root), "tests": ran, "files": files}))


def is_module(path: str) -> bool:
    """Say whether a file holds tests of the program, and not those of these tools."""
    parts = Path(path).parts
    return parts[0] == "tests" and parts[1] != "worth" and parts[-1].startswith("test_")


def module(test: str) -> str:
    return test.partition("::")[0]


def known(places: Iterable[Path], now: dict[str, str], program: Collection[str]) -> Known:
    """Put measurements together, the older first. ``program``: the files that matter."""
    found = Known()
    ran: dict[str, set[str]] = defaultdict(set)  # files of the program, by module of tests
    sure: set[tuple[str, str]] = set()
    for place in places:
        state = json.loads((place / "state").read_text())
        same = {path for path, digest in state["files"].items() if now.get(path) == digest}
        tests = same & set(state["tests"])
        for part in (place / "times").iterdir():
            for name, seconds in json.loads(part.read_text()).items():
                if seconds is not None and module(name) in tests:
                    found.times[name] = seconds
        for path, lines in _lines(place / "data", Path(state["root"]), program).items():
            for line, names in lines.items():
                ran_here = {name for name in names if module(name) in tests}
                for name in names:
                    ran[module(name)].add(path)
                if path in same:
                    found.lines[path][line] |= ran_here | (names & {"start"})
        sure |= {(test, path) for test in tests for path in [*(same & set(program)), ""]}
    found.due = [
        name
        for name in now
        if is_module(name)
        and not all((name, path) in sure for path in ["", *(ran[name] & now.keys())])
    ]
    return found


def _lines(data: Path, root: Path, program: Collection[str]) -> dict[str, dict[int, set[str]]]:
    import coverage

    held = coverage.CoverageData(str(data))
    held.read()
    found = {}
    for file in held.measured_files():
        # Tests run copies of the program, too, which are elsewhere.
        path = file.removeprefix(f"{root}/")
        if path in program:
            # A context is "start|TEST" in the process of pytest, TEST in programs that it starts.
            found[path] = {
                line: {context.removeprefix("start|") for context in contexts}
                for line, contexts in held.contexts_by_lineno(file).items()
            }
    return found
