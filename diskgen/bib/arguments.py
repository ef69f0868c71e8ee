"""Words become a command, an image and the values of flags, as pflag and cobra of Go read them.

Flags may stand before, between and behind the other words, with one dash of a letter or two of a
name, their values behind ``=`` or as the next word; what is a switch takes a value behind ``=``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import UsageError
from .flags import BUILD, COMMANDS, FLAGS, HELP, MANIFEST, VERSION, Flag, Takes

_TRUE: Final = ("1", "t", "true")
_FALSE: Final = ("0", "f", "false")
_WORDS: Final = ("true", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What was given: the image ("" where the command takes none), and texts by flag, in order."""

    command: str
    image: str
    given: dict[str, list[str]]

    def text(self, name: str) -> str | None:
        """Return the last value of a flag, else its default; None where it has neither."""
        values = self.given.get(name)
        return values[-1] if values else _row(name).default or None

    def switch(self, name: str) -> bool:
        """Return whether a switch is on."""
        return (self.text(name) or "false").lower() in _TRUE


def parse(words: Sequence[str]) -> Arguments:
    """Return what a command line says. Raises UsageError."""
    given: dict[str, list[str]] = {}
    others: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            others += left
            break
        if word in ("--help", "-h"):
            return Arguments(command=HELP, image="", given={})
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        flag, value = _flag(word)
        if value is None:
            value = _value(flag, word, left)
        given.setdefault(flag.name, []).append(_checked(flag, value))
    command, *images = others if others and others[0] in COMMANDS else (BUILD, *others)
    if command == HELP or not (others or given):
        return Arguments(command=HELP, image="", given=given)
    _check_flags(command, given)
    most = 0 if command == VERSION else 1
    if len(images) != most:
        said = ", ".join(f"'{word}'" for word in images)
        raise UsageError(
            f"'{command}' takes {most or 'no'} image{'s' * (not most)}, not {len(images)}: {said}"
            if images
            else f"'{command}' takes the name of an image"
        )
    return Arguments(command=command, image=images[0] if images else "", given=given)


def _flag(word: str) -> tuple[Flag, str | None]:
    """Return the flag that a word is, and the value behind its ``=``."""
    name, equals, value = word.lstrip("-").partition("=")
    for flag in FLAGS:
        if name == (flag.name if word.startswith("--") else flag.short):
            return flag, value if equals else None
    import difflib

    near = difflib.get_close_matches(name, [flag.name for flag in FLAGS], 1)
    raise UsageError(
        f"unknown flag: '{word.partition('=')[0]}'",
        hint=f"did you mean '--{near[0]}'?" if near else "see bootc-image-builder --help",
    )


def _value(flag: Flag, word: str, left: list[str]) -> str:
    """Return the value of a flag that has none behind ``=``: the next word."""
    if flag.takes is Takes.SWITCH:
        # Scripts write '--tls-verify false', and no image is called so.
        return left.pop(0) if left and left[0].lower() in _WORDS else "true"
    if not left:
        raise UsageError(f"flag needs an argument: '{word}'")
    return left.pop(0)


def _checked(flag: Flag, value: str) -> str:
    if flag.takes is Takes.SWITCH and value.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"'{value}' is neither true nor false", setting=flag.name)
    if flag.choices and value not in flag.choices:
        raise UsageError(
            f"'{value}' is not known to '--{flag.name}'", hint="known are: "
            + ", ".join(flag.choices), setting=flag.name,
        )  # fmt: skip
    if flag.name == "local" and value.lower() in _FALSE:
        raise UsageError(
            "'--local=false' cannot be given: an image in the local storage is taken from there",
            hint="write docker://IMAGE for the one in its registry",
        )
    return value


def _check_flags(command: str, given: dict[str, list[str]]) -> None:
    for name in given:
        if command not in _row(name).commands:
            raise UsageError(f"unknown flag: '--{name}' is none of '{command}'")


def _row(name: str) -> Flag:
    return next(flag for flag in FLAGS if flag.name == name)


def usage() -> str:
    """Return the help of the command line."""
    lines = [
        "Make disks and installer media of a bootable container image, without privileges.",
        "", "Usage:", "  bootc-image-builder [COMMAND] [FLAGS] IMAGE", "", "Commands:",
        *(f"  {name:<10} {text}" for name, text in COMMANDS.items()), "", "Flags:",
    ]  # fmt: skip
    for flag in FLAGS:
        short = f"-{flag.short}, " if flag.short else ""
        where = "" if MANIFEST in flag.commands else f" ({BUILD} alone)"
        default = f" (default {flag.default})" if flag.default else ""
        lines += [f"  {short}--{flag.name} {flag.metavar}".rstrip() + where,
                  f"      {flag.does}{default}"]  # fmt: skip
    return "\n".join(lines) + "\n"
