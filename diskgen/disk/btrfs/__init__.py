"""btrfs, written whole by us; the judgement is that of ``btrfs check``."""

from __future__ import annotations

from .check import check
from .sizing import minimum_size, required
from .writer import populate

__all__ = ["populate", "check", "required", "minimum_size"]
