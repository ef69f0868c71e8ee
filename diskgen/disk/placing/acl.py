"""Access control lists, in the form that getxattr has them in (linux/posix_acl_xattr.h)."""

from __future__ import annotations

import struct
from typing import Final

NAMES: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
NAMED: Final = (0x02, 0x08)  # tags of entries that bear a number
_TAGS: Final = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20)
_ENTRY: Final = struct.Struct("<HHI")
_VERSION: Final = b"\2\0\0\0"


def entries(value: bytes) -> list[tuple[int, int, int]] | None:
    """Return the (tag, permissions, number) of a list's entries; None if it is none."""
    if len(value) % _ENTRY.size != len(_VERSION) or not value.startswith(_VERSION):
        return None
    found = list(_ENTRY.iter_unpack(value[len(_VERSION) :]))
    if all(tag in _TAGS and permissions <= 7 for tag, permissions, _ in found):
        return found
    return None
