"""The table of keys as the man page has it, in groff's man(7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .keys import KEYS, OF_PACKAGES, TOP, Key, Kind, Use, Way

BEGIN: Final = ".SS Keys\n"
_WORDS: Final = {use: str(use) for use in Use} | {Use.DONE: "", Use.IDLE: "ignored"}
_WAYS: Final = {
    Way.DISK: "disks", Way.ANACONDA: "Anaconda", Way.OWN: "diskgen's own installer",
    Way.PACKAGES: "package mode",
}  # fmt: skip


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
    uses = {name: key.use(way) for way, name in _WAYS.items()}
    if len(set(uses.values())) == 1:
        return _WORDS[key.disk]
    if key.own is None and key.packages is None:
        uses = {"disks": key.disk, "media": key.medium}
    ways: dict[str, list[str]] = {}
    for name, use in uses.items():
        if _WORDS[use]:
            ways.setdefault(_WORDS[use], []).append(name)
    return "; ".join(f"{' and '.join(names)}: {words}" for words, names in ways.items())
