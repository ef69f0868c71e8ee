"""Extended attributes of btrfs: items of the inode, by the hash of their names."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ...tree import Xattrs
from ..placing import acl
from . import items
from .sums import name_hash
from .tree import LARGEST_ITEM

LARGEST: Final = LARGEST_ITEM - items.ENTRY_SIZE  # bytes of a name and its value
_SPACES: Final = (b"user.", b"trusted.", b"security.")


class XattrError(ValueError):
    """Attributes that btrfs cannot hold; the inventory adds the path."""


@lru_cache(maxsize=4096)
def encode(xattrs: Xattrs) -> tuple[tuple[int, bytes], ...]:
    """Return (hash, data) of the items of attributes, in their order. Raises XattrError."""
    found: dict[int, bytes] = {}
    for name, value in sorted(dict(xattrs).items()):
        _check(name, value)
        key = name_hash(name)
        found[key] = found.get(key, b"") + items.attribute(name, value)
        if len(found[key]) > LARGEST_ITEM:
            shown = name.decode(errors="backslashreplace")
            raise XattrError(
                f"'{shown}' and others whose names have its hash take '{len(found[key])}' bytes, "
                f"at most '{LARGEST_ITEM}' can be"
            )
    return tuple(sorted(found.items()))


def _check(name: bytes, value: bytes) -> None:
    shown = name.decode(errors="backslashreplace")
    if name in acl.NAMES:
        if acl.entries(value) is None:
            raise XattrError(f"'{shown}' is no access control list")
    elif (
        len(name) > 255 or b"\0" in name or not any(
            name.startswith(space) and name != space for space in _SPACES
        )
    ):  # fmt: skip
        raise XattrError(f"btrfs cannot hold an extended attribute called '{shown}'")
    size = len(name) + len(value)
    if size > LARGEST:
        raise XattrError(f"'{shown}' has '{size}' bytes with its name, at most '{LARGEST}' can be")
