"""Values of options as typed: text in, a value out, or argparse.ArgumentTypeError."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from ..arch import MACHINES


def boolean(text: str) -> bool:
    """Return whether a text says yes."""
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")


def pair(text: str) -> tuple[str, str]:
    """Return a key and its value."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key, value


def seconds(text: str) -> int:
    """Return a number of seconds above 0."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return int(text)


def count(text: str) -> int:
    """Return a number above 0."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


def default_cache() -> Path:
    """Return where blobs and layer indexes are kept: $DISKGEN_CACHE, else the XDG cache."""
    if named := os.environ.get("DISKGEN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "diskgen"


def host_arch() -> str:
    """Return this machine's architecture where diskgen knows it, else x86_64."""
    name = platform.machine()
    return name if name in MACHINES else "x86_64"
