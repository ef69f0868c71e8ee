"""Answers of services as values: JSON that may be anything."""

from __future__ import annotations

from typing import Any

from ..documents import DocumentError, load_object


def values_of(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object that a body is, in JSON; an empty one where it is none."""
    try:
        return load_object(bytes(body))
    except DocumentError:
        return {}
