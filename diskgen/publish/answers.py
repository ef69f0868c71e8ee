"""Answers of services as values: JSON that may be anything."""

from __future__ import annotations

import json
from typing import Any, cast


def values_of(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object that a body is, in JSON; an empty one where it is none."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
