"""Encapsulated images: an ostree commit in chunks of objects, derived layers on top.

The layout is ostree-ext's ``ostree container encapsulate``, format version 1: layer 0 has the
commit and its metadata objects, the layers up to the one that the label ``ostree.final-diffid``
names have content objects, all as a repository of mode ``bare-split-xattrs`` below
``sysroot/ostree/repo``. What comes after them are ordinary layers.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ..budgets import (
    ATTRIBUTES_BYTES,
    COMMIT_BYTES,
    COMMIT_DEPTH,
    COMMIT_ENTRIES,
    OBJECT_BYTES,
    Budget,
    Tally,
)
from ..errors import SourceError
from ..gvariant import unpack, unpack_array, unpack_xattrs
from ..image.index import Entry, Kind, LayerIndex
from ..image.model import Image
from ..image.special import refusal
from ..image.sums import add_checksums
from ..tree import Directory, File, Node, Xattrs, read

_Value = TypeVar("_Value")

LABEL: Final = "ostree.final-diffid"
_OBJECT: Final = re.compile(rb"sysroot/ostree/repo/objects/([0-9a-f]{2})/([0-9a-f]{62})\.([a-z-]+)")
_METADATA: Final = ("commit", "commitmeta", "dirtree", "dirmeta")
_HINT: Final = "the base image is damaged: pull it again, or take another one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The commit that an image is derived from, and what its layers become in a repository."""

    commit: bytes  # checksum
    commit_data: bytes
    commitmeta: bytes | None
    dirtrees: Mapping[bytes, bytes]  # by checksum
    dirmetas: Mapping[bytes, bytes]
    tree: Directory
    chunks: tuple[Directory, ...]  # of every layer after the first: its objects by name


@dataclass(slots=True)
class _Objects:
    """The objects of one layer."""

    metadata: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    files: dict[bytes, File] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)  # kinds of metadata as they came


def count_base_layers(image: Image) -> int:
    """Return how many of an image's layers belong to the encapsulated commit; 0 for a plain image.

    Raises SourceError for a label that fits no layer.
    """
    wanted = image.labels.get(LABEL)
    if wanted is None:
        return 0
    places = [number for number, layer in enumerate(image.layers) if layer.diff_id == wanted]
    if not places:
        raise SourceError(
            f"the image's label '{LABEL}' names '{wanted}', which is none of its layers",
            hint="a tool that squashed the layers kept the label: remove it there, with it the "
            "image is not what it says",
        )
    last = image.layers[places[0]]
    if sum(layer.digest == last.digest for layer in image.layers) > 1:
        raise SourceError(f"the image has the layer '{last.digest}' twice", hint=_HINT)
    return places[0] + 1


def read_base(indexes: Sequence[LayerIndex], advance: Callable[[int], None]) -> Base:
    """Return the base of the layers that hold it. Every object's checksum is verified.

    ``advance`` gets the bytes of contents as they are hashed. Raises SourceError for objects that
    are missing, broken or in the wrong layer.
    """
    spent = Tally(COMMIT_BYTES, _refused, "the objects of the image's commit have")
    layers = [_read_objects(index, spent) for index in indexes]
    _verify(indexes, layers, advance)
    first = layers[0]
    for index, layer in zip(indexes[1:], layers[1:], strict=True):
        if layer.metadata:
            kind, checksum = next(iter(layer.metadata))
            raise _fault(index, f"'{checksum.hex()}.{kind}' does not belong into a chunk")
    commits = [checksum for kind, checksum in first.metadata if kind == "commit"]
    if len(commits) != 1 or first.order[0] != "commit":
        raise _fault(indexes[0], f"it has {len(commits)} commits, or not first")
    (commit,) = commits
    data = first.metadata["commit", commit]
    files: dict[bytes, File] = {}
    for layer in layers:
        for checksum, file in layer.files.items():
            files.setdefault(checksum, file)
    dirtrees, dirmetas = (
        {checksum: value for (found, checksum), value in first.metadata.items() if found == kind}
        for kind in ("dirtree", "dirmeta")
    )
    try:
        members = unpack(data, None, None, None, None, None, (8, 8), None, None)
    except ValueError as error:
        raise SourceError(
            f"the commit '{commit.hex()}' is malformed: {error}", hint=_HINT
        ) from None
    builder = _TreeBuilder(dirtrees, dirmetas, files)
    return Base(
        commit=commit,
        commit_data=data,
        commitmeta=first.metadata.get(("commitmeta", commit)),
        dirtrees=dirtrees,
        dirmetas=dirmetas,
        tree=builder.directory(members[6], members[7], 0),
        chunks=tuple(
            Directory(entries={sum_.hex().encode(): file for sum_, file in layer.files.items()})
            for layer in layers[1:]
        ),
    )


