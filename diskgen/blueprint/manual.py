"""The table of keys as the man page has it, in groff's man(7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .keys import KEYS, OF_PACKAGES, TOP, Key, Kind, Use

BEGIN: Final = ".SS Keys\n"
_WORDS: Final = {use: str(use) for use in Use} | {Use.DONE: "", Use.IDLE: "ignored"}


def section() -> str:
    """Return the part of the man page that lists the keys, the first line its heading."""
    return BEGIN + "".join(_lines())


def _lines() -> Iterator[str]:
    others = [key for key in KEYS if key.text == OF_PACKAGES]
    for key in KEYS:
        if key in others:
            continue
        name = key.path.removeprefix(f"{TOP}.").replace("-", "\\-")
        kind = "" if key.kind is Kind.ANY else f" ({key.kind})"
        words = [word for word in (key.text, _taken(key), key.hint or "") if word]
        text = "; ".join(words).replace("-", "\\-").replace("'", "\\(aq")
        yield f".TP\n.B {name}{kind}\n{text[0].upper()}{text[1:]}.\n"
    names = ", ".join(key.path.removeprefix(f"{TOP}.") for key in others).replace("-", "\\-")
    yield f".PP\nOf systems that are made of packages, and left out with a warning: {names}.\n"


def _taken(key: Key) -> str:
    """Return in words where a key is not applied."""
    if key.disk is key.medium:
        return _WORDS[key.disk]
    return ", ".join(
        f"{name}: {_WORDS[use]}"
        for name, use in (("disks", key.disk), ("media", key.medium))
        if _WORDS[use]
    )
