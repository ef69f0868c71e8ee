"""The index of one layer: what is in it, and where its contents lie in the pack file.

Stored as columns under a checksum: quick to load, little while it is, and harmless when damaged. It
names the layer by its diff_id and seals the pack with the sums of its pieces, so neither file is
taken for another layer's.
"""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal, cast

from ..packsums import PackSums
from ..tree import Content, Data, Packed, Xattrs
from . import private

FORMAT: Final = 2
REPOSITORY: Final = b"sysroot/ostree/repo/"  # in the layers of an encapsulated image
_MAGIC: Final = f"diskgen layer index {FORMAT} ".encode()
_EMPTY: Final = Data(b"")
_FACTS_LENGTH: Final = 4096  # bytes of the line with facts, at most


class Kind(IntEnum):
    """What an entry of a layer is."""

    FILE = 0
    DIR = 1
    SYMLINK = 2
    HARDLINK = 3
    SPECIAL = 4  # a device or a fifo


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
    counted: int = 0  # entries, and directories that they imply
    names_bytes: int = 0  # of all paths and link targets
    attributes_bytes: int = 0  # of all different sets of attributes


_KINDS: Final = {
    0: Kind.HARDLINK, stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIR, stat.S_IFLNK: Kind.SYMLINK,
}  # fmt: skip


def kind_of(mode: int) -> Kind:
    """Return the kind that belongs to a st_mode; 0 means hard link."""
    return _KINDS.get(stat.S_IFMT(mode), Kind.SPECIAL)


# The columns with one number for each entry: fields of Entry, and type codes of arrays.
_COLUMNS: Final = {"mode": "I", "uid": "I", "gid": "I", "mtime": "q"}
_NO_CONTENT: Final = -1


def dump(index: LayerIndex, pack_size: int, sums: array[int]) -> list[bytes]:
    """Return the index as the pieces of its file; ``sums`` are those of the pack's pieces."""
    rows = index.entries
    sets: dict[Xattrs, int] = {}
    numbers = array("I", (sets.setdefault(entry.xattrs, len(sets)) for entry in rows))
    places = [entry.content.extents if isinstance(entry.content, Packed) else () for entry in rows]
    pairs = [(name, value) for xattrs in sets for name, value in xattrs]
    columns = [
        *(array(code, (getattr(row, key) for row in rows)) for key, code in _COLUMNS.items()),
        array("q", (entry.content.size if entry.content else _NO_CONTENT for entry in rows)),
        numbers,
        array("I", map(len, places)),
        array("Q", (number for place in places for extent in place for number in extent)),
        array("I", map(len, sets)),
        array("I", (len(text) for pair in pairs for text in pair)),
        sums,
    ]
    texts = [
        b"".join(text for pair in pairs for text in pair),
        b"\0".join(entry.path for entry in rows),
        b"\0".join(entry.target for entry in rows),
        b"".join(entry.checksum or b"" for entry in rows),
    ]
    facts = {
        "diff_id": index.diff_id,
        "pack_size": pack_size,
        "entries": len(rows),
        "counted": index.counted,
        "columns": [[column.typecode, len(column)] for column in columns],
        "texts": [len(text) for text in texts],
    }
    parts = [json.dumps(facts).encode() + b"\n", *map(_little, columns), *texts]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return [_MAGIC + f"{digest.hexdigest()}\n".encode(), *parts]


def is_sound(path: Path, pack: Path, diff_id: str) -> bool:
    """Say whether :func:`load` would return an index."""
    return _checked(path, pack, diff_id) is not None


def is_claimed(path: Path) -> bool:
    """Say whether there is an index of this format, damaged or not, or what cannot be one."""
    try:
        data = private.read(path)
    except FileNotFoundError:
        return False
    return data is None or data.startswith(_MAGIC)


