"""As large an image as anyone has: it passes, in time that grows with it, and in little memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .fixtures import big_image
from .fixtures.measured import measured
from .fixtures.program import Program

_GB = 10**9


def _spent(diskgen: Program, place: Path, entries: int, size: int) -> tuple[float, int]:
    """Make an image and a disk of it; return seconds of processors, and the highest peak."""
    big_image.make(place, entries=entries, size=size)
    words = (
        "raw",
        f"oci:{place}",
        "--progress",
        "plain",
        "-o",
        diskgen.place / "os.raw",
        "--force",
    )
    done = measured(diskgen.command(*words), env=diskgen.environment(), cwd=diskgen.place)
    assert done.status == 0, done.said
    found = re.search(r"Writing the root filesystem: .*, ([\d,]+) inodes, checked", done.said)
    assert found is not None, done.said
    assert int(found[1].replace(",", "")) > entries
    return done.seconds, done.peak


@pytest.mark.extended
def test_a_million_entries_and_30_gb(diskgen: Program, images: Path) -> None:
    small, _peak = _spent(diskgen, images / "small", 100_000, 3 * _GB)
    large, peak = _spent(diskgen, images / "large", 1_000_000, 30 * _GB)
    assert large < 15 * small
    assert peak < 1_500_000_000
