"""Ctrl-C, SIGTERM and SIGHUP become one exception, and never in the middle of cleaning up.

Python runs a signal's handler between any two instructions of the main thread, and what it raises
appears there: between the start of a child and the line that remembers it, or halfway through the
removal of a directory. So the handler looks at the stack first. While a function marked as
``whole`` is on it, the signal waits.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, Final, TypeVar

from .errors import Interrupted

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS: Final = 0.02  # until a signal that had to wait is tried again
_UNWIND_SECONDS: Final = 15.0  # longer than children take to end; signals are ignored meanwhile
_whole: Final[set[CodeType]] = set()
_waiting: int | None = None  # the signal that came while something whole ran
_raised = float("-inf")  # when Interrupted was raised, by time.monotonic()


def whole(function: _Function) -> _Function:
    """Mark a short function that an interrupt must not stop halfway."""
    _whole.add(function.__code__)
    return function


# Of the standard library, by what would be lost: the child or the directory just made, what was
# entered as __enter__ returns, and the lock that Popen holds while it looks for a child's end
# (with it, every later wait). So nothing may wait for a child without a time limit: see run.wait.
_STANDARD: Final = (
    (contextlib._GeneratorContextManager, ("__enter__",)),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    (contextlib.ExitStack, ("enter_context",)),
    (subprocess.Popen, ("__init__", "_internal_poll", "_wait")),  # noqa: TID251
    (tempfile.TemporaryDirectory, ("__init__", "__exit__", "cleanup")),
    (tempfile, ("mkdtemp",)),
    (shutil, ("rmtree",)),
)
for _owner, _names in _STANDARD:
    for _name in _names:
        whole(getattr(_owner, _name))


def waiting() -> bool:
    """Say whether a signal waits for something whole to end."""
    return _waiting is not None


def check() -> None:
    """Raise Interrupted where a signal waits: for a place within something whole that is safe."""
    if _waiting is not None:
        _raise(_waiting)


def _raise(number: int) -> None:
    global _waiting, _raised
    _waiting = None
    _raised = time.monotonic()
    raise Interrupted(f"stopped by {signal.Signals(number).name}")


@contextmanager
def interruptible() -> Generator[None]:
    """Turn the signals that ask us to stop into Interrupted while the block runs.

    For the main thread only. It is raised once; further signals do not disturb the unwinding.
    """
    global _waiting, _raised
    _raised = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        global _waiting
        if time.monotonic() - _raised < _UNWIND_SECONDS:
            return
        asked = _waiting if number == signal.SIGALRM else number
        if asked is None:
            return
        if _is_whole(frame):
            _waiting = asked
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        _raise(asked)

    before = {
        number: signal.signal(number, stop)
        for number in (*_SIGNALS, signal.SIGALRM)
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN  # by nohup
    }
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        _waiting = None


def _is_whole(frame: FrameType | None) -> bool:
    while frame is not None:
        # What __del__ raises is printed and forgotten.
        if frame.f_code in _whole or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
