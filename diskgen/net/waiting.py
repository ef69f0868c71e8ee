"""When to ask again: pauses that grow, each of another length, and what a server asks for."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

# Statuses of what may go well the next time; 501 and 505 say that it never will.
PASSING: Final = frozenset({408, 429, *range(500, 600)} - {501, 505})
_DOUBLED: Final = 20  # times, at most
_LONGEST: Final = 64  # characters of what is looked at: a time of HTTP has 29


def pause(
    number: int,
    first: float,
    most: float,
    *,
    asked: float | None = None,
    bound: float = 0.0,
    chance: Callable[[], float] = random.random,
) -> float:
    """Return the seconds before a try, ``number`` of which failed before the last one.

    They lie between half and all of what has grown from ``first`` to ``most``, so that those who
    were refused together do not come back together; behind what a server ``asked`` for, of which
    ``bound`` is obeyed.
    """
    longest: float = min(most, first * 2.0 ** min(number, _DOUBLED))
    return min(asked or 0.0, bound) + longest * (0.5 + chance() / 2)


def asked(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return how many seconds a server wants us to wait: RFC 9110, Retry-After.

    Names of ``headers`` are in small letters. What is no number and no time of HTTP is none.
    """
    text = headers.get("retry-after", "").strip()[:_LONGEST]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, when - now())
