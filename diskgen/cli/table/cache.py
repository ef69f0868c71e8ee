"""Options of the commands that look after this machine: its cache, its shell."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..option import Option, Takes
from . import access

_PRUNE: Final = frozenset({"cache prune"})
SHELLS: Final = ("bash", "zsh", "tcsh")

OPTIONS: Final = (
    replace(access.CACHE_DIR, commands=_PRUNE | {"cache ls"}, group=""),
    Option(
        name="all",
        commands=_PRUNE,
        takes=Takes.NOTHING,
        help="remove everything",
        manual="",
    ),
    Option(
        name="older-than",
        commands=_PRUNE,
        kind=int,
        metavar="DAYS",
        default=30,
        help="remove what no build used for so many days",
        manual="",
    ),
    Option(
        name="shell",
        commands=frozenset({"completion"}),
        positional=True,
        choices=SHELLS,
        help="the shell",
        manual="",
    ),
)
