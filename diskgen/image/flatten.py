"""An image's layers as the one root filesystem that a container of it would have.

Whiteouts and attributes: OCI Image Format Specification 1.1, "Image Layer Filesystem Changeset".
Deployments are merged by other rules (ostree.merge); this is for images that are run as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import SourceError
from ..tree import Directory, File, Node
from .index import Entry, Kind, LayerIndex
from .special import refusal

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_SECOND: Final = 10**9  # nanoseconds


def flatten(indexes: Sequence[LayerIndex]) -> Directory:
    """Return the root of the layers, the lowest first. Raises SourceError for a malformed one."""
    root = Directory()
    for index in indexes:
        _Layer(root, index).apply()
    for index in indexes:
        for entry in index.entries:
            node = root.get(entry.path) if entry.kind is Kind.SPECIAL else None
            if isinstance(node, File) and not node.is_regular and not node.is_symlink:
                raise refusal(index.diff_id, entry)
    return root


class _Layer:
    """One layer while it is laid over what is below."""

    def __init__(self, root: Directory, index: LayerIndex) -> None:
        self._root = root
        self._index = index
        self._links: list[tuple[Entry, Directory, bytes]] = []  # that come before their targets
        self._mine: set[bytes] = set()
        self._hidden: dict[bytes, tuple[int, Node]] = {}  # and the number of its whiteout

    def apply(self) -> None:
        # A whiteout hides what is below the layer, wherever in the archive it stands.
        for number, entry in enumerate(self._index.entries):
            self._hide(number, entry)
        for number, entry in enumerate(self._index.entries):
            if not entry.path.rpartition(b"/")[2].startswith(_WHITEOUT):
                self._add(number, entry)
        for entry, folder, name in self._links:
            self._link(entry, folder, name, self._root.get(entry.target))

    def _hide(self, number: int, entry: Entry) -> None:
        parent, _slash, name = entry.path.rpartition(b"/")
        if not name.startswith(_WHITEOUT):
            return
        folder = self._root.get(parent)
        if not isinstance(folder, Directory):
            return
        if name == _OPAQUE:
            inside = parent + b"/" if parent else b""
            for child, node in folder.entries.items():
                self._hidden.setdefault(inside + child, (number, node))
            folder.entries.clear()
            return
        hidden = name[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise self._refuse(entry.path, "is a whiteout of nothing")
        gone = folder.entries.pop(hidden, None)
        if gone is not None:
            self._hidden[entry.path[: -len(name)] + hidden] = number, gone

    def _add(self, number: int, entry: Entry) -> None:
        if not entry.path:
            self._attributes(self._root, entry)
            return
        parent, _slash, name = entry.path.rpartition(b"/")
        folder = self._parent(parent, entry)
        existing = folder.entries.get(name)
        if entry.kind is Kind.DIR:
            if not isinstance(existing, Directory):
                existing = folder.entries[name] = Directory()
            self._attributes(existing, entry)
        elif entry.kind is Kind.HARDLINK:
            found = self._target(number, entry.target)
            if isinstance(found, File):
                self._link(entry, folder, name, found)
            else:
                self._links.append((entry, folder, name))
        else:
            self._mine.add(entry.path)
            folder.entries[name] = File(
                entry.mode,
                entry.uid,
                entry.gid,
                entry.xattrs,
                mtime_ns=entry.mtime * _SECOND,
                content=entry.content,
                target=entry.target if entry.kind is Kind.SYMLINK else b"",
            )

    def _target(self, number: int, path: bytes) -> Node | None:
        """Return what a path is while the entry of a number is unpacked, as others unpack it.

        What the layer replaces or hides only later is still that of the layer below.
        """
        if path not in self._mine:
            parts = path.split(b"/")
            for at in range(len(parts), 0, -1):
                whiteout, node = self._hidden.get(b"/".join(parts[:at]), (-1, None))
                if whiteout > number:
                    rest = parts[at:]
                    folder = node if isinstance(node, Directory) else Directory()
                    return folder.get(b"/".join(rest)) if rest else node
        return self._root.get(path)

    def _link(self, entry: Entry, folder: Directory, name: bytes, found: Node | None) -> None:
        if not isinstance(found, File):
            shown = entry.target.decode(errors="backslashreplace")
            raise self._refuse(entry.path, f"is a hard link to '{shown}', which is no file")
        folder.entries[name] = found
        self._mine.add(entry.path)

    def _attributes(self, folder: Directory, entry: Entry) -> None:
        folder.mode, folder.uid, folder.gid = entry.mode, entry.uid, entry.gid
        folder.xattrs, folder.mtime_ns = entry.xattrs, entry.mtime * _SECOND

    def _parent(self, path: bytes, entry: Entry) -> Directory:
        """Return the directory at a path, made with its parents where the archive has none."""
        folder = self._root
        for name in filter(None, path.split(b"/")):
            child = folder.entries.get(name)
            if child is None:
                child = folder.entries[name] = Directory(mtime_ns=entry.mtime * _SECOND)
            if not isinstance(child, Directory):
                raise self._refuse(entry.path, "lies below a path that is no directory")
            folder = child
        return folder

    def _refuse(self, path: bytes, reason: str) -> SourceError:
        shown = path.decode(errors="backslashreplace")
        return SourceError(
            f"layer '{self._index.diff_id}' cannot be used: '{shown}' {reason}",
            hint="rebuild the image without this entry",
        )
