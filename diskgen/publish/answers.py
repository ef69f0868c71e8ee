"""Answers of services as values: JSON that may be anything, and numbers that may be none."""

from __future__ import annotations

import re
from typing import Any, Final

from ..documents import DocumentError, load_object

_DIGITS: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


def values_of(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object that a body is, in JSON; an empty one where it is none."""
    try:
        return load_object(bytes(body))
    except DocumentError:
        return {}


def count_of(value: object) -> int | None:
    """Return a number that is none below zero, or the digits of one; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return None
