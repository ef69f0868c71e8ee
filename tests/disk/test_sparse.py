"""What of a sparse file is data, as qemu-img sees it, and where nobody can tell."""

from __future__ import annotations

import json
import os
import random
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from diskgen.disk.sparse import data_extents
from diskgen.formats.pieces import bytes_read, data_units
from diskgen.publish.extents import Piece, pieces

UNIT = 64 * 1024


def holey(path: Path, chance: random.Random) -> Path:
    """Write a file of random holes, which may begin and end with one."""
    size = chance.randrange(1, 40 * UNIT)
    with path.open("wb") as file:
        file.truncate(size)
        for _ in range(chance.randrange(6)):
            at = chance.randrange(size)
            file.seek(at)
            file.write(chance.randbytes(min(size - at, chance.choice((1, 5000, 3 * UNIT)))))
    return path


def mapped(path: Path) -> list[tuple[int, int]]:
    """Return (begin, end) of what qemu-img says is data; it goes in sectors."""
    argv: list[str | Path] = ["qemu-img", "map", "--output=json", "-f", "raw", path]
    rows = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    size = path.stat().st_size
    return [(row["start"], min(row["start"] + row["length"], size)) for row in rows if row["data"]]


@pytest.fixture(params=range(8))
def sparse(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return holey(tmp_path / "disk", random.Random(request.param))


def test_data_is_what_qemu_img_says(sparse: Path) -> None:
    size = sparse.stat().st_size
    wanted = mapped(sparse)
    with sparse.open("rb") as file:
        for begin, end in ((0, size), (0, size // 2), (size // 3, size // 2), (size // 2, size)):
            assert list(data_extents(file.fileno(), begin, end)) == [
                (max(first, begin), min(last, end))
                for first, last in wanted
                if first < end and last > begin
            ]


def test_formats_and_places_go_by_the_same_units(sparse: Path) -> None:
    """Each unit that has data, once, ascending, and no other one."""
    size = sparse.stat().st_size
    wanted = sorted(
        {n for begin, end in mapped(sparse) for n in range(begin // UNIT, -(-end // UNIT))}
    )
    with sparse.open("rb") as file:
        units = list(data_units(file.fileno(), size, UNIT))
        sent = list(pieces(file.fileno(), UNIT, size))
    assert [at // UNIT for begin, end in units for at in range(begin, end, UNIT)] == wanted
    assert all(later[0] > earlier[1] for earlier, later in pairwise(units))
    assert sent == [Piece(n, n * UNIT, min(UNIT, size - n * UNIT)) for n in wanted]
    assert bytes_read(sparse, UNIT) == sum(piece.length for piece in sent)


def test_a_filesystem_that_knows_no_holes_has_nothing_but_data() -> None:
    """The kernel's own: it refuses the question."""
    with Path("/proc/version").open("rb") as file:
        with pytest.raises(OSError, match="Invalid argument"):
            os.lseek(file.fileno(), 0, os.SEEK_DATA)
        assert list(data_extents(file.fileno(), 3, 20)) == [(3, 20)]
        assert [piece.number for piece in pieces(file.fileno(), 8, 20)] == [0, 1, 2]


def test_what_cannot_be_asked_is_an_error() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            list(data_extents(reading, 0, 10))
    finally:
        os.close(reading)
        os.close(writing)
