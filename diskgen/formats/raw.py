"""raw and ami: the disk file itself, whose size its place decides."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from ..config import Request
from ..events import Emit


class Raw:
    """The sparse file that the build wrote, as it is."""

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


FORMAT: Final = Raw()
