"""A program that does not get on is ended, and one that does is left alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diskgen.errors import HostError, ToolError
from diskgen.install.target import run_script
from diskgen.kickstart.recipe import Script
from diskgen.run import PIPE, own_module, run, running

from .fixtures.oci import TarBuilder

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


def test_a_program_that_ended_long_ago() -> None:
    """Such as a reader of layers that are small, while another one reads what is large."""
    with running(["true"], idle=1) as child:
        time.sleep(3)
    assert child.returncode == 0


def test_programs_that_wait_for_people() -> None:
    with running(["sleep", "2"], idle=None) as child:
        child.wait()
    assert child.returncode == 0


def test_a_layer_that_another_run_has_in_hand(tmp_path: Path) -> None:
    """It is waited for as long as that takes, which is nobody's lack of progress."""
    tar = TarBuilder()
    tar.file("a", b"a")
    (tmp_path / "blob").write_bytes(tar.finish())
    digest = hashlib.sha256((tmp_path / "blob").read_bytes()).hexdigest()
    job = {
        "directory": str(tmp_path), "blob": str(tmp_path / "blob"), "digest": f"sha256:{digest}",
        "size": (tmp_path / "blob").stat().st_size, "diff_id": f"sha256:{digest}",
    }  # fmt: skip
    argv, env = own_module("diskgen.image.worker")
    with (tmp_path / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with running(argv, stdin=PIPE, stdout=PIPE, env=env, idle=2) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(json.dumps(job).encode() + b"\n")
            worker.stdin.close()
            time.sleep(4)
            fcntl.flock(lock, fcntl.LOCK_UN)
            answers = [json.loads(line) for line in worker.stdout]
    assert "done" in answers[-1]
    assert (tmp_path / f"{digest}.idx").is_file()


def test_scripts_of_users_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people who are asked on a terminal, or for another machine."""
    monkeypatch.setattr(run, "__kwdefaults__", {**(run.__kwdefaults__ or {}), "idle": 0.5})
    with pytest.raises(ToolError, match="no progress"):
        run(["sleep", "5"])
    script = Script(body="sleep 2\necho over\n", interpreter="/bin/sh", line=1, must_work=True,
                    in_target=False, log=str(tmp_path / "log"))  # fmt: skip
    run_script(script, 1, None, tmp_path)
    assert (tmp_path / "log").read_text() == "over\n"
