"""A process that tries mutants in a copy of the project: a line of JSON in, a line of JSON out.

``python tests/worth/trial.py``, with the copy as working directory. It has pytest and the libraries
loaded and forks for each trial, so that a mutant costs what its tests cost. What is asked: ``path``
and ``source`` (the changed file, or none), ``tests`` (identifiers and seconds that each may take,
in this order) and ``all`` (go on after a failure). The answer: ``failed``, and ``hung``, the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
MEMORY = 3 << 30  # of the program's own; an endless loop that collects shall not take the machine
PRELOADED = (
    "hypothesis", "hypothesis.strategies", "hypothesis.internal.conjecture.engine",
    "pykickstart.version", "pycdlib", "jsonschema", "yaml", "asyncio", "http.server", "tarfile",
    "xml.etree.ElementTree",
)  # fmt: skip


class Chosen:
    """Runs the tests named, in the order named, each for so long, and notes how they end."""

    def __init__(self, tests: dict[str, float], report: Path) -> None:
        self._tests = tests
        self._report = report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        places = {name: at for at, name in enumerate(self._tests)}
        items[:] = sorted(
            (item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid]
        )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._note("began", item.nodeid)
        with Path(os.devnull).open("w") as nowhere:
            faulthandler.dump_traceback_later(self._tests[item.nodeid], exit=True, file=nowhere)
            yield
            faulthandler.cancel_dump_traceback_later()
        self._note("ended", item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._note("failed", report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:  # a module that cannot be imported any more
            self._note("failed", report.nodeid)

    def _note(self, what: str, name: str) -> None:
        with self._report.open("a") as file:
            file.write(json.dumps([what, name]) + "\n")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    sys.path.pop(0)  # this directory
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    report = Path(f"build/trial.{os.getpid()}").resolve()
    report.parent.mkdir(exist_ok=True)
    for line in sys.stdin:
        answers.write(json.dumps(_trial(json.loads(line), report)) + "\n")
        answers.flush()


_whole: dict[Path, bytes] = {}  # what is changed now, as it was


def _end(*_: object) -> None:
    """End at a signal, wherever it comes: an exception would be lost in what runs at a fork."""
    _mend()
    os._exit(1)


def _mend() -> None:
    _end_children()
    for path, data in _whole.items():
        path.write_bytes(data)
    _whole.clear()


def _trial(asked: dict[str, Any], report: Path) -> dict[str, list[str]]:
    report.write_text("")
    if asked["path"]:
        path = Path(asked["path"])
        _whole[path] = path.read_bytes()
        path.write_bytes(asked["source"].encode())
    child = os.fork()
    if not child:
        _run(asked, report)
    _, status = os.waitpid(child, 0)
    _mend()
    notes = [json.loads(line) for line in report.read_text().splitlines()]
    began, ran, failed = (
        [name for noted, name in notes if noted == what] for what in ("began", "ended", "failed")
    )
    if status and not notes:  # not even what all tests share can be imported
        failed = ["tests/conftest.py"]
    return {"ran": ran, "failed": failed, "hung": [name for name in began if name not in ran]}


def _run(asked: dict[str, Any], report: Path) -> None:
    """In the child: run pytest, and end the process."""
    status = 99
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        _settle_hypothesis()
        files = dict.fromkeys(name.partition("::")[0] for name in asked["tests"])
        argv = [
            "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-W", "ignore::pytest.PytestAssertRewriteWarning", *files,
        ]  # fmt: skip
        if not asked["all"]:
            argv.append("-x")
        else:
            argv.append("--continue-on-collection-errors")
        status = int(pytest.main(argv, plugins=[Chosen(asked["tests"], report)]))
    finally:
        os._exit(status)


def _settle_hypothesis() -> None:
    """Have the same examples each time, and none made smaller: that a test fails is enough."""
    from hypothesis import Phase, settings

    settings.register_profile(
        "trial", phases=(Phase.explicit, Phase.generate), database=None, derandomize=True,
        deadline=None,
    )  # fmt: skip
    settings.load_profile("trial")


def _end_children() -> None:
    """End what the tests started and left: as a subreaper, all of it is below this process."""
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)  # what a dead one leaves is found in the next turn


if __name__ == "__main__":
    main()
