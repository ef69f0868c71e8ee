"""One layer as the tree that ``ostree commit --tree=tar=`` makes of it.

The path rules are those of ostree-ext's tar filter: ``etc`` becomes ``usr/etc``, mount points of
API filesystems keep no content. Whiteouts stay ordinary files here; merging gives them meaning.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..errors import SourceError
from ..image.index import Entry, Kind, LayerIndex
from ..tree import Directory, File

_API_MOUNTS: Final = frozenset({b"run", b"tmp", b"proc", b"sys", b"dev"})


def layer_tree(index: LayerIndex) -> Directory:
    """Return the layer's tree; its files carry their ostree checksum and the time 0.

    Raises SourceError for what such a tree cannot hold.
    """
    root = Directory()
    directories: dict[bytes, Directory] = {b"": root}
    for entry in index.entries:
        path = _destination(entry.path, entry.kind, index)
        if path is None:
            continue
        if entry.kind is Kind.DIR:
            _add_directory(directories, path, entry, index)
            continue
        parent, _slash, name = path.rpartition(b"/")
        folder = _directory(directories, parent, entry, index)
        if isinstance(folder.entries.get(name), Directory):
            for known in [p for p in directories if p == path or p.startswith(path + b"/")]:
                del directories[known]
        if entry.kind is Kind.HARDLINK:
            target = _destination(entry.target, Kind.FILE, index)
            found = root.get(target) if target is not None else None
            if not isinstance(found, File):
                raise _refuse(index, entry.path, "is a hard link to something that is no file")
            folder.entries[name] = found
        else:
            folder.entries[name] = File(
                mode=entry.mode,
                uid=entry.uid,
                gid=entry.gid,
                xattrs=entry.xattrs,
                content=entry.content,
                target=entry.target,
                checksum=entry.checksum,
            )
    return root


def layer_trees(indexes: Sequence[LayerIndex]) -> tuple[Directory, ...]:
    """Return the trees of all layers, in order."""
    return tuple(layer_tree(index) for index in indexes)


def _destination(path: bytes, kind: Kind, index: LayerIndex) -> bytes | None:
    """Return where a path of the layer goes, or None where it is dropped."""
    first, slash, _rest = path.partition(b"/")
    if first == b"etc":
        path = b"usr/" + path
    elif first in _API_MOUNTS and (slash or kind is not Kind.DIR):
        return None
    try:
        path.decode()
    except UnicodeDecodeError:
        raise _refuse(index, path, "has a name that is not UTF-8") from None
    return path


def _add_directory(
    directories: dict[bytes, Directory], path: bytes, entry: Entry, index: LayerIndex
) -> None:
    existing = directories.get(path)
    if existing is None:
        parent, _slash, name = path.rpartition(b"/")
        folder = _directory(directories, parent, entry, index)
        existing = directories[path] = folder.entries[name] = Directory()
    existing.mode = entry.mode
    existing.uid, existing.gid, existing.xattrs = entry.uid, entry.gid, entry.xattrs


def _directory(
    directories: dict[bytes, Directory], path: bytes, entry: Entry, index: LayerIndex
) -> Directory:
    """Return the directory at path; missing ones get the owner of the entry that needs them."""
    found = directories.get(path)
    if found is not None:
        return found
    parent, _slash, name = path.rpartition(b"/")
    folder = _directory(directories, parent, entry, index)
    if name in folder.entries:
        raise _refuse(index, entry.path, f"lies below '{_show(path)}', which is no directory")
    made = Directory(mode=stat.S_IFDIR | 0o755, uid=entry.uid, gid=entry.gid)
    directories[path] = folder.entries[name] = made
    return made


def _refuse(index: LayerIndex, path: bytes, reason: str) -> SourceError:
    return SourceError(f"layer '{index.diff_id}' is refused: '{_show(path)}' {reason}")


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def with_metadata(directory: Directory) -> Directory:
    """Return an empty directory with the same owner, mode and attributes."""
    return replace(directory, entries={})
