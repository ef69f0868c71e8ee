"""raw: the disk file itself."""

from __future__ import annotations

from pathlib import Path

from ..config import Request
from ..events import Emit


class Raw:
    """The sparse file that the build wrote, as it is."""

    name = "raw"
    suffix = "raw"

    def write(self, disk: Path, output: Path, request: Request, emit: Emit) -> None:  # noqa: ARG002
        """Make the disk file the output: a rename, no copy."""
        disk.rename(output)
