"""Files that travel on media: found in a wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def text(room: str, name: str) -> str:
    """Return a file of ``installer/`` or ``kickstart/``. Raises FileNotFoundError: a bug."""
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        path = base / room / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"{room}/{name}")
