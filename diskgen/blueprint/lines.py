"""Where a document names a key: the number of the line, as far as the format tells it.

The parsers of the standard library keep no places, so the text is looked through again: a key that
is named once in it is found, one of several is not guessed at.
"""

from __future__ import annotations

import re
from typing import Final

_STRINGS: Final = {
    "toml": re.compile(
        r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5})?|\'\'\'(?:[^\']|\'(?!\'\'))*+(?:\'{3,5})?'
        r"|#[^\n]*+",
        re.DOTALL,
    ),
    "json": re.compile(r"(?!)"),
}


def line_of(text: str, form: str, path: str) -> int | None:
    """Return the line on which the last key of a path is named, counted from 1; None: not known.

    ``form`` is ``toml`` or ``json``.
    """
    key = re.escape(re.sub(r"\[\d*\]", "", path).rpartition(".")[2])
    bare = _STRINGS[form].sub(lambda found: "\n" * found[0].count("\n"), text)
    if form == "json":
        pattern = rf'"{key}"\s*:'
    else:
        quoted = rf"""(?:{key}|"{key}"|'{key}')"""
        pattern = rf"(?:^|[\[{{,.])[ \t]*{quoted}[ \t]*(?==|\.|\])"
    found = list(re.finditer(pattern, bare, re.MULTILINE))
    if len(found) != 1:
        return None
    place = found[0].start() + len(found[0][0]) - len(found[0][0].lstrip())
    return bare.count("\n", 0, place) + 1
