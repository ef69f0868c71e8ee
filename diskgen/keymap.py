"""Keyboards: a layout, and perhaps a variant of it, as ``us(intl)``.

Names: xkeyboard-config(7); the console's keymaps have a layout's and a variant's name with ``-``
between them where they are made from those (systemd-localed, localectl(1)).
"""

from __future__ import annotations

import re
from typing import Final

_LAYOUT: Final = re.compile(
    r"\s*(?P<layout>[A-Za-z0-9_/][A-Za-z0-9_/.+-]*)\s*(?:\(\s*(?P<variant>[A-Za-z0-9_-]+)\s*\)\s*)?",
    re.ASCII,
)


def split(text: str) -> tuple[str, str | None] | None:
    """Return layout, or a console's keymap, and variant; None for what is neither."""
    match = _LAYOUT.fullmatch(text)
    return (match["layout"], match["variant"]) if match is not None else None
