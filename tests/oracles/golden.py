"""Texts that must not change by accident. ``UPDATE_GOLDEN=1 pytest`` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

PLACE = Path(__file__).resolve().parent / "golden"


def check(name: str, text: str) -> None:
    """Compare a text with the one in the repository."""
    path = PLACE / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
