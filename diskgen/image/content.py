"""Small blobs of images: read within their budgets and checked against their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..budgets import MANIFEST_BYTES, Budget
from ..errors import SourceError


def sha256(data: bytes) -> str:
    """Return the digest of bytes as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def small(path: Path, limit: Budget = MANIFEST_BYTES) -> bytes:
    """Return what a file holds. Raises SourceError where that is too much."""
    if path.stat().st_size > limit.limit:
        raise SourceError(f"'{path}' has {limit.exceeded}")
    return path.read_bytes()


def verified(path: Path, digest: str, limit: Budget) -> bytes:
    """Return what a blob holds. Raises SourceError unless it is what its digest says."""
    if not path.is_file():
        raise SourceError(f"blob '{digest}' is missing from '{path.parent}'")
    return matching(small(path, limit), digest, str(path))


def matching(data: bytes, digest: str, what: str) -> bytes:
    """Return the bytes themselves. Raises SourceError naming ``what`` unless they match."""
    if sha256(data) != digest:
        raise SourceError(
            f"'{what}' does not match its digest: wanted '{digest}', got '{sha256(data)}'",
            hint="try again; if it stays, the source is broken",
        )
    return data
