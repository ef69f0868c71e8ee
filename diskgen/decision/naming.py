"""Name, language, keyboard and clock of a machine, as the files that say them.

Formats: hostname(5), locale.conf(5), vconsole.conf(5), keyboard(5), localtime(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import keymap
from .setup import UTC
from .system import KEYMAPS, ZONES, System

LOCALTIME: Final = "etc/localtime"
ZONE_NAME: Final = "etc/timezone"  # what Debian's programs read beside it


def hostname(name: str) -> Iterator[tuple[str, str]]:
    """Yield the files, by path, that call a machine so."""
    yield "etc/hostname", f"{name}\n"


def language(name: str, system: System) -> Iterator[tuple[str, str]]:
    """Yield the files that say which language programs speak."""
    yield "etc/locale.conf", f"LANG={name}\n"
    if system.has("etc/default/locale"):
        yield "etc/default/locale", f"LANG={name}\n"


def keyboard(text: str, system: System) -> Iterator[tuple[str, str]]:
    """Yield the files of the console's keyboard, and of what reads layout and variant."""
    layout, variant = keymap.split(text) or (text, None)
    if variant is None:
        yield "etc/vconsole.conf", f"KEYMAP={layout}\n"
    else:
        joint = f"{layout}-{variant}"
        names = (name.rpartition("/")[2] for place in KEYMAPS for name in system.names(place))
        found = any(name.startswith(f"{joint}.map") for name in names)
        lines = f"KEYMAP={joint if found else layout}\nXKBLAYOUT={layout}\nXKBVARIANT={variant}\n"
        yield "etc/vconsole.conf", lines
    if system.has("etc/default/keyboard"):
        yield (
            "etc/default/keyboard",
            f'XKBMODEL="pc105"\nXKBLAYOUT="{layout.partition("-")[0]}"\n'
            f'XKBVARIANT="{variant or layout.partition("-")[2]}"\nXKBOPTIONS=""\n',
        )


def zone(name: str, system: System) -> str | None:
    """Return what ``/etc/localtime`` links to; None: the system does not have it."""
    there = ".." not in name.split("/") and system.has(f"{ZONES}/{name}")
    return f"../{ZONES}/{name}" if name in UTC or there else None
