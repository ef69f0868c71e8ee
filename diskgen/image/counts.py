"""What layers have of what is limited, counted while they are read and again over all of them."""

from __future__ import annotations

from ..budgets import (
    ALL_ATTRIBUTES_BYTES,
    ALL_NAMES_BYTES,
    ENTRIES,
    EXPANSION,
    EXPANSION_FLOOR,
    Refuse,
    Tally,
)
from ..errors import SourceError
from ..tree import Xattrs
from .index import LayerIndex


def is_bomb(tar: int, blob: int) -> bool:
    """Say whether so many bytes of tar are too many for a blob of so many."""
    return tar > EXPANSION_FLOOR and tar > EXPANSION.limit * max(blob, 1)


class Counts:
    """Counts one layer's entries as they come."""

    def __init__(self, refuse: Refuse) -> None:
        self._entries = Tally(ENTRIES, refuse, "it has")
        self._names = Tally(ALL_NAMES_BYTES, refuse, "its paths and link targets have")
        self._attributes = Tally(ALL_ATTRIBUTES_BYTES, refuse, "its extended attributes have")
        self._sets: dict[Xattrs, Xattrs] = {(): ()}
        self._folders: set[bytes] = {b""}

    @property
    def entries(self) -> int:
        return self._entries.count

    def add(self, path: bytes, target: bytes, xattrs: Xattrs) -> Xattrs:
        """Count an entry; return its attributes, as the one object that all alike share."""
        self._entries.add(1)
        self._names.add(len(path) + len(target) + 2)
        parent = path.rpartition(b"/")[0]
        while parent not in self._folders:  # implied: one path may make two hundred of them
            self._folders.add(parent)
            self._entries.add(1)
            parent = parent.rpartition(b"/")[0]
        shared = self._sets.get(xattrs)
        if shared is None:
            self._attributes.add(sum(len(name) + len(value) for name, value in xattrs))
            shared = self._sets[xattrs] = xattrs
        return shared


class ImageCounts:
    """Counts an image's layers."""

    def __init__(self, what: str) -> None:
        def refuse(reason: str) -> SourceError:
            return SourceError(f"'{what}' is refused: {reason}")

        self._entries = Tally(ENTRIES, refuse, "its layers have")
        self._names = Tally(ALL_NAMES_BYTES, refuse, "paths and link targets of its layers have")
        self._attributes = Tally(ALL_ATTRIBUTES_BYTES, refuse, "attributes of its layers have")

    def add(self, index: LayerIndex) -> None:
        """Count a layer. Raises SourceError where it makes the image too large."""
        self._entries.add(index.counted)
        self._names.add(index.names_bytes)
        self._attributes.add(index.attributes_bytes)
