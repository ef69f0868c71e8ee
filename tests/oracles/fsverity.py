"""What fsverity(1) makes of a file: its digest, and what is kept beside it. Tests only."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sealed:
    """``tree`` and ``descriptor`` are the bytes that a kernel would write."""

    digest: bytes
    tree: bytes
    descriptor: bytes


def sealed(data: bytes, place: Path) -> Sealed:
    """Ask the program; ``place`` is a directory for files."""
    file, tree, descriptor = (place / name for name in ("data", "tree", "descriptor"))
    file.write_bytes(data)
    done = subprocess.run(
        ["fsverity", "digest", "--compact", file,
         f"--out-merkle-tree={tree}", f"--out-descriptor={descriptor}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return Sealed(bytes.fromhex(done.stdout), tree.read_bytes(), descriptor.read_bytes())
