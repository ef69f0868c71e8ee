"""Sizes in bytes: parsing, printing, aligning."""

from __future__ import annotations

import re

from .errors import UsageError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kib": KIB, "kb": 1000,
    "m": MIB, "mib": MIB, "mb": 1000**2,
    "g": GIB, "gib": GIB, "gb": 1000**3,
    "t": TIB, "tib": TIB, "tb": 1000**4,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", re.ASCII)


def parse_size(text: str, *, setting: str | None = None) -> int:
    """Return bytes for ``"10 GiB"``, ``"10G"`` (binary), ``"10GB"`` (decimal) or ``"4096"``.

    Raises UsageError for anything else.
    """
    match = _SIZE.fullmatch(text)
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"'{text}' is not a size",
            hint="write a number and a unit, such as 20G, 20GiB or 20GB",
            setting=setting,
        )
    return round(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor


def format_size(size: int) -> str:
    """Return a size for people: ``10 GiB``, ``1.5 MiB``, ``512 B``."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            value = f"{size / unit:.1f}"
            return f"{value.removesuffix('.0')} {name}"
    return f"{size} B"


def align_up(value: int, grain: int) -> int:
    """Round up to a multiple of grain."""
    return -(-value // grain) * grain


def align_down(value: int, grain: int) -> int:
    """Round down to a multiple of grain."""
    return value // grain * grain
