"""xfs, written whole by us; the judgement is xfs_repair's."""

from __future__ import annotations

from .features import Features, of_kernel
from .headers import MAX_LABEL
from .repair import check
from .sizing import minimum_size, required
from .writer import populate

__all__ = ["populate", "check", "required", "minimum_size", "Features", "of_kernel", "MAX_LABEL"]
