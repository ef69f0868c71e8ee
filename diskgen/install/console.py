"""Every console of a machine at once: each shows the same, and whoever answers first is heard.

Lines of text and nothing else: it has to be readable on a screen, a serial line and the line-mode
terminal of a mainframe.
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ..events import Event, StepFinished, StepProgress, StepStarted
from ..terminal import page, visible

_ACTIVE: Final = Path("/sys/class/tty/console/active")
_SCREEN: Final = ("tty0", "tty1")  # the screen as the kernel's console, and where it can be typed
_PIECE: Final = 4096
_EVERY_SECONDS: Final = 5.0  # between two lines of progress


class Consoles:
    """The terminals; those that turn out to be dead are dropped."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._open: dict[int, Path] = {}
        self._pending: dict[int, bytes] = {}
        self._reported = 0.0
        self.reopen()

    def reopen(self) -> None:
        """Open all of them anew, those that were dropped too."""
        for fd in tuple(self._open):
            self._drop(fd)
        for path in self._paths:
            with suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
                self._open[fd] = path
                self._pending[fd] = b""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._open.values())

    def say(self, *lines: str) -> None:
        """Show lines on all of them; without any, an empty one."""
        data = page(lines or ("",)).replace("\n", "\r\n").encode()
        for fd in tuple(self._open):
            self._write(fd, data)

    def ask(self, prompt: str, *, hidden: bool = False) -> str:
        """Return a line typed at any of them, without blanks around. Raises EOFError: none left."""
        with self._echo(on=not hidden):
            for fd in tuple(self._open):
                with suppress(termios.error):
                    termios.tcflush(fd, termios.TCIFLUSH)
                self._write(fd, visible(prompt).encode())
            line = self._line()
        if hidden:
            self.say()
        return line

    def emit(self, event: Event) -> None:
        """Show what the work reports."""
        if isinstance(event, StepStarted):
            self.say(f"  {event.title} ...")
            self._reported = time.monotonic()
        elif isinstance(event, StepFinished):
            how = f"{event.detail}, " if event.detail else ""
            end = "" if event.ok else " FAILED"
            self.say(f"  {event.title}: {how}{event.seconds:.0f} s{end}")
        elif isinstance(event, StepProgress):
            now = time.monotonic()
            if event.total and now - self._reported > _EVERY_SECONDS:
                self._reported = now
                self.say(f"    {min(event.done * 100 // event.total, 100)} %")
        else:
            self.say(f"  {event.level}: {event.message}")

    def _line(self) -> str:
        while self._open:
            ready, _, _ = select.select(list(self._open), [], [])
            for fd in ready:
                try:
                    data = os.read(fd, _PIECE)
                except OSError:
                    data = b""
                if not data:
                    if _is_gone(fd):
                        self._drop(fd)
                    continue  # else someone typed the end of a file, Ctrl-D
                whole = self._pending[fd] + data
                line, found, _rest = whole.replace(b"\r", b"\n").partition(b"\n")
                self._pending[fd] = b"" if found else whole
                if found:
                    return line.decode("utf-8", "replace").strip()
        raise EOFError("there is no console")

    @contextmanager
    def _echo(self, *, on: bool) -> Generator[None]:
        """Let what is typed be shown, or not; lines are edited by the terminal."""
        before: dict[int, list[Any]] = {}
        for fd in self._open:
            with suppress(termios.error):
                before[fd] = termios.tcgetattr(fd)
                state = termios.tcgetattr(fd)
                state[0] |= termios.ICRNL
                state[3] |= termios.ICANON | termios.ISIG
                state[3] = state[3] | termios.ECHO if on else state[3] & ~termios.ECHO
                termios.tcsetattr(fd, termios.TCSANOW, state)
        try:
            yield
        finally:
            for fd, state in before.items():
                with suppress(termios.error):
                    termios.tcsetattr(fd, termios.TCSANOW, state)

    def _write(self, fd: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        del self._open[fd]
        with suppress(OSError):
            os.close(fd)


def _is_gone(fd: int) -> bool:
    """Say whether a terminal was hung up."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & (select.POLLHUP | select.POLLERR) for _fd, event in poll.poll(0))


def active(source: Path = _ACTIVE, devices: Path = Path("/dev")) -> list[Path]:
    """Return the consoles of the kernel; the screen by the terminal that is shown there."""
    names = source.read_text().split() if source.is_file() else []
    known, shown = _SCREEN
    return [devices / (shown if name == known else name) for name in names] or [devices / "console"]
