"""The boot menu of an installer's medium for isolinux, which older media start by under BIOS.

Format: SYSLINUX's ``doc/syslinux.txt`` and ``doc/menu.txt``. Without a program that shows menus,
isolinux lists the entries and asks for a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .menu import Entry, Menu, Submenu

PROGRAMS: Final = ("vesamenu.c32", "menu.c32")  # the better one first
_TENTHS: Final = 10  # of a second, isolinux's unit
_LOCAL_DISK: Final = "0x80"


def to_isolinux(menu: Menu, program: str | None) -> str:
    """Return isolinux.cfg; ``program`` is one of PROGRAMS, or None where the medium has none."""
    lines = ["# Written by diskgen."]
    if menu.serial:
        lines.append("serial 0 115200")
    lines += [f"timeout {menu.timeout * _TENTHS}"]
    if program is not None:
        lines += [f"ui {program}", f"menu title {menu.label}"]
    else:
        lines += ["prompt 1", "default entry1"]
        lines += [f"say {name}: {entry.title}" for name, entry in _named(menu)]
    names = {id(entry): name for name, entry in _named(menu)}
    for item in menu.entries:
        if isinstance(item, Submenu):
            inner = [line for entry in item.entries for line in _entry(menu, entry, names)]
            if program is not None:
                inner = ["menu begin", f"  menu title {item.title}",
                         *(f"  {line}" for line in inner), "menu end"]  # fmt: skip
            lines += inner
        else:
            lines += _entry(menu, item, names)
    return "\n".join(lines) + "\n"


def _named(menu: Menu) -> Iterator[tuple[str, Entry]]:
    number = 0
    for item in menu.entries:
        for entry in item.entries if isinstance(item, Submenu) else (item,):
            number += 1
            yield f"entry{number}", entry


def _entry(menu: Menu, entry: Entry, names: dict[int, str]) -> Iterator[str]:
    name = names[id(entry)]
    yield f"label {name}"
    yield f"  menu label {entry.title}"
    if name == "entry1":
        yield "  menu default"
    if entry.command is not None:  # the one there is for BIOS
        yield f"  localboot {_LOCAL_DISK}"
        return
    yield f"  kernel {menu.kernel}"
    yield f"  append initrd={menu.initrd} {' '.join(entry.arguments)}"
