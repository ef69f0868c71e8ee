"""ext4: the empty filesystem by mke2fs, its contents by us, the judgement by e2fsck."""

from __future__ import annotations

from .mkfs import check, make_empty
from .sizing import minimum_size, required
from .writer import populate

__all__ = [
    "make_empty",
    "populate",
    "check",
    "required",
    "minimum_size",
]
