"""Raw disks with noise, text, zeros and holes at the edges of what formats divide them into."""

from __future__ import annotations

import random
from pathlib import Path

from diskgen.units import MIB

CLUSTER = 64 * 1024


def blank(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def varied(path: Path, size: int) -> Path:
    """Write a sparse disk of ``size`` bytes; the same each time."""
    blank(path, size)
    chance = random.Random(size)
    with path.open("r+b") as file:
        for at in (0, CLUSTER - 7, CLUSTER * 2, 33 * MIB, 512 * MIB - 100, size - 512):
            if 0 <= at < size:
                file.seek(at)
                noise = chance.randbytes(3 * CLUSTER) if at % 2 else b"text " * 30_000
                file.write(noise[: size - at])
    return path