def _read_objects(index: LayerIndex, spent: Tally) -> _Objects:
    """Collect the objects of a layer; their names are not verified yet."""
    found = _Objects()
    by_path: dict[bytes, Entry] = {}
    attributes: dict[bytes, bytes] = {}  # of a file object, by its checksum
    contents: dict[bytes, Entry] = {}
    for entry in index.entries:
        if entry.kind is Kind.SPECIAL:
            raise refusal(index.diff_id, entry)
        match = _OBJECT.fullmatch(entry.path)
        if match is None or entry.kind is Kind.DIR:
            continue
        checksum = bytes.fromhex((match[1] + match[2]).decode())
        kind = match[3].decode()
        target = by_path.get(entry.target) if entry.kind is Kind.HARDLINK else entry
        if target is None:
            raise _fault(index, f"'{entry.path.decode()}' is a link to nothing before it")
        by_path[entry.path] = target
        if kind in _METADATA:
            key = (kind, checksum)
            data = _bytes(index, entry.path, target, OBJECT_BYTES, spent)
            if kind != "commitmeta" and hashlib.sha256(data).digest() != checksum:
                raise _fault(index, f"'{entry.path.decode()}' has not the content of its name")
            found.metadata[key] = data
            found.order.append(kind)
        elif kind == "file":
            if checksum in contents:
                raise _fault(index, f"object '{checksum.hex()}' is there twice")
            contents[checksum] = target
        elif kind == "file-xattrs":
            data = _bytes(index, entry.path, target, ATTRIBUTES_BYTES, spent)
            if hashlib.sha256(data).digest() != checksum:
                raise _fault(index, f"'{entry.path.decode()}' has not the content of its name")
        elif kind == "file-xattrs-link":
            attributes[checksum] = _bytes(index, entry.path, target, ATTRIBUTES_BYTES, spent)
    parsed: dict[bytes, Xattrs] = {}
    for checksum, entry in contents.items():
        raw = attributes.get(checksum, b"")
        if raw not in parsed:
            try:
                parsed[raw] = tuple(sorted(unpack_xattrs(raw)))
            except ValueError as error:
                raise _fault(index, f"attributes of '{checksum.hex()}': {error}") from None
        found.files[checksum] = _file(entry, parsed[raw])
    return found


def _file(entry: Entry, xattrs: Xattrs) -> File:
    link = entry.kind is Kind.SYMLINK
    return File(
        stat.S_IFLNK | 0o777 if link else entry.mode,
        entry.uid,
        entry.gid,
        xattrs,
        content=None if link else entry.content,
        target=entry.target if link else b"",
        # Known from reading the layer, unless other attributes belong to it.
        checksum=entry.checksum if xattrs == entry.xattrs else None,
    )


def _verify(
    indexes: Sequence[LayerIndex], layers: Sequence[_Objects], advance: Callable[[int], None]
) -> None:
    add_checksums((file for layer in layers for file in layer.files.values()), advance)
    for index, layer in zip(indexes, layers, strict=True):
        for checksum, file in layer.files.items():
            if file.checksum != checksum:
                raise _fault(index, f"object '{checksum.hex()}' has not the content of its name")


def _bytes(index: LayerIndex, path: bytes, entry: Entry, limit: Budget, spent: Tally) -> bytes:
    if entry.content is None:
        raise _fault(index, f"'{path.decode()}' is no file")
    if entry.content.size > limit.limit:
        raise _fault(index, f"'{path.decode()}' has {limit.exceeded}")
    spent.add(entry.content.size)
    return read(entry.content)


class _TreeBuilder:
    """Makes directories of tree objects."""

    def __init__(
        self,
        dirtrees: Mapping[bytes, bytes],
        dirmetas: Mapping[bytes, bytes],
        files: Mapping[bytes, File],
    ) -> None:
        self._dirtrees = dirtrees
        self._dirmetas = dirmetas
        self._files = files
        # Shared subtrees could make it endless.
        self._made = Tally(COMMIT_ENTRIES, _refused, "the commit has")

    def directory(self, tree: bytes, meta: bytes, depth: int) -> Directory:
        """Return the directory of a dirtree and a dirmeta (checksums)."""
        if depth > COMMIT_DEPTH.limit:
            raise _refused(f"the commit's tree has {COMMIT_DEPTH.exceeded}")
        try:
            owner, xattrs = unpack(self._get(self._dirmetas, meta, "dirmeta"), (12, 4), None)
            uid, gid, mode = (int.from_bytes(owner[at : at + 4], "big") for at in (0, 4, 8))
            if not stat.S_ISDIR(mode):
                raise ValueError(f"'{mode:o}' is no directory's mode")
            made = Directory(mode, uid, gid, tuple(sorted(unpack_xattrs(xattrs))))
            files, folders = unpack(self._get(self._dirtrees, tree, "dirtree"), None, None)
            for element in unpack_array(files):
                name, checksum = unpack(element, None, None)
                self._add(made, name, self._get(self._files, checksum, "file"))
            for element in unpack_array(folders):
                name, below, meta_below = unpack(element, None, None, None)
                self._add(made, name, self.directory(below, meta_below, depth + 1))
        except ValueError as error:
            raise SourceError(
                f"the tree object '{tree.hex()}' is malformed: {error}", hint=_HINT
            ) from None
        return made

    def _add(self, directory: Directory, raw: bytes, node: Node) -> None:
        name = raw[:-1]
        if raw[-1:] != b"\0" or name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise ValueError(f"{raw!r} is no file name")
        if name in directory.entries:
            raise ValueError(f"{name!r} is there twice")
        name.decode()
        self._made.add(1)
        directory.entries[name] = node

    def _get(self, found: Mapping[bytes, _Value], checksum: bytes, kind: str) -> _Value:
        value = found.get(checksum)
        if value is None:
            raise SourceError(
                f"the object '{checksum.hex()}.{kind}' of the image's commit is missing", hint=_HINT
            )
        return value


def _refused(reason: str) -> SourceError:
    return SourceError(reason, hint=_HINT)


def _fault(index: LayerIndex, reason: str) -> SourceError:
    return SourceError(f"layer '{index.diff_id}' is refused: {reason}", hint=_HINT)
