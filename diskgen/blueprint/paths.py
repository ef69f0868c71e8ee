"""Paths of keys: with the number of each list entry, and without."""

from __future__ import annotations

import re
from typing import Final

_INDEX: Final = re.compile(r"\[\d+\]")


def plain(path: str) -> str:
    """Return a key's path as the table has it: ``user[0].name`` is ``user[].name``."""
    return _INDEX.sub("[]", path)
