"""Directory blocks: a plain list while one block holds it, then a tree ordered by hash."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ..placing.crc32c import crc32c
from ..placing.native import DirectoryHash
from .dirhash import HALF_MD4
from .superblock import BLOCK

Entry = tuple[bytes, int, int]  # (name, inode number, file type)

# Linux Documentation/filesystems/ext4/directory.rst.
_HEAD: Final = struct.Struct("<IHBB")  # inode, record length, name length, file type
_TAIL: Final = struct.Struct("<IHBBI")  # looks like an unused entry to old readers
_U16: Final = struct.Struct("<H")
_DIRECTORY: Final = 2
_ROOM: Final = BLOCK - _TAIL.size
_DOTS: Final = 24  # bytes of "." and ".." in the first block
_ROOT_AT: Final = 32  # where the table of a dx_root begins, after the dots and 8 bytes of facts
_NODE_AT: Final = 8
_ROOT_LIMIT: Final = (BLOCK - _ROOT_AT - 8) // 8
_NODE_LIMIT: Final = (BLOCK - _NODE_AT - 8) // 8
MAX_LEAVES: Final = _ROOT_LIMIT * _NODE_LIMIT


class DirectoryFullError(ValueError):
    """More entries than two levels of index can reach; the writer adds the path."""


def record_size(name: bytes) -> int:
    """Return how many bytes an entry takes."""
    return len(name) + 11 & ~3


def most_blocks(names: Sequence[bytes]) -> int:
    """Return how many blocks a directory of these names takes at most."""
    sizes = [record_size(name) for name in names]
    total = sum(sizes)
    if total <= _ROOM - _DOTS:
        return 1
    leaves = -(-total // (_ROOM - max(sizes) + 4))  # a leaf is left when the next does not fit
    return 1 + leaves + (-(-leaves // _NODE_LIMIT) if leaves > _ROOT_LIMIT else 0)


def linear(number: int, parent: int, entries: Sequence[Entry], seed: int, *, least: int) -> bytes:
    """Return the blocks of a directory without index, ``least`` of them at least.

    ``number`` and ``parent`` are the inode numbers of "." and "..", ``seed`` the directory's
    checksum seed.
    """
    full: list[list[bytes]] = [_dots(number, parent)]
    used = _DOTS
    for name, inode, kind in entries:
        size = record_size(name)
        if used + size > _ROOM:
            full.append([])
            used = 0
        full[-1].append(_record(name, inode, kind, size))
        used += size
    full += [[] for _ in range(least - len(full))]
    return b"".join(_leaf(records, seed) for records in full)


def fits_one_block(entries: Sequence[Entry]) -> bool:
    """Say whether a directory needs no index."""
    return sum([len(name) + 11 & ~3 for name, _, _ in entries]) <= _ROOM - _DOTS


def indexed(
    number: int, parent: int, entries: Sequence[Entry], seed: int, digest: DirectoryHash
) -> bytes:
    """Return the blocks of a directory with a hash tree: root, inner nodes, leaves.

    Raises DirectoryFullError.
    """
    ordered = sorted([(*digest(name), name, inode, kind) for name, inode, kind in entries])
    leaves: list[bytes] = []
    hashes: list[int] = []
    records: list[bytes] = []
    used, previous = _ROOM, -1
    for major, _, name, inode, kind in ordered:
        size = record_size(name)
        if used + size > _ROOM:
            if records:
                leaves.append(_leaf(records, seed))
            records, used = [], 0
            # The lowest bit tells a reader that names of this hash begin in the leaf before.
            hashes.append(major | (major == previous))
        records.append(_record(name, inode, kind, size))
        used += size
        previous = major
    leaves.append(_leaf(records, seed))
    if len(leaves) > MAX_LEAVES:
        raise DirectoryFullError(f"it has '{len(entries)}' entries, too many for ext4")
    if len(leaves) <= _ROOT_LIMIT:
        table = [(value, 1 + at) for at, value in enumerate(hashes)]
        return b"".join([_root(number, parent, table, 0, seed), *leaves])
    parts = [hashes[at : at + _NODE_LIMIT] for at in range(0, len(hashes), _NODE_LIMIT)]
    table = [(part[0], 1 + at) for at, part in enumerate(parts)]
    nodes: list[bytes] = []
    block = 1 + len(parts)
    for part in parts:
        inner = [(value, block + at) for at, value in enumerate(part)]
        block += len(part)
        head = _HEAD.pack(0, BLOCK, 0, 0)
        nodes.append(_table(head, inner, _NODE_LIMIT, seed))
    return b"".join([_root(number, parent, table, 1, seed), *nodes, *leaves])


def _dots(number: int, parent: int) -> list[bytes]:
    return [_record(b".", number, _DIRECTORY, 12), _record(b"..", parent, _DIRECTORY, 12)]


def _record(name: bytes, inode: int, kind: int, size: int) -> bytes:
    return _HEAD.pack(inode, size, len(name), kind) + name.ljust(size - 8, b"\0")


def _leaf(records: Sequence[bytes], seed: int) -> bytes:
    """Return a block of entries; the last one reaches to the checksum at the end."""
    if records:
        body = b"".join(records)
        last = len(body) - len(records[-1])
        block = bytearray(body.ljust(_ROOM, b"\0"))
        _U16.pack_into(block, last + 4, _ROOM - last)
        raw = bytes(block)
    else:
        raw = _HEAD.pack(0, _ROOM, 0, 0).ljust(_ROOM, b"\0")
    return raw + _TAIL.pack(0, _TAIL.size, 0, 0xDE, crc32c(seed, raw))


def _root(number: int, parent: int, table: list[tuple[int, int]], levels: int, seed: int) -> bytes:
    dot, dotdot = _dots(number, parent)
    dotdot = dotdot[:4] + _U16.pack(BLOCK - 12) + dotdot[6:]
    facts = struct.pack("<IBBBB", 0, HALF_MD4, 8, levels, 0)
    return _table(dot + dotdot + facts, table, _ROOT_LIMIT, seed)


def _table(head: bytes, table: list[tuple[int, int]], limit: int, seed: int) -> bytes:
    """Return an index block: the first entry's hash is known from above, its room has counts."""
    rows = [struct.pack("<HHI", limit, len(table), table[0][1])]
    rows += [struct.pack("<II", value, block) for value, block in table[1:]]
    used = head + b"".join(rows)
    checksum = crc32c(seed, used + bytes(8))
    at = len(head) + 8 * limit
    tail = struct.pack("<II", 0, checksum)
    return (used.ljust(at, b"\0") + tail).ljust(BLOCK, b"\0")
