"""The pieces of the xfs writer, beside those of mkfs.xfs."""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import Path

import pytest

from diskgen.disk.xfs import geometry, headers
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
