"""The argument of the command that prints a completion script."""

from __future__ import annotations

from typing import Final

from ..option import Option

COMMANDS: Final = frozenset({"completion"})
SHELLS: Final = ("bash", "zsh", "tcsh")

OPTIONS: Final = (
    Option(
        name="shell",
        commands=COMMANDS,
        positional=True,
        choices=SHELLS,
        help="the shell",
        manual="The shell.",
    ),
)
