"""A signal at any line of any of our clean-ups: everything is cleaned up all the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from diskgen import interrupt, run, workspace
from diskgen.errors import Interrupted
from diskgen.formats import reading
from diskgen.inspection import filesystems
from diskgen.interrupt import interruptible

TRACED = {module.__file__ for module in (run, workspace, tempfile, shutil, subprocess)}


class Tracer:
    """Sends us a signal at the n-th line of the modules whose clean-ups matter."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Tracer | None:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line" and self.left > 0:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGTERM)
        return self


def work(place: Path) -> None:
    """A build in small: a workspace, a scratch directory with a file, a child, an output."""
    with workspace.Workspace(place / "out", force=False) as work:
        partial = work.partial("raw")
        partial.write_text("x")
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            Path(scratch, "sub").mkdir()
            Path(scratch, "sub", "file").write_text("x")
            with run.running(["sleep", "60"]) as child:
                (place / "pid").write_text(str(child.pid))
                child.kill()
        work.publish(partial)


@pytest.fixture
def traced() -> Iterator[None]:
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")  # between creation and 'with'
@pytest.mark.usefixtures("traced")
def test_everywhere(tmp_path: Path) -> None:
    """Neither a file nor a child is left, wherever the signal comes."""
    others = _children()  # of other tests
    number = 0
    outcomes = []
    while True:
        number += 1
        place = tmp_path / str(number)
        place.mkdir()
        tracer = Tracer(number)
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        try:
            with interruptible():
                sys.settrace(tracer)
                try:
                    work(place)
                finally:
                    sys.settrace(None)
            outcome = "finished"
        except Interrupted:
            outcome = "interrupted"
        finally:
            del os.environ["TMPDIR"]
            tempfile.tempdir = None
        left = {path.name for path in place.iterdir()} - {"pid"}
        assert left <= {"out"}, f"line {number}, {outcome}"
        assert outcome == "interrupted" or left == {"out"}
        assert _children() == others, f"line {number}"
        if tracer.left:
            break
        outcomes.append(outcome)
    assert len(outcomes) > 200
    assert outcomes.count("interrupted") > 200


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_a_second_signal_does_not_disturb_the_unwinding() -> None:
    cleaned = []

    def stopped_twice() -> None:
        with interruptible():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)
                cleaned.append(1)

    with pytest.raises(Interrupted) as caught:
        stopped_twice()
    assert cleaned == [1]
    assert "SIGTERM" in caught.value.message


def test_a_signal_that_had_to_wait_comes_afterwards() -> None:
    seen = []

    @interrupt.whole
    def step() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(interrupt.waiting())

    def stopped() -> None:
        with interruptible():
            step()
            time.sleep(5)

    with pytest.raises(Interrupted):
        stopped()
    assert seen == [True]
    assert not interrupt.waiting()


def test_a_child_that_does_not_end_is_stopped_by_a_waiting_signal() -> None:
    begun = time.monotonic()
    pid = os.getpid()
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill {pid}"])
    with pytest.raises(Interrupted), interruptible(), run.running(["sleep", "60"]):
        pass
    assert killer.wait() == 0
    assert time.monotonic() - begun < 10


class Stopped:
    """A disk with the mark of an ext4; a signal comes when more of it is read."""

    size, compression = 1 << 20, None
    reads = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads += 1
        if offset:
            os.kill(os.getpid(), signal.SIGTERM)
        return (bytes(1024 + 0x38) + b"\x53\xef")[offset:].ljust(length, b"\0")[:length]


def test_nobody_takes_it_for_damage(tmp_path: Path) -> None:
    """Damage of one filesystem is noted and the rest is shown, but a signal ends it all."""
    source = Stopped()
    with pytest.raises(Interrupted), interruptible():
        filesystems.look(reading.Disk(tmp_path / "disk", "raw", source), 0, source.size)
    assert source.reads


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_is_not_taken_for_an_unknown_kickstart() -> None:
    """pykickstart catches whatever ends the import of a version's commands."""
    script = """
import os, signal, sys, time
from diskgen import interrupt
from diskgen.errors import Interrupted
from diskgen.kickstart import language

def look(frame, event, argument):
    if event == "call" and "pykickstart/handlers/" in frame.f_code.co_filename:
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGTERM)

try:
    with interrupt.interruptible():
        sys.settrace(look)
        language.parse("text", "F41", "a.ks")
        time.sleep(30)  # the signal waits for the import alone
except Interrupted:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "interrupted\n", done.stderr
