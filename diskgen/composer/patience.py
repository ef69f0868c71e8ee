"""How long to go on with a farm that does not answer: pauses that grow, each of another length."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import FarmError
from ..net import waiting
from .errors import AnswerLost, NotSent, Refused

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: ``deadline`` of failures in a row, pauses from ``first`` to ``most``.

    ``settle`` is how long one looks for a compose that may have been started before one believes
    that it was not. ``sleep``, ``clock`` and ``chance`` are for tests.
    """

    deadline: float = 120.0
    first: float = 0.5
    most: float = 30.0
    settle: float = 20.0
    looks: int = 6  # within the time that is to settle
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def pause(self, number: int, error: FarmError) -> float:
        """Return the pause behind a failure, ``number`` of which there were before."""
        asked = error.after if isinstance(error, Refused) else None
        return waiting.pause(
            number, self.first, self.most, asked=asked, bound=self.deadline / 2, chance=self.chance
        )

    def insist(
        self, work: Callable[[], _Made], told: Callable[[FarmError], None] = lambda _error: None
    ) -> _Made:
        """Return what some work makes that may be done twice; try again while that may help.

        ``told`` gets the first failure of a row. Raises the last one.
        """
        began = self.clock()
        number = 0
        while True:
            try:
                return work()
            except (NotSent, AnswerLost, Refused) as error:
                if not _may_help(error):
                    raise
                wait = self.pause(number, error)
                if self.clock() - began + wait > self.deadline:
                    raise
                if number == 0:
                    told(error)
            number += 1
            self.sleep(wait)


def _may_help(error: NotSent | AnswerLost | Refused) -> bool:
    if isinstance(error, Refused):
        return error.passing
    return not (isinstance(error, NotSent) and error.final)
