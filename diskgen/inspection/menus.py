"""Boot menus of a medium read back: GRUB's, isolinux's, and the .ins files of mainframes.

GRUB manual, "Commands"; SYSLINUX's ``doc/menu.txt``; z/VM and HMC take .ins and .prm files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_MOST: Final = 200  # entries that are shown
_LINUX: Final = frozenset({"linux", "linuxefi", "linux16"})
_TITLE: Final = re.compile(r"(menuentry|submenu)\b")
_PARAMETERS: Final = re.compile(r"^(\S+\.prm)\s", re.MULTILINE)


@dataclass(slots=True)
class Item:
    """One thing that can be chosen. ``arguments`` are the kernel's, None where none starts."""

    title: str
    submenu: str | None = None
    arguments: tuple[str, ...] | None = None


def grub(text: str, _file: Callable[[str], str | None]) -> list[Item]:
    """Return the entries of a grub.cfg."""
    found: list[Item] = []
    submenu: str | None = None
    inside = False
    for line in text.splitlines():
        words = _words(line)
        if not words or len(found) == _MOST:
            continue
        if _TITLE.match(words[0]) and len(words) > 1:
            if words[0] == "submenu":
                submenu = words[1]
            else:
                found.append(Item(words[1], submenu))
                inside = True
        elif words[0] == "}":
            submenu = submenu if inside else None
            inside = False
        elif words[0] in _LINUX and inside:
            found[-1].arguments = tuple(words[2:])
    return found


def isolinux(text: str, _file: Callable[[str], str | None]) -> list[Item]:
    """Return the entries of an isolinux.cfg."""
    found: list[Item] = []
    submenu: str | None = None
    for line in text.splitlines():
        key, _space, value = line.strip().partition(" ")
        low, value = line.strip().lower(), value.strip()
        if key.lower() == "label" and len(found) < _MOST:
            found.append(Item(value, submenu))
        elif low.startswith("menu title") and low != "menu title":
            submenu = line.strip()[len("menu title") :].strip() if found else None
        elif low == "menu end":
            submenu = None
        elif low.startswith("menu label") and found:
            found[-1].title = line.strip()[len("menu label") :].strip()
        elif key.lower() == "append" and found:
            found[-1].arguments = tuple(w for w in value.split() if not w.startswith("initrd="))
    return found


def mainframe(text: str, file: Callable[[str], str | None]) -> list[Item]:
    """Return what an .ins file starts; ``file`` gives the text of another file of the medium."""
    title = text.splitlines()[0].lstrip("* ") if text.startswith("*") else "IPL"
    match = _PARAMETERS.search(text)
    line = file(match[1]) if match is not None else None
    return [Item(title, None, tuple(line.split()) if line is not None else None)]


def _words(line: str) -> list[str]:
    try:
        return list(_bounded(line))
    except ValueError:  # a quote without an end
        return line.split()


def _bounded(line: str) -> Iterator[str]:
    yield from shlex.split(line, comments=True) if len(line) < 4096 * 4 else line.split()
