"""Sees whether a program still gets on: it and all that it started read, write or begin others.

Time alone says nothing of a program that copies 10 GB over a slow line, and processor time says
nothing of one that goes round in circles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_LOOKS: Final = 20  # how often one looks within the time that is allowed
_LONGEST: Final = 10.0  # seconds between two looks
_PROC: Final = Path("/proc")
_DISK_SLEEP: Final = "D"  # the kernel is at work for it, such as for sync(1); see proc(5)
_ENDED: Final = "ZX"  # and nobody has asked yet how
_STATE, _SESSION, _USER, _SYSTEM = 0, 3, 11, 12  # fields of proc(5)'s stat, behind the name
_COUNTED: Final = (b"rchar", b"wchar")


class Watchdog:
    """Calls ``bark``, once and in a thread of its own, when a session made no progress.

    ``session`` is the process that leads it; ``allowed`` are the seconds without progress.
    """

    def __init__(self, session: int, allowed: float, bark: Callable[[], None]) -> None:
        self.barked = False
        self._session = session
        self._allowed = allowed
        self._bark = bark
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="diskgen-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and wait for a bark that is under way."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = min(_LONGEST, self._allowed / _LOOKS)
        last: object = None
        idle = 0.0
        looked = time.monotonic()
        while not self._over.wait(pause):
            now = time.monotonic()
            # We may have been stopped ourselves: such time is nobody's fault.
            idle += min(now - looked, 2 * pause)
            looked = now
            found = _progress(self._session)
            if found is None or found != last:
                last, idle = found, 0.0
            elif idle >= self._allowed:
                self.barked = True
                self._bark()
                return


def _progress(session: int) -> object:
    """Return what differs when a session got on; None while it need not, or the kernel does."""
    found: list[tuple[str, tuple[bytes, ...] | tuple[str, str]]] = []
    for name, fields in _processes():
        if fields[_SESSION] != str(session) or fields[_STATE] in _ENDED:
            continue
        if fields[_STATE] == _DISK_SLEEP:
            return None
        found.append((name, _moved(name) or (fields[_USER], fields[_SYSTEM])))
    return sorted(found) or None  # what has ended waits for us, not we for it


def _processes() -> Iterator[tuple[str, list[str]]]:
    for place in _PROC.iterdir():
        if place.name.isdecimal():
            try:
                text = (place / "stat").read_text(errors="replace")
            except OSError:  # it has ended
                continue
            yield place.name, text.rpartition(")")[2].split()


def _moved(process: str) -> tuple[bytes, ...]:
    """Return how much a process read and wrote; nothing where we may not know."""
    try:
        lines = (_PROC / process / "io").read_bytes().splitlines()
    except OSError:
        return ()
    return tuple(value for key, _, value in (x.partition(b": ") for x in lines) if key in _COUNTED)
