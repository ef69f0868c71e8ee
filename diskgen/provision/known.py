"""Names and numbers that an image gives away at boot: its tables in /usr/lib, and sysusers.d(5).

They belong to accounts that are not in /etc yet, or never will be (nss-altfiles): nobody else may
have them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..tree import File
from .files import Files
from .tables import number_of

_PLACES: Final = ("etc/sysusers.d", "usr/local/lib/sysusers.d", "usr/lib/sysusers.d")
_LONGEST: Final = 16384  # characters of a line: a name has 31, and shlex takes long for long words


@dataclass(slots=True)
class Known:
    """What is taken, by name and by number; a number's value says who has it."""

    users: dict[str, int | None] = field(default_factory=dict)
    groups: dict[str, int | None] = field(default_factory=dict)


def sysusers(files: Files) -> Known:
    """Return what ``systemd-sysusers`` makes at boot; lines that say nothing are passed over."""
    known = Known()
    for text in _texts(files):
        for line in text.splitlines():
            if not line.strip() or len(line) > _LONGEST:
                continue
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                continue
            if len(words) < 2 or "%" in words[1]:
                continue
            kind, name = words[0].rstrip("!-"), words[1]
            user, colon, group = (words[2] if len(words) > 2 else "-").partition(":")
            if kind == "u":
                known.users.setdefault(name, number_of(user))
                if not colon:  # it has a group of its own
                    known.groups.setdefault(name, number_of(user))
                elif (number := number_of(group)) is not None:
                    known.groups.setdefault(name, number)
            elif kind == "g":
                known.groups.setdefault(name, number_of(user))
    return known


def _texts(files: Files) -> Iterator[str]:
    """Yield the files that count: of one name the one of the first place."""
    seen: set[bytes] = set()
    for place in _PLACES:
        folder = files.directory(place)
        for name in sorted(folder.entries) if folder is not None else ():
            if not name.endswith(b".conf") or name in seen:
                continue
            seen.add(name)
            path = f"{place}/{name.decode(errors='surrogateescape')}"
            if isinstance(files.find(path), File):
                yield files.text(path) or ""
