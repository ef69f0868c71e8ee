"""What man page and reference say of an option: its text, and what its row knows beside it."""

from __future__ import annotations

from collections.abc import Iterator

from .command import in_words
from .option import Option, Section
from .table import OPTIONS


def entries(section: Section) -> Iterator[tuple[Option, frozenset[str]]]:
    """Yield a section's options, those that say the same in two rows once, and who takes them.

    The commands are empty where they are just those of the section.
    """
    for option in section.options:
        alike = [row for row in OPTIONS if _is_alike(row, option)]
        if alike[0] is not option:
            continue
        commands = frozenset[str]().union(*(row.commands for row in alike))
        usual = not section.commands or commands == section.commands
        yield option, frozenset() if usual else commands


def manual_of(option: Option, commands: frozenset[str] = frozenset()) -> str:
    """Return an option's manual, with what it does not say itself but its row does."""
    said = [option.manual]
    if "Default:" not in option.manual:
        if option.otherwise:
            said.append(f"Default: {option.otherwise}.")
        elif option.has_default and not callable(option.default):
            said.append(f"Default: `{option.default}`.")
    if option.repeatable:
        said.append("May be given several times.")
    if commands:
        said.append(f"Commands: {in_words(commands)}.")
    return " ".join(said)


def _is_alike(row: Option, other: Option) -> bool:
    return (row.name, row.manual) == (other.name, other.manual)
