"""Files that travel on media: found in a wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def text(room: str, name: str) -> str:
    """Return a file of ``installer/`` or ``kickstart/``. Raises FileNotFoundError: a bug."""
    return data(room, name).decode()


def data(room: str, name: str) -> bytes:
    """Return the bytes of such a file."""
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        path = base / room / name
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(f"{room}/{name}")
