"""Again, where a place stumbles: waits that grow, each of a random length."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ..errors import PublishError
from ..net.waiting import pause

_Made = TypeVar("_Made")
_ASKED: Final = 300.0  # seconds that a place may have us wait, at most


class Transient(Exception):  # noqa: N818 - no error yet: it may go well the next time
    """A request failed in a way that may pass: a cut connection, throttling, a fault of a server.

    ``wait`` is how many seconds the place asks us to wait.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.wait = wait


class Stopped(Exception):  # noqa: N818 - whoever stopped us knows why
    """Nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is made, and how long is waited in between, in seconds."""

    attempts: int = 12
    first: float = 0.5
    most: float = 20.0
    stop: threading.Event = field(default_factory=threading.Event)

    def until(self, stop: threading.Event) -> Patience:
        """Return the same, which ends as soon as an event is set."""
        return replace(self, stop=stop)

    def of(self, what: str, call: Callable[[], _Made]) -> _Made:
        """Return what ``call`` does, which is made again while it raises Transient.

        Raises PublishError when it never went well, Stopped.
        """
        attempt = 0
        while True:
            try:
                return call()
            except Transient as error:
                attempt += 1
                if attempt >= self.attempts:
                    raise PublishError(
                        f"{what} failed {attempt} times, the last time with: {error.why}"
                    ) from error
                self._wait(attempt - 1, error)

    def _wait(self, attempt: int, error: Transient) -> None:
        if self.stop.wait(pause(attempt, self.first, self.most, asked=error.wait, bound=_ASKED)):
            raise Stopped
