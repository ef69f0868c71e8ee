"""The pieces of the xfs writer, beside those of mkfs.xfs."""

from __future__ import annotations

import re
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from diskgen.disk.xfs import dabtree, geometry, headers
from diskgen.units import MIB

IDENTITY = uuid.UUID("6b1bdf4c-8c0f-4c0e-9e2d-0f4f6a6b7c8d")


@pytest.mark.parametrize("sector", [512, 4096])
def test_the_log_is_that_of_mkfs_xfs(tmp_path: Path, sector: int) -> None:
    """Nothing but its record of an unmount says that there is nothing to replay."""
    size = 400 * MIB
    theirs = tmp_path / "theirs"
    with theirs.open("wb") as file:
        file.truncate(size)
    subprocess.run(
        ["mkfs.xfs", "-q", "-s", f"size={sector}", "-m", f"uuid={IDENTITY}", theirs], check=True
    )

    def said(command: str) -> str:
        return subprocess.run(
            ["xfs_db", "-r", "-c", "sb 0", "-c", command, theirs], check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip

    (start,) = re.findall(r"logstart = (\d+)", said("print logstart"))
    (at,) = re.findall(r"\((\d+)\)", said(f"convert fsblock {start} byte"))
    ours = headers.log_record(geometry.of_size(size, sector), IDENTITY)
    with theirs.open("rb") as image:
        image.seek(int(at))
        assert image.read(len(ours)) == ours


@pytest.mark.parametrize("count", [2, 505, 1200, 300_000])
def test_every_hash_is_found_from_the_root(count: int) -> None:
    """A node says of each block below it the greatest hash (da_intnode: 16 bytes into its head)."""
    leaves, above = 1_000_000, 2_000_000
    hashes = [7 * number + 3 for number in range(count)]
    blocks = dict(dabtree.nodes(hashes, 0, leaves, above, lambda block: block, IDENTITY, 128))

    def below(block: int) -> list[tuple[int, int]]:
        number, _level = struct.unpack_from(">HH", blocks[block], 56)
        return list(struct.iter_unpack(">II", blocks[block][64 : 64 + 8 * number]))

    found: list[tuple[int, int]] = []
    pending = [(hashes[-1], 0)]
    while pending:
        greatest, block = pending.pop()
        inside = below(block)
        assert inside[-1][0] == greatest
        for item in reversed(inside):
            (pending if item[1] in blocks else found).append(item)
    assert sorted(found) == [(value, leaves + number) for number, value in enumerate(hashes)]
