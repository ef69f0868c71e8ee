"""The names of inodes: from an inode to its directories, and how many of one hash there can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ...tree import Directory
from . import items
from .sums import name_hash, reference_hash
from .tree import LARGEST_ITEM, Item

FIRST_INDEX: Final = 2  # of a directory's entries
Name = tuple[int, int, bytes]  # directory, index in it, name
_SHARED: Final = 3900  # bytes of the names that an inode has in one directory; others are apart
_LONGEST: Final = 255


def references(number: int, names: Sequence[Name]) -> Iterator[Item]:
    """Yield the items of an inode's names: by directory while they fit, then by hash."""
    if len(names) == 1:
        parent, index, name = names[0]
        yield number, items.REFERENCE, parent, items.reference(index, name)
        return
    shared: dict[int, bytes] = {}
    apart: dict[int, bytes] = {}
    for parent, index, name in names:
        data = shared.get(parent, b"") + items.reference(index, name)
        if len(data) <= _SHARED:
            shared[parent] = data
        else:
            key = reference_hash(parent, name)
            apart[key] = apart.get(key, b"") + items.more_reference(parent, index, name)
    for parent in sorted(shared):
        yield number, items.REFERENCE, parent, shared[parent]
    for key in sorted(apart):
        yield number, items.MORE_REFERENCES, key, apart[key]


def of_names(names: Sequence[Name]) -> str | None:
    """Return what is wrong with the names of one inode, those of one hash being in one item."""
    if len(names) * (items.MORE_SIZE + _LONGEST) <= LARGEST_ITEM:
        return None
    return _too_much(max(len(data) for *_, data in references(0, names)), "its names of one hash")


def of_hashes(directory: Directory) -> str | None:
    """Return what is wrong with a directory's names, all of one hash being in one item."""
    if len(directory.entries) * (items.ENTRY_SIZE + _LONGEST) <= LARGEST_ITEM:
        return None
    sizes: dict[int, int] = {}
    for name in directory.entries:
        key = name_hash(name)
        sizes[key] = sizes.get(key, 0) + items.ENTRY_SIZE + len(name)
    return _too_much(max(sizes.values()), "the names of one hash in it")


def _too_much(size: int, what: str) -> str | None:
    return f"{what} take '{size}' bytes, at most '{LARGEST_ITEM}' can be" if (
        size > LARGEST_ITEM
    ) else None  # fmt: skip
