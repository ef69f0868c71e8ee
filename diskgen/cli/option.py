"""What is known of an option: one row, from which everything about it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final


class Takes(Enum):
    """What follows an option."""

    VALUE = auto()
    MANY = auto()  # one value or more, of an argument
    MAYBE = auto()  # a value that may be left out; then it is ""
    NOTHING = auto()  # it is there or not
    HELP = auto()  # it prints help and ends
    VERSION = auto()


UNSET: Final = object()  # as a default: absent from the arguments unless it is given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """An option or, where it is ``positional``, an argument of some commands.

    ``name`` is the flag without dashes, the ``setting`` of errors, and with _ for - the attribute
    of the parsed arguments. Commands that mean different things by one name have a row each.
    ``help`` is one clause; ``{suffix}`` in it stands for that of the command's files.
    ``manual`` is what the man page and the reference say, in paragraphs: `words to type` and
    *words that stand for others* are marked as in Markdown. What holds without the option is
    ``default``, a value or what gives it, or ``otherwise``, in words, which help and manual add by
    themselves; so they do with ``repeatable``. A manual that has its own "Default:" keeps it.
    """

    name: str
    commands: frozenset[str]  # by the names of command.COMMANDS
    help: str
    manual: str
    group: str = ""  # heading in help; "": none
    short: str = ""  # letter
    metavar: str | None = None  # None: the choices
    positional: bool = False
    takes: Takes = Takes.VALUE
    kind: Callable[[str], Any] = str  # parses a value; raises argparse.ArgumentTypeError
    choices: tuple[Any, ...] | None = None
    default: Any = None
    otherwise: str = ""
    repeatable: bool = False
    together: str = ""  # options of one such name are kept in the order given, as (flag, value)
    every: str = ""  # attribute that has all values given, where the last one counts for most
    key: str | None = None  # of the blueprint, which says the same; [] for entries of a list

    @property
    def flags(self) -> tuple[str, ...]:
        """What is typed, the short form first; for an argument its name."""
        if self.positional:
            return (self.name,)
        return (*((f"-{self.short}",) if self.short else ()), f"--{self.name}")

    @property
    def has_default(self) -> bool:
        """Whether a value that can be shown holds where it is not given."""
        return self.takes is Takes.VALUE and self.default not in (None, UNSET)

    @property
    def value(self) -> str:
        """What stands for its value in texts; "" where it takes none."""
        if self.takes not in (Takes.VALUE, Takes.MANY, Takes.MAYBE):
            return ""
        return self.metavar or "|".join(map(str, self.choices or ()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """Options that belong together in the man page.

    Of those that are not of just ``commands`` the page names the commands; where there are none,
    the texts say enough.
    """

    heading: str
    options: tuple[Option, ...]
    commands: frozenset[str]
    closing: str = ""  # a paragraph on all of them, in the marks of ``Option.manual``
