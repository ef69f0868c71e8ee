"""The index of one layer: what is in it, and where its contents lie in the pack file.

Stored as columns of JSON under a checksum: quick to load, harmless when damaged, and readable by
anyone who wonders what is in the cache.
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from ..tree import Content, Data, Packed, Xattrs

FORMAT: Final = 1
REPOSITORY: Final = b"sysroot/ostree/repo/"  # in the layers of an encapsulated image
_EMPTY: Final = Data(b"")


class Kind(IntEnum):
    """What an entry of a layer is."""

    FILE = 0
    DIR = 1
    SYMLINK = 2
    HARDLINK = 3


@dataclass(slots=True)
class Entry:
    """One entry of a layer, in the layer's own terms (``etc`` is ``etc``, whiteouts are files).

    ``path`` is relative to the layer's root; the root itself is the empty path. ``mode`` is the
    full st_mode (0 for a hard link), ``mtime`` in seconds. ``target`` is a symlink's text, or the
    path of the file that a hard link names. ``checksum`` is the ostree content checksum of files
    and symlinks, 32 bytes.
    """

    path: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs
    target: bytes
    content: Content | None
    checksum: bytes | None


@dataclass(frozen=True, slots=True)
class LayerIndex:
    """All entries of a layer in the order of its tar."""

    diff_id: str
    entries: tuple[Entry, ...]
    pack: Path


def kind_of(mode: int) -> Kind:
    """Return the kind that belongs to a st_mode; 0 means hard link."""
    return {0: Kind.HARDLINK, stat.S_IFDIR: Kind.DIR, stat.S_IFLNK: Kind.SYMLINK}.get(
        stat.S_IFMT(mode), Kind.FILE
    )


def dump(index: LayerIndex, pack_size: int) -> bytes:
    """Return the index as the bytes of its file."""
    rows = index.entries
    sets: dict[Xattrs, int] = {}
    extents = {}
    for number, entry in enumerate(rows):
        sets.setdefault(entry.xattrs, len(sets))
        if isinstance(entry.content, Packed):
            extents[str(number)] = entry.content.extents
    body = json.dumps(
        {
            "diff_id": index.diff_id,
            "pack_size": pack_size,
            "path": b"\0".join(entry.path for entry in rows).decode("latin-1"),
            "target": b"\0".join(entry.target for entry in rows).decode("latin-1"),
            "mode": [entry.mode for entry in rows],
            "uid": [entry.uid for entry in rows],
            "gid": [entry.gid for entry in rows],
            "mtime": [entry.mtime for entry in rows],
            "size": [entry.content.size if entry.content else -1 for entry in rows],
            "checksum": b"".join(entry.checksum or bytes(32) for entry in rows).hex(),
            "xattrs": [sets[entry.xattrs] for entry in rows],
            "xattr_sets": [
                [[name.decode("latin-1"), value.hex()] for name, value in xattrs] for xattrs in sets
            ],
            "extents": extents,
        },
        separators=(",", ":"),
    ).encode()
    digest = hashlib.sha256(body).hexdigest()
    return f"diskgen layer index {FORMAT} {digest}\n".encode() + body


def load(path: Path, pack: Path, diff_id: str) -> LayerIndex | None:
    """Return the index in a file, or None where it is missing, damaged or of another format."""
    try:
        head, _newline, body = path.read_bytes().partition(b"\n")
        pack_size = pack.stat().st_size
    except OSError:
        return None
    digest = hashlib.sha256(body).hexdigest()
    if head != f"diskgen layer index {FORMAT} {digest}".encode():
        return None
    value = json.loads(body)
    if value["diff_id"] != diff_id or value["pack_size"] != pack_size:
        return None
    count = len(value["mode"])
    paths = value["path"].encode("latin-1").split(b"\0") if count else []
    targets = value["target"].encode("latin-1").split(b"\0") if count else []
    sums = bytes.fromhex(value["checksum"])
    sets: list[Xattrs] = [
        tuple((name.encode("latin-1"), bytes.fromhex(data)) for name, data in row)
        for row in value["xattr_sets"]
    ]
    extents = value["extents"]
    entries = []
    for number, (name, target, mode, uid, gid, mtime, size, xattrs) in enumerate(
        zip(
            paths, targets, value["mode"], value["uid"], value["gid"], value["mtime"],
            value["size"], value["xattrs"], strict=True,
        )
    ):  # fmt: skip
        kind = kind_of(mode)
        content: Content | None = None
        if size == 0:
            content = _EMPTY
        elif size > 0:
            content = Packed(pack, size, tuple(map(tuple, extents[str(number)])))
        checksum = (
            None if kind in (Kind.DIR, Kind.HARDLINK) else sums[32 * number : 32 * number + 32]
        )
        entries.append(
            Entry(name, kind, mode, uid, gid, mtime, sets[xattrs], target, content, checksum)
        )
    return LayerIndex(diff_id, tuple(entries), pack)
