"""Names the running test to coverage, here and in the programs that it starts, and times it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import settings

_times: dict[str, float | None] = {}


def pytest_configure() -> None:
    """Have the same examples each time, and no limit to the time of one: counting takes some."""
    settings.register_profile("measured", deadline=None, database=None, derandomize=True)
    settings.load_profile("measured")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    os.environ["DISKGEN_TEST"] = item.nodeid
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(item.nodeid)
    yield


def pytest_runtest_logreport(report: Any) -> None:
    # What a test's fixtures cost is paid whenever it runs alone. What fails says nothing.
    before = _times.get(report.nodeid, 0.0)
    failed = report.failed or before is None
    _times[report.nodeid] = None if failed else before + report.duration


def pytest_sessionfinish() -> None:
    place = Path(os.environ["DISKGEN_COVERAGE"]) / "times"
    place.mkdir(exist_ok=True)
    (place / f"{os.getpid()}.json").write_text(json.dumps(_times))
