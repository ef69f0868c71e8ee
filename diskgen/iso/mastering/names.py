"""Names that ISO 9660 and Joliet allow, for names that Linux allows.

ECMA-119 (4th edition), 7.5 and 7.6: d-characters, 31 of them at interchange level 3; the Joliet
Specification, "Allowed Character Set": 64 UCS-2 characters, some of them forbidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from ...errors import UsageError

MAX_LABEL: Final = 32  # bytes of a volume identifier
_LABEL_CHARACTERS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.+"
)
_ISO_LENGTH: Final = 31  # of a name with its dot; ";1" comes extra
_ISO_EXTENSION: Final = 8
_JOLIET_LENGTH: Final = 64
_NOT_ISO: Final = re.compile(r"[^A-Z0-9_]")
_NOT_JOLIET: Final = re.compile(r"[\0-\x1f*/:;?\\]|[^\0-\uffff]")


def check_label(label: str) -> None:
    """Refuse a label that boot loaders and installers could not look for. Raises UsageError."""
    bad = sorted(set(label) - _LABEL_CHARACTERS)
    if not label or len(label) > MAX_LABEL or bad:
        what = f"has {' '.join(map(repr, bad))}" if bad else f"has {len(label)} characters"
        raise UsageError(
            f"the label '{label}' {what}",
            hint=f"use 1 to {MAX_LABEL} of the letters a to z, digits, and _ - . +",
            setting="label",
        )


def iso_names(names: Iterable[str], *, directories: frozenset[str]) -> dict[str, str]:
    """Return an ISO 9660 name for each name of one directory: distinct, the same each time."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        stem, _dot, extension = name.upper().rpartition(".")
        if not stem or name in directories:
            stem, extension = name.upper(), ""
        stem = _NOT_ISO.sub("_", stem)
        extension = _NOT_ISO.sub("_", extension)[:_ISO_EXTENSION]
        room = _ISO_LENGTH - (len(extension) + 1 if extension or name not in directories else 0)

        def spell(stem: str = stem, extension: str = extension, name: str = name) -> str:
            if name in directories:
                return stem
            return f"{stem}.{extension};1"

        made[name] = _distinct(stem, room, taken, spell)
    return made


def joliet_names(names: Iterable[str]) -> dict[str, str]:
    """Return a Joliet name for each name of one directory: distinct, the same each time."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        made[name] = _distinct(_NOT_JOLIET.sub("_", name), _JOLIET_LENGTH, taken, str)
    return made


def _distinct(stem: str, room: int, taken: set[str], spell: Callable[[str], str]) -> str:
    number = 0
    while True:
        mark = str(number) if number else ""
        found = spell(stem[: room - len(mark)] + mark)
        if found.lower() not in taken:
            taken.add(found.lower())
            return found
        number += 1
