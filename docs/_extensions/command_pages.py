"""The reference of commands, from the parser that runs them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from diskgen.cli import build_parser


def pages() -> str:
    """Return a MyST section for each command: usage, then its options by their groups."""
    return "\n".join(
        line for name, command, text in commands() for line in _page(name, command, text)
    )


def commands() -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Yield every command that does something: its name, its parser, its sentence."""
    yield from _below(build_parser(), "diskgen", "")


def _below(
    parser: argparse.ArgumentParser, name: str, text: str
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no other way to ask
    if not inner:
        yield name, parser, text
    for action in inner:
        texts = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
        for word, below in action.choices.items():
            yield from _below(below, f"{name} {word}", texts.get(word, ""))


def _page(name: str, parser: argparse.ArgumentParser, text: str) -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    if text:
        yield f"{_plain(text[0].upper() + text[1:])}."
        yield ""
    for group in parser._action_groups:  # noqa: SLF001
        rows = [row for action in group._group_actions if (row := _row(action))]  # noqa: SLF001
        if rows:
            if parser._action_groups.index(group) > 1:  # noqa: SLF001 - the first two are argparse's
                yield f"**{group.title}**"
                yield ""
            yield "| option | meaning |"
            yield "| --- | --- |"
            yield from rows
            yield ""


def _row(action: argparse.Action) -> str:
    if action.help == argparse.SUPPRESS or action.dest == "help":
        return ""
    values = action.metavar or (
        "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    )
    word = "" if action.nargs == 0 else f" {values}"
    flags = ", ".join(f"`{flag}{word}`" for flag in action.option_strings) or f"`{values}`"
    help_ = (action.help or "") % {"default": action.default} if action.help else ""
    return f"| {flags.replace('|', chr(92) + '|')} | {_plain(help_)} |"


def _plain(text: str) -> str:
    """Return a sentence of help as MyST takes it for itself."""
    return "".join(f"\\{mark}" if mark in r"\`*_{}[]<>|$" else mark for mark in text)
