"""Look into an image, a disk or an installer's medium: facts as JSON values, and for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

SCHEMA_VERSION: Final = 2  # of all of the facts

__all__ = ["SCHEMA_VERSION", "of_file"]


def of_file(path: Path) -> dict[str, Any]:
    """Return what a disk file or a medium holds. Raises SourceError for anything else."""
    from ..vm.media import is_medium
    from . import disk, medium

    return medium.of_medium(path) if is_medium(path) else disk.of_disk(path)
