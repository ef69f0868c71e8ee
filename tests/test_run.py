"""The one place that starts programs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from diskgen.errors import HostError, Interrupted, ToolError
from diskgen.interrupt import interruptible
from diskgen.run import PIPE, own_module, run, running, wait, which


def test_output_and_input() -> None:
    done = run(["cat"], stdin=b"hello\0")
    assert (done.status, done.stdout, done.stderr) == (0, b"hello\0", "")


def test_a_failure_carries_what_the_tool_said() -> None:
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", "echo no such thing >&2; exit 3"])
    assert caught.value.status == 3
    assert caught.value.message == "'sh' failed with status 3: no such thing"
    assert run(["sh", "-c", "exit 3"], ok=(0, 3)).status == 3


def test_a_missing_program_is_the_hosts_fault() -> None:
    with pytest.raises(HostError) as caught:
        run(["no-such-program-of-ours"])
    assert "'no-such-program-of-ours' is not installed" in caught.value.message
    assert caught.value.hint is not None
    assert "doctor" in caught.value.hint


def test_the_callers_environment_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKE2FS_SYNC", "1")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    lines = run(["env"], env={"EXTRA": "1"}).text.splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert "EXTRA" in names
    assert not {"MKE2FS_SYNC", "LANG"} & names
    assert "LC_ALL=C.UTF-8" in lines


def test_a_program_of_ours_gets_each_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often libraries add theirs: the kernel takes 128 KiB of a variable."""
    monkeypatch.setattr(sys, "path", [*sys.path, *["/a/place/of/some/library"] * 10_000])
    argv, env = own_module("diskgen.image.worker")
    assert env["PYTHONPATH"].split(":").count("/a/place/of/some/library") == 1
    with running(argv, env=env) as child:  # which reads jobs until there are no more
        assert wait(child) == 0


def test_system_directories_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert which("mke2fs") is not None
    assert which("nothing-like-this", "sh") is not None


def test_an_exception_ends_the_whole_group(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {mark}; wait"

    def interrupted() -> None:
        with running(["sh", "-c", script]):
            while not mark.is_file() or not mark.read_text().strip():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    grandchild = int(mark.read_text())
    for _ in range(100):
        if not _alive(grandchild):
            break
        time.sleep(0.05)
    assert not _alive(grandchild)


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diskgen.run._GRACE_SECONDS", 0.2)
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], timeout=0.3)
    assert caught.value.status == -signal.SIGKILL


def test_polling_happens_while_the_program_runs() -> None:
    calls: list[float] = []
    run(["sleep", "0.7"], poll=lambda: calls.append(time.monotonic()))
    assert len(calls) >= 2


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_nobody_read_does_not_hide_why_we_stopped() -> None:
    def fail() -> None:
        with running(["sleep", "60"], stdin=PIPE) as child:
            assert child.stdin is not None
            child.stdin.write(b"still in our buffer")
            raise KeyError("reason")

    with pytest.raises(KeyError, match="reason"):
        fail()


@pytest.mark.parametrize("how", ["wait", "run"])
def test_waiting_is_open_to_interrupts(how: str) -> None:
    """A signal comes while Popen waits, where it must not be raised, and is heeded soon after."""
    signals = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM))
    begun = time.monotonic()
    argv = ["sh", "-c", "exec >&- 2>&-; sleep 60"]  # nothing to read, so that the end is waited for

    def work() -> None:
        with interruptible():
            if how == "run":
                run(argv)
            else:
                with running(argv) as child:
                    wait(child)

    signals.start()
    with pytest.raises(Interrupted):
        work()
    signals.join()
    assert time.monotonic() - begun < 30
