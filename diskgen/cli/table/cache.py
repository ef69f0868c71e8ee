"""Options of the commands that look after the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..option import Option, Takes
from . import access

PRUNE: Final = frozenset({"cache prune"})

OPTIONS: Final = (
    replace(access.CACHE_DIR, commands=PRUNE | {"cache ls"}, group=""),
    Option(
        name="all",
        commands=PRUNE,
        takes=Takes.NOTHING,
        help="remove everything",
        manual="Remove everything.",
    ),
    Option(
        name="older-than",
        commands=PRUNE,
        kind=int,
        metavar="DAYS",
        default=30,
        help="remove what no build used for so many days",
        manual="Remove what no build used for so many days.",
    ),
)
