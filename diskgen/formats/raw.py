"""raw and ami: the disk file itself, whose size its place decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from ..config import Request
from ..events import Emit


@dataclass(frozen=True, slots=True)
class Raw:
    """The sparse file that the build wrote, as it is."""

    name: str

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,  # noqa: ARG002 - nothing to choose
        identity: UUID,  # noqa: ARG002 - it is in the disk
        emit: Emit,  # noqa: ARG002 - it takes no time
    ) -> None:
        """Make the disk file the output: a rename, no copy."""
        disk.rename(output)
