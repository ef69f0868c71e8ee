"""Options that every command has."""

from __future__ import annotations

from typing import Final

from ..command import EVERY
from ..option import UNSET, Option, Takes

OPTIONS: Final = (
    Option(
        name="help",
        short="h",
        commands=EVERY,
        takes=Takes.HELP,
        help="show this help message and exit",
        manual="Show help of a command.",
    ),
    Option(
        name="version",
        commands=frozenset({""}),
        takes=Takes.VERSION,
        help="show program's version number and exit",
        manual="Print the version.",
    ),
    Option(
        name="verbose",
        short="v",
        commands=EVERY - {""},
        takes=Takes.NOTHING,
        default=UNSET,  # a command and its format may both have it
        help="show which programs are started, and what they say",
        manual="Show on standard error which programs are started, and what they say. Every "
        "command has it.",
    ),
)
