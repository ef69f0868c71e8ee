"""The reference of commands, from the tables that parser, help and man page are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from diskgen.cli.command import COMMANDS, DISKS, EVERY, MEDIA, PLANS
from diskgen.cli.option import Option
from diskgen.cli.table import SECTIONS

# How sets of commands are called; the first that are all there are named.
_SETS: Final = (
    ("every command", EVERY),
    ("disks and their plans", DISKS),
    ("disks", DISKS - PLANS),
    ("plans", PLANS),
    ("media and their plans", MEDIA),
    ("media", MEDIA - PLANS),
)


def pages() -> str:
    """Return as MyST: the commands, then every option once, by the sections of the man page."""
    return "\n".join([*_commands(), *_options()])


def _commands() -> Iterator[str]:
    yield from ("## Commands", "", "| command | what it does |", "| --- | --- |")
    for command in COMMANDS:
        if command.name and not command.name.startswith("plan "):
            yield f"| `diskgen {command.name}` | {plain(command.help)} |"
    yield ""


def _options() -> Iterator[str]:
    for title, rows in SECTIONS.items():
        yield from (f"## {title}", "")
        for row in rows:
            flags = ", ".join(
                f"`{flag}{' ' if row.value else ''}{row.value}`" for flag in row.flags
            )
            first, *more = list(said(row))
            yield from (flags, f": {first}", "")
            for paragraph in more:
                yield from (f"  {paragraph}", "")


def said(row: Option) -> Iterator[str]:
    """Yield the paragraphs about an option: what it is, what holds without it, who takes it."""
    text = row.manual or plain(f"{row.help[0].upper()}{row.help[1:]}.")
    paragraphs = [re.sub(r"\s+", " ", part) for part in text.split("\n\n")]
    default = row.otherwise or (
        f"`{row.default}`" if row.has_default and not callable(row.default) else ""
    )
    if default and "Default:" not in text:
        paragraphs[-1] += f" Default: {default}."
    if row.repeatable and "epeatable" not in text:
        paragraphs[-1] += " Repeatable."
    yield from paragraphs
    yield f"For {', '.join(_whom(row))}."


def _whom(row: Option) -> Iterator[str]:
    left = set(row.commands)
    for title, names in _SETS:
        if names <= left:
            yield title
            left -= names
    yield from (
        f"`{command.name}`" for command in COMMANDS if command.name in left and command.name
    )


def plain(text: str) -> str:
    """Return words of help as MyST takes them for themselves."""
    return re.sub(r"([\\`*_{}\[\]<>|$])", r"\\\1", text)