def load(path: Path, pack: Path, diff_id: str) -> LayerIndex | None:
    """Return the index in a file.

    None where it is missing, damaged, another's, of another format, or not written by ourselves.
    The pack is compared with its sums when it is read.
    """
    found = _checked(path, pack, diff_id)
    if found is None:
        return None
    facts, body = found
    columns, texts = _parts(facts, body)
    del found, body
    mode, uid, gid, mtime, size, numbers, counts, places, set_sizes, lengths, sums = columns
    blob, names, targets, checksums = texts
    seal = PackSums(pack, facts["pack_size"], sums)
    entries = tuple(
        _entries(
            names.split(b"\0") if facts["entries"] else [],
            targets.split(b"\0") if facts["entries"] else [],
            [mode, uid, gid, mtime],
            _contents(pack, seal, size, counts, places),
            _attributes(numbers, set_sizes, lengths, blob),
            checksums,
        )
    )
    return LayerIndex(
        diff_id, entries, pack, facts["counted"], len(names) + len(targets), len(blob)
    )


def _checked(path: Path, pack: Path, diff_id: str) -> tuple[dict[str, Any], memoryview] | None:
    """Return an index's facts and columns where it is ours, whole, and of this layer and pack."""
    try:
        found = private.read(path)
        status = pack.lstat()
    except OSError:
        return None
    if found is None:
        return None
    data = memoryview(found)
    at = bytes(data[:128]).find(b"\n") + 1
    digest = hashlib.sha256(data[at:]).hexdigest()
    if bytes(data[:at]) != _MAGIC + f"{digest}\n".encode():
        return None
    line = bytes(data[at : at + _FACTS_LENGTH]).partition(b"\n")[0]
    facts = json.loads(line)
    whole = facts["diff_id"] == diff_id and facts["pack_size"] == status.st_size
    if not whole or not stat.S_ISREG(status.st_mode) or not private.is_ours(status):
        return None
    return facts, data[at + len(line) + 1 :]


def _parts(facts: dict[str, Any], body: memoryview) -> tuple[list[array[int]], list[bytes]]:
    at = 0
    columns: list[array[int]] = []
    for code, count in facts["columns"]:
        column: array[int] = array(cast('Literal["q"]', code))
        end = at + count * column.itemsize
        column.frombytes(body[at:end])
        if sys.byteorder == "big":
            column.byteswap()
        columns.append(column)
        at = end
    texts: list[bytes] = []
    for length in facts["texts"]:
        texts.append(bytes(body[at : at + length]))
        at += length
    return columns, texts


def _little(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()


def _contents(
    pack: Path, sums: PackSums, sizes: array[int], counts: array[int], places: array[int]
) -> Iterator[Content | None]:
    at = 0
    for size, count in zip(sizes, counts, strict=True):
        if size <= 0:
            yield _EMPTY if size == 0 else None
            continue
        extents = tuple(
            (places[n], places[n + 1], places[n + 2]) for n in range(at, at + 3 * count, 3)
        )
        at += 3 * count
        yield Packed(pack, size, extents, sums)


def _attributes(
    numbers: array[int], counts: array[int], lengths: array[int], blob: bytes
) -> Iterator[Xattrs]:
    sets: list[Xattrs] = []
    at = number = 0
    for count in counts:
        texts: list[bytes] = []
        for length in lengths[number : number + 2 * count]:
            texts.append(blob[at : at + length])
            at += length
        number += 2 * count
        sets.append(tuple(zip(texts[::2], texts[1::2], strict=True)))
    return (sets[number] for number in numbers)


def _entries(
    names: Sequence[bytes],
    targets: Sequence[bytes],
    numbers: Sequence[array[int]],
    contents: Iterator[Content | None],
    attributes: Iterator[Xattrs],
    checksums: bytes,
) -> Iterator[Entry]:
    at = 0
    for name, target, mode, uid, gid, mtime, content, xattrs in zip(
        names, targets, *numbers, contents, attributes, strict=True
    ):
        kind = kind_of(mode)
        checksum = None
        if kind in (Kind.FILE, Kind.SYMLINK):
            checksum = checksums[at : at + 32]
            at += 32
        yield Entry(name, kind, mode, uid, gid, mtime, xattrs, target, content, checksum)
