"""A program that does not get on is ended, and one that does is left alone."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import pytest

from diskgen.errors import HostError, ToolError
from diskgen.run import PIPE, run, running

# It goes round in circles, and cannot be asked to end.
_STUCK = "import signal; signal.signal(15, signal.SIG_IGN)\nwhile True: pass"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diskgen.run._GRACE_SECONDS", 0.2)


@pytest.mark.parametrize("program", [[sys.executable, "-c", _STUCK], ["sleep", "60"]])
def test_no_progress(program: list[str]) -> None:
    begun = time.monotonic()
    with pytest.raises(ToolError, match=r"no progress for 1 s \(budget 'idle-seconds'\)") as caught:
        run(program, idle=1)
    assert caught.value.status == -signal.SIGKILL
    assert time.monotonic() - begun < 20


def _feed() -> None:
    with running(["sleep", "60"], stdin=PIPE, idle=1) as child:
        assert child.stdin is not None
        child.stdin.write(bytes(10_000_000))  # more than a pipe holds


def _complain() -> None:
    with running(["sleep", "60"], idle=1) as child:
        child.wait()
        raise HostError("it ended")


@pytest.mark.parametrize("work", [_feed, _complain])
def test_whatever_we_do_meanwhile(work: Callable[[], None]) -> None:
    """A write to a program that does not read must not last for ever; and the reason is told."""
    with pytest.raises(ToolError, match="no progress"):
        work()


@pytest.mark.parametrize(
    "script",
    [
        "for i in 1 2 3 4 5 6 7 8; do sleep 0.4; done",  # each is another process
        "(for i in 1 2 3 4 5 6 7 8; do sleep 0.4; echo; done) & wait",
    ],
)
def test_progress_of_what_it_started(script: str) -> None:
    run(["sh", "-c", script], idle=1.5)


def test_programs_that_wait_for_people() -> None:
    with running(["sleep", "2"], idle=None) as child:
        child.wait()
    assert child.returncode == 0
