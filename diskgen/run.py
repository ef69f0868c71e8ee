"""The only place that starts a program.

A child gets an environment built from nothing, no standard input, its own process group, and is
waited for before anything unwinds: when we stop, nothing of ours runs on.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from . import budgets, runlog
from .errors import DiskgenError, HostError, ToolError
from .interrupt import check, waiting, whole
from .watchdog import Watchdog

Child = subprocess.Popen[bytes]  # the handle of a running program
PIPE: Final = subprocess.PIPE

# Read by tools that talk to registries or keep scratch files; everything else of the caller's
# environment stays out, so that a build does not depend on it.
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
_KEPT: Final = (
    "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG", "CONTAINERS_CONF", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_STORAGE_CONF",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
    *_PROXIES, "no_proxy", "NO_PROXY",
)  # fmt: skip
_SBIN: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # mkfs lives there; not on a user's PATH
_GRACE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Completed:
    """What a finished program left: its status and both streams."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")


def search_path() -> str:
    """Return PATH with the system directories that hold mkfs and its kin."""
    parts = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    return ":".join([*parts, *(p for p in _SBIN if p not in parts)])


def which(*names: str) -> Path | None:
    """Return the first of the named programs that this machine has, or None."""
    for name in names:
        found = shutil.which(name, path=search_path())
        if found:
            return Path(found)
    return None


def proxy() -> str | None:
    """Return the name of the variable that gives children a proxy, or None."""
    return next((name for name in _PROXIES if os.environ.get(name)), None)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment a child gets."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {"PATH": search_path(), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return env | dict(extra or {})


def own_module(module: str) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment that run a module of this very package as a program."""
    # From a checkout too: the child must find what we were found by.
    places = dict.fromkeys(place for place in sys.path if place)
    env = {"PYTHONPATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}
    return [sys.executable, "-P", "-m", module], env


@contextmanager
@whole
def running(
    argv: Sequence[str | Path],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    idle: float | None = budgets.IDLE_SECONDS.limit,
) -> Generator[subprocess.Popen[bytes]]:
    """Start a program and give its handle; when the block is left, the program has ended.

    Leaving by an exception (an interrupt included) ends the program's whole process group. One that
    makes no progress for ``idle`` seconds is ended too (ToolError with status -SIGKILL); None is
    for programs that wait for people. Raises HostError when there is no such program.
    """
    words = [os.fspath(word) for word in argv]
    found = which(words[0])
    if found is None:
        raise HostError(
            f"'{words[0]}' is not installed",
            hint="'diskgen doctor' names the package that brings it",
        )
    child = subprocess.Popen(
        [os.fspath(found), *words[1:]],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment(env),
        pass_fds=pass_fds,
        start_new_session=True,
    )
    begun = time.monotonic()
    runlog.started(words, child.pid)
    dog = Watchdog(child.pid, idle, lambda: stop(child)) if idle is not None else None
    try:
        yield child
    except BaseException as error:
        stop(child)
        if dog is not None and dog.barked and isinstance(error, (OSError, DiskgenError)):
            raise _stuck(words, idle) from error
        raise
    finally:
        while child.poll() is None:
            if waiting():
                stop(child)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=_POLL_SECONDS)
        runlog.ended(words[0], child.pid, child.returncode, time.monotonic() - begun)
        if dog is not None:
            dog.close()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):  # what it did not read it does not need any more
                    stream.close()
    check()
    if dog is not None and dog.barked:
        raise _stuck(words, idle)


@contextmanager
def together() -> Generator[Callable[..., Child]]:
    """Give a function like ``running`` whose programs all have ended when the block is left."""
    with ExitStack() as stack:

        def start(argv: Sequence[str | Path], **options: Any) -> Child:  # noqa: ANN401
            return stack.enter_context(running(argv, **options))

        yield start


def feed(child: Child, pieces: Iterable[bytes], *, end: bool = True) -> None:
    """Write to a child's standard input, and close it unless more comes.

    A child that reads no more is no error here: its end says why, and whoever waits for that end
    names it. What ``pieces`` raises is raised.
    """
    assert child.stdin is not None
    for piece in pieces:
        try:
            child.stdin.write(piece)
        except BrokenPipeError:
            return
    with suppress(BrokenPipeError):
        if end:
            child.stdin.close()
        else:
            child.stdin.flush()


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child's end, open to interrupts; return its status."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=_POLL_SECONDS)
        check()  # signals have to wait while Popen does


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child and its process group: SIGTERM, then SIGKILL after a grace period."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
            os.killpg(child.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
        try:
            child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _stuck(words: Sequence[str], idle: float | None) -> ToolError:
    text = f"no progress for {idle:.0f} s (budget '{budgets.IDLE_SECONDS.name}')"
    return ToolError(words, -signal.SIGKILL, text)


def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
    poll: Callable[[], None] | None = None,
    timeout: float | None = None,
    idle: float | None = budgets.IDLE_SECONDS.limit,
) -> Completed:
    """Run a program to its end and return its output.

    ``poll`` is called about five times a second meanwhile (progress of tools that have none).
    Raises ToolError for an exit status outside ``ok``, HostError when the program is missing. A
    program that outlives ``timeout`` seconds, or makes no progress for ``idle`` seconds, is ended:
    ToolError with status -SIGKILL.
    """
    source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
    with running(argv, stdin=source, env=env, idle=idle) as child:
        out, err = _collect(child, stdin, poll=poll, timeout=timeout)
    status = child.returncode
    stderr = err.decode(errors="replace")
    runlog.said(os.fspath(argv[0]), stderr)
    if status not in ok:
        raise ToolError([os.fspath(word) for word in argv], status, stderr)
    return Completed(status, out, stderr)


def _collect(
    child: subprocess.Popen[bytes],
    stdin: bytes | None,
    *,
    poll: Callable[[], None] | None,
    timeout: float | None,
) -> tuple[bytes, bytes]:
    """Wait for a child's end and both its streams, polling meanwhile."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pending = stdin
    while True:
        try:
            return child.communicate(pending, timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pending = None  # the first call has taken it
            check()
            if poll is not None:
                poll()
            if deadline is not None and time.monotonic() >= deadline:
                stop(child)
                words = [os.fspath(word) for word in cast("Sequence[str]", child.args)]
                text = f"no end after {timeout:.0f} s"
                raise ToolError(words, -signal.SIGKILL, text) from None
