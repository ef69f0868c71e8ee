"""A zone of firewalld as a text that is changed by hand: firewalld.zone(5), XML 1.0.

Comments and what else people wrote stay as they are. Elements are those right below ``<zone>``:
a rich rule has elements of the same names, and they are its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import unescape

_TAG: Final = re.compile(
    r"<(?P<end>/?)(?P<name>[A-Za-z_][\w.-]*+)(?P<rest>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*+)>"
)
# What is no tag, by its beginning and its end.
_OTHERS: Final = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">"))
_ATTRIBUTE: Final = re.compile(r"(?<![\w.:-])([\w.:-]++)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)')")
_ZONE: Final = "zone"
_QUOTES: Final = {"&quot;": '"', "&apos;": "'"}


@dataclass(frozen=True, slots=True)
class _Element:
    """One right below the zone, from its first character to behind its last."""

    name: str
    attributes: Mapping[str, str]
    start: int
    end: int


class NoZoneError(ValueError):
    """A text is no zone."""


def with_element(text: str, name: str, attributes: Mapping[str, str]) -> str:
    """Return a zone that has an element, at its end where it is new. Raises NoZoneError."""
    found, (start, end) = _read(text)
    if any(one.name == name and one.attributes == attributes for one in found):
        return text
    words = "".join(f' {key}="{value}"' for key, value in attributes.items())
    line = f"  <{name}{words}/>\n"
    before, closing, after = text[:start], text[start:end], text[end:]
    if not closing.startswith("</"):  # <zone/>
        opening = closing[:-1].rstrip().removesuffix("/").rstrip()
        return f"{before}{opening}>\n{line}</zone>{after}"
    return f"{before.rstrip()}\n{line}{closing}{after}"


def without_element(text: str, name: str, attributes: Mapping[str, str]) -> str:
    """Return a zone that does not have an element. Raises NoZoneError."""
    for one in reversed(_read(text)[0]):
        if one.name == name and one.attributes == attributes:
            start = len(text[: one.start].rstrip(" \t"))
            end = one.end + (text[one.end : one.end + 1] == "\n")
            text = text[:start] + text[end:]
    return text


def _read(text: str) -> tuple[list[_Element], tuple[int, int]]:
    """Return the elements of a zone, and where the tag that ends it lies."""
    found: list[_Element] = []
    opened: list[tuple[str, Mapping[str, str], int]] = []
    for piece in _tags(text):
        name, start, end = piece["name"], piece.start(), piece.end()
        if piece["end"]:
            if not opened or opened[-1][0] != name:
                raise NoZoneError
            _name, attributes, start = opened.pop()
            if not opened:
                return found, (piece.start(), end)
        else:
            attributes = {
                key: unescape(one or other, _QUOTES)
                for key, one, other in _ATTRIBUTE.findall(piece["rest"])
            }
            if not opened and name != _ZONE:
                raise NoZoneError
            if not piece["rest"].endswith("/"):
                opened.append((name, attributes, start))
                continue
            if not opened:
                return found, (start, end)
        if len(opened) == 1:
            found.append(_Element(name, attributes, start, end))
    raise NoZoneError


def _tags(text: str) -> Iterator[re.Match[str]]:
    """Yield the tags of a text, not what comments hold. Raises NoZoneError."""
    place = text.find("<")
    while place >= 0:
        closing = next((end for begin, end in _OTHERS if text.startswith(begin, place)), None)
        if closing is not None:
            place = text.find(closing, place + 2)
            if place < 0:
                raise NoZoneError
        else:
            found = _TAG.match(text, place)
            if found is None:
                raise NoZoneError
            yield found
            place = found.end()
        place = text.find("<", place)
