"""A commit as the layers of an encapsulated image, in the way of `ostree container encapsulate`."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from diskgen.gvariant import xattr_array
from diskgen.image.index import Entry
from diskgen.ostree.objects import ObjectSet
from diskgen.tree import Data, Directory, File

from .ostree_samples import f, h, s

REPO = "sysroot/ostree/repo"


@dataclass(frozen=True)
class Encapsulated:
    """The entries of each layer; ``commit`` is the checksum of what they hold."""

    commit: bytes
    layers: tuple[tuple[Entry, ...], ...]


def path(checksum: bytes, kind: str) -> str:
    """Return where an object is in a layer."""
    return f"{REPO}/objects/{checksum.hex()[:2]}/{checksum.hex()[2:]}.{kind}"


def file_entries(file: File) -> list[Entry]:
    """Return a content object as its entries: attributes, the link to them, content."""
    assert file.checksum is not None
    raw = xattr_array(file.xattrs)
    name = hashlib.sha256(raw).digest()
    attributes = f(path(name, "file-xattrs"), raw)
    link = h(path(file.checksum, "file-xattrs-link"), path(name, "file-xattrs"))
    place = path(file.checksum, "file")
    if file.is_symlink:
        return [attributes, link, s(place, file.target, owner=(file.uid, file.gid))]
    assert isinstance(file.content, Data)
    owner = (file.uid, file.gid)
    content = f(place, file.content.data, mode=stat.S_IMODE(file.mode), owner=owner)
    return [attributes, link, content]


def encapsulate(
    tree: Directory, *, chunks: int = 3, signature: bytes | None = None
) -> Encapsulated:
    """Spread a tree's commit over one layer for the metadata and some for the files."""
    objects = ObjectSet()
    commit = objects.add_commit(tree, timestamp=7, metadata={"version": "1"})
    first = [f(f"{REPO}/config", b"[core]\n"), f(path(commit, "commit"), objects.commits[commit])]
    if signature is not None:
        first.append(f(path(commit, "commitmeta"), signature))
    first += [f(path(key, "dirtree"), data) for key, data in objects.dirtrees.items()]
    first += [f(path(key, "dirmeta"), data) for key, data in objects.dirmetas.items()]
    layers: list[list[Entry]] = [first]
    files: Sequence[tuple[bytes, File]] = sorted(objects.files.items())
    for number in range(chunks):
        entries: list[Entry] = []
        for checksum, file in files[number::chunks]:
            entries += file_entries(file)
            entries.append(h(f"usr/compat/{checksum.hex()}", path(checksum, "file")))
        layers.append(entries)
    return Encapsulated(commit, tuple(tuple(layer) for layer in layers))
