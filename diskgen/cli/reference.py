"""The reference of the site, made of the tables: commands, then options, as MyST Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .command import COMMANDS
from .option import Option, Takes
from .remarks import entries, manual_of
from .table import SECTIONS

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>|$])")
_TYPED: Final = re.compile(r"(`[^`]+`|\*[^*]+\*)")


def pages() -> str:
    """Return the commands and every option, by the sections of the man page."""
    return "\n".join([*_commands(), *_options()])


def _commands() -> Iterator[str]:
    yield from ("## Commands", "", "| command | what it does |", "| --- | --- |")
    for command in COMMANDS:
        if command.name and not command.name.startswith("plan "):
            yield f"| `diskgen {command.name}` | {_plain(command.help)} |"
    yield ""


def _options() -> Iterator[str]:
    for section in SECTIONS:
        yield from (f"## {section.heading}", "")
        for option, commands in entries(section):
            text = manual_of(option, commands)
            if option.key is not None:
                text += f" In a configuration file: `{option.key}`."
            first, *more = text.split("\n\n")
            yield from (_heading(option), f": {_marked(first)}", "")
            for paragraph in more:
                yield from (f"  {_marked(paragraph)}", "")
        if section.closing:
            yield from (_marked(section.closing), "")


def _heading(option: Option) -> str:
    value = f"[{option.value}]" if option.takes is Takes.MAYBE else option.value
    if option.positional:
        return f"`{value}`"
    return ", ".join(f"`{flag} {value}".rstrip() + "`" for flag in option.flags)


def _marked(text: str) -> str:
    """Return a text in the marks of ``Option.manual`` as Markdown that shows nothing else."""
    parts = _TYPED.split(text)
    return "".join(part if _TYPED.fullmatch(part) else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)
