"""Identifiers of disks, partitions and filesystems, which derive from a seed.

It is the image's digest, and what the user adds to it: the same request gives the same disk, and
``root=UUID=`` is known before the disk exists.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("b1d69346-4a27-5d0e-9a68-3f5d9a7f7a35")  # of all that we derive
DISK: Final = "disk"  # what the identifier of the table is called


def derive_uuid(seed: str, role: str) -> UUID:
    """Return the identifier that belongs to a role on every disk made from one seed."""
    return uuid5(uuid5(_NAMESPACE, seed), role)


def identity_seed(digest: str, text: str | None) -> str:
    """Return the seed for an image's digest, and the text that a user may add."""
    return digest if text is None else f"{digest} {text}"


def partition_name(role: str) -> str:
    """Return what the identifier of a role's partition is called, to be derived or given."""
    return f"partition {role}"


def filesystem_name(role: str) -> str:
    """Return what the identifier of a role's filesystem is called, to be derived or given."""
    return f"filesystem {role}"
