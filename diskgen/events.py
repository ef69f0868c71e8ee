"""What the work reports while it runs. Renderers live in ``ui``; stdout never carries these."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["bytes", "items"]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A phase began. ``total`` is None where the amount of work is not known beforehand."""

    step: str
    title: str
    total: int | None
    unit: Unit


@dataclass(frozen=True, slots=True)
class StepProgress:
    """``done`` units of the phase are finished so far."""

    step: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A phase ended; ``detail`` says in a few words what it came to; ``ok`` is False on failure."""

    step: str
    title: str
    seconds: float
    detail: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know: a warning, or a fact about the result."""

    level: Literal["info", "warning"]
    message: str


Event = StepStarted | StepProgress | StepFinished | Notice
Emit = Callable[[Event], None]


def discard(_event: Event) -> None:
    """Report to nobody."""


@dataclass(slots=True)
class Step:
    """Handle of a running phase, given by :func:`step`."""

    name: str
    emit: Emit
    total: int | None = None
    done: int = 0
    detail: str = ""
    _last: float = field(default=0.0)

    def advance(self, amount: int) -> None:
        """Count ``amount`` more units as done (reported at most 10 times a second)."""
        self.update(self.done + amount)

    def update(self, done: int, total: int | None = None) -> None:
        """Set the units done, and the total where it became known."""
        self.done = done
        if total is not None:
            self.total = total
        now = time.monotonic()
        if now - self._last >= 0.1:
            self._last = now
            self.emit(StepProgress(self.name, self.done, self.total))


@contextmanager
def step(
    emit: Emit, name: str, title: str, *, total: int | None = None, unit: Unit = "items"
) -> Generator[Step]:
    """Report a phase from its start to its end, also when it fails.

    ``name`` is the stable word for programs (``fetch``), ``title`` the sentence for people.
    """
    emit(StepStarted(name, title, total, unit))
    begun = time.monotonic()
    handle = Step(name, emit, total)
    ok = False
    try:
        yield handle
        ok = True
    finally:
        emit(StepProgress(name, handle.done, handle.total))
        emit(StepFinished(name, title, time.monotonic() - begun, handle.detail, ok))


def notice(emit: Emit, message: str, *, warning: bool = False) -> None:
    """Report a sentence."""
    emit(Notice("warning" if warning else "info", message))


def warn(emit: Emit, warnings: Iterable[str]) -> None:
    """Report a plan's warnings, in its order."""
    for warning in warnings:
        notice(emit, warning, warning=True)
