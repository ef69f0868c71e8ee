"""One layer as the tree that ``ostree commit --tree=tar=`` makes of it.

The path rules are those of ostree-ext's tar filter: ``etc`` becomes ``usr/etc``, mount points of
API filesystems keep no content. Whiteouts stay ordinary files here; merging gives them meaning.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ..errors import SourceError
from ..image.index import REPOSITORY, Entry, Kind, LayerIndex
from ..tree import Directory, File

_SHOWN: Final = frozenset({b"usr", b"etc", b"var"})
_REPLACES: Final = "is in the place of a directory of the same layer"
_API_MOUNTS: Final = frozenset({b"run", b"tmp", b"proc", b"sys", b"dev"})


def layer_tree(index: LayerIndex, *, only_usr: bool = False) -> tuple[Directory, list[str]]:
    """Return the layer's tree and warnings; its files carry their ostree checksum and the time 0.

    ``only_usr`` drops what is neither in /usr, /etc nor /var: the root of a base without composefs
    does not show it.

    Raises SourceError for what libostree refuses: names and targets of symlinks that are not UTF-8,
    files below a symlink or a file, a file in the place of a directory or the other way round, hard
    links to nothing or to each other. Devices and fifos are in the tree; see ``specials``.
    """
    builder = _Builder(index, only_usr=only_usr)
    for entry in _without_objects(index):
        builder.add(entry)
    builder.link()
    warnings: list[str] = []
    if builder.dropped:
        first = f"'/{_show(builder.dropped[0])}'"
        warnings.append(
            f"layer '{index.diff_id}' has {len(builder.dropped)} entries "
            + ("outside of /usr, /etc and /var " if only_usr else "")
            + ("or " if only_usr else "")
            + f"below /run, /tmp, /proc, /sys or /dev ({first} for one): no image keeps these"
        )
    return builder.root, warnings


def _without_objects(index: LayerIndex) -> Iterator[Entry]:
    """Yield a layer's entries, files of the base that it changed under their own names.

    In an unpacked encapsulated image a file is a hard link of an object of its repository. A build
    that changes one writes the object and its names; the object is nobody's, the names count.
    """
    objects: dict[bytes, Entry] = {}
    for entry in index.entries:
        if entry.kind is Kind.FILE and entry.mtime > 0 and entry.path.startswith(REPOSITORY):
            objects[entry.path] = entry
    if not objects and not any(e.target.startswith(REPOSITORY) for e in index.entries):
        yield from index.entries
        return
    named: dict[bytes, bytes] = {}
    for entry in index.entries:
        link = entry.kind is Kind.HARDLINK and entry.target.startswith(REPOSITORY)
        if objects.get(entry.path) is entry:
            continue
        if not link or entry.mtime <= 0:
            yield entry
        elif entry.target in named:
            yield replace(entry, target=named[entry.target])
        elif (found := objects.get(entry.target)) is not None:
            named[entry.target] = entry.path
            yield replace(found, path=entry.path)


class _Builder:
    """A layer's tree while it grows."""

    def __init__(self, index: LayerIndex, *, only_usr: bool) -> None:
        self.root = Directory()
        self.dropped: list[bytes] = []
        self._diff_id = index.diff_id
        self._only_usr = only_usr
        self._directories: dict[bytes, Directory] = {b"": self.root}
        self._links: list[tuple[Directory, bytes, Entry]] = []
        self._linked: dict[bytes, bytes | None] = {}  # the targets of hard links, by their paths

    def add(self, entry: Entry) -> None:
        path = self._destination(entry.path, entry)
        if path is None:
            self.dropped.append(entry.path)
        elif entry.kind is Kind.DIR:
            self._add_directory(path, entry)
        else:
            parent, _slash, name = path.rpartition(b"/")
            folder = self._parent(parent, entry)
            if not name:
                raise self._refuse(entry.path, "is the layer's root, but no directory")
            if entry.kind is Kind.HARDLINK:
                self._links.append((folder, name, entry))
                self._linked[path] = self._destination(entry.target, entry)
                return
            if isinstance(folder.entries.get(name), Directory):
                raise self._refuse(entry.path, _REPLACES)
            if entry.kind is Kind.SYMLINK and not _is_text(entry.target):
                raise self._refuse(entry.path, "is a symlink to a name that is not UTF-8")
            folder.entries[name] = File(
                entry.mode,
                entry.uid,
                entry.gid,
                entry.xattrs,
                content=entry.content,
                target=entry.target if entry.kind is Kind.SYMLINK else b"",
                checksum=entry.checksum,
            )

    def link(self) -> None:
        """Resolve the hard links, after everything else as libostree does it.

        It takes them in no certain order, so one must not be the target of another.
        """
        for folder, name, entry in self._links:
            target = self._destination(entry.target, entry)
            found = self.root.get(target) if target is not None else None
            shown = f"is a hard link to '{_show(entry.target)}'"
            if target is not None and self._linked.get(target, target) != target:
                raise self._refuse(entry.path, f"{shown}, which is a hard link itself")
            if not isinstance(found, File) or not (found.is_regular or found.is_symlink):
                raise self._refuse(entry.path, f"{shown}, which is no file")
            if isinstance(folder.entries.get(name), Directory):
                raise self._refuse(entry.path, _REPLACES)
            folder.entries[name] = found

    def _destination(self, path: bytes, entry: Entry) -> bytes | None:
        """Return where a path of the layer goes, or None where it is dropped."""
        first, slash, _rest = path.partition(b"/")
        if first in _API_MOUNTS and (slash or entry.kind is not Kind.DIR):
            return None
        if self._only_usr and first not in _SHOWN and first not in _API_MOUNTS and path:
            return None
        if not _is_text(path):
            raise self._refuse(entry.path, "has a name that is not UTF-8")
        return b"usr/" + path if first == b"etc" else path

    def _add_directory(self, path: bytes, entry: Entry) -> None:
        made = self._directories.get(path)
        if made is None:
            parent, _slash, name = path.rpartition(b"/")
            folder = self._parent(parent, entry)
            if name in folder.entries:
                raise self._refuse(
                    entry.path, "is a directory in the place of a file of the same layer"
                )
            made = self._directories[path] = folder.entries[name] = Directory()
        made.mode, made.uid, made.gid, made.xattrs = entry.mode, entry.uid, entry.gid, entry.xattrs

    def _parent(self, path: bytes, entry: Entry) -> Directory:
        """Return the directory at path, made with all its parents if it is missing.

        libostree then gives *every* directory on the way the owner of the entry that needs them,
        those that exist already included: so do we, because updates of the machine will.
        """
        found = self._directories.get(path)
        if found is not None:
            return found
        folder = self.root
        _own(folder, entry)
        parts = path.split(b"/")
        for depth, name in enumerate(parts, 1):
            child = folder.entries.get(name)
            if child is None:
                child = folder.entries[name] = Directory()
                self._directories[b"/".join(parts[:depth])] = child
            if not isinstance(child, Directory):
                below = _show(b"/".join(parts[:depth]))
                raise self._refuse(entry.path, f"lies below '{below}', which is no directory")
            folder = child
            _own(folder, entry)
        return folder

    def _refuse(self, path: bytes, reason: str) -> SourceError:
        return SourceError(
            f"layer '{self._diff_id}' cannot be used: '{_show(path)}' {reason}",
            hint="libostree refuses such a layer, so no machine could take it: rebuild the image "
            "without this entry",
        )


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _own(directory: Directory, entry: Entry) -> None:
    directory.mode = stat.S_IFDIR | 0o755
    directory.uid, directory.gid, directory.xattrs = entry.uid, entry.gid, ()


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
