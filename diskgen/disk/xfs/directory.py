"""Directories of xfs in their four forms: in the inode, one block, one index block, a tree.

Source: "XFS Filesystem Structure", chapter "Directories", version 3 (self-describing) structures.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from . import dabtree
from .btree import even
from .checksum import seal
from .dahash import dahash
from .geometry import BLOCK, daddr

Entry = tuple[bytes, int, int]  # name, inode number, type

INDEX: Final = 1 << 23  # logical block where the index begins (32 GiB)
FREE: Final = 1 << 24  # where the blocks begin that say how much room data blocks have
_DATA_HEADER: Final = 64
_FIRST: Final = 96  # where the first entry after "." and ".." is in a data block
_LEAF_HEADER: Final = 64
_LEAF1: Final = 0x3DF1
_LEAFN: Final = 0x3DFF
_PER_LEAF: Final = (BLOCK - _LEAF_HEADER) // 8
_PER_FREE: Final = (BLOCK - 64) // 2
# magic, checksum, daddr, log sequence number, uuid, owner: xfs_dir3_blk_hdr
_BLOCK_HEADER: Final = struct.Struct(">4sIQQ16sQ")
_CRC: Final = 4
_DIRECTORY: Final = 2
_FREE_TAG: Final = 0xFFFF
_WIDE: Final = 1 << 32


@dataclass(slots=True)
class Planned:
    """A directory whose form and blocks are decided, before it is known where they go.

    ``blocks`` are the logical ones in ascending order; ``build`` gets the linear block of each and
    returns their contents. ``local`` is the data fork where there are none.
    """

    size: int  # as the inode says it: without index and free space blocks
    local: bytes = b""
    blocks: list[int] = field(default_factory=list)
    build: Callable[[dict[int, int], UUID, int], list[tuple[int, bytes]]] | None = None


def plan(entries: Sequence[Entry], parent: int, own: int, room: int) -> Planned:
    """Return how a directory is stored; ``room`` is that of its data fork, bytes.

    ``entries`` are without "." and ".." and have names of 1 to 255 bytes.
    """
    local = _local(entries, parent, room)
    if local is not None:
        return Planned(len(local), local)
    every = [(b".", own, _DIRECTORY), (b"..", parent, _DIRECTORY), *entries]
    if _one_block(every):
        return Planned(BLOCK, b"", [0], lambda places, identity, inode: [
            (0, _block(every, places[0], identity, inode))
        ])  # fmt: skip
    filled = _fill(every)
    count = len(filled.bodies)
    if _LEAF_HEADER + 8 * len(every) + 2 * count + 4 <= BLOCK:
        blocks = [*range(count), INDEX]
        return Planned(count * BLOCK, b"", blocks, filled.with_leaf)
    leaves = -(-len(every) // _PER_LEAF)
    index = dabtree.node_count(leaves) + leaves
    free = -(-count // _PER_FREE)
    blocks = [*range(count), *range(INDEX, INDEX + index), *range(FREE, FREE + free)]
    return Planned(count * BLOCK, b"", blocks, filled.with_tree)


def _local(entries: Sequence[Entry], parent: int, room: int) -> bytes | None:
    """Return the form in the inode, or None if it does not fit."""
    if len(entries) > 254:  # so that the parent's number fits the second count as well
        return None
    wides = (parent >= _WIDE) + sum(number >= _WIDE for _, number, _ in entries)
    width = 8 if wides else 4
    if 2 + width + sum(len(name) + 4 + width for name, _, _ in entries) > room:
        return None
    out = bytearray((len(entries), wides))
    out += parent.to_bytes(width, "big")
    at = _FIRST
    for name, number, kind in entries:
        out += bytes((len(name),)) + at.to_bytes(2, "big") + name
        out.append(kind)
        out += number.to_bytes(width, "big")
        at += _size(name)
    return bytes(out)


def _size(name: bytes) -> int:
    return len(name) + 19 & ~7


def _one_block(every: Sequence[Entry]) -> bool:
    used = _DATA_HEADER + 8 + sum(_size(name) + 8 for name, _, _ in every)
    return used <= BLOCK


def _pack(entry: Entry, at: int) -> bytes:
    name, number, kind = entry
    raw = number.to_bytes(8, "big") + bytes((len(name),)) + name + bytes((kind,))
    return raw.ljust(_size(name) - 2, b"\0") + at.to_bytes(2, "big")


def _unused(at: int, length: int) -> bytes:
    raw = _FREE_TAG.to_bytes(2, "big") + length.to_bytes(2, "big")
    return raw.ljust(length - 2, b"\0") + at.to_bytes(2, "big")


def _data_block(
    magic: bytes, body: bytes, end: int, linear: int, identity: UUID, owner: int
) -> bytearray:
    """Return a block with entries, free up to ``end``."""
    raw = bytearray(BLOCK)
    _BLOCK_HEADER.pack_into(raw, 0, magic, 0, daddr(linear), 0, identity.bytes, owner)
    used = _DATA_HEADER + len(body)
    raw[_DATA_HEADER:used] = body
    if used < end:
        struct.pack_into(">HH", raw, _BLOCK_HEADER.size, used, end - used)
        raw[used:end] = _unused(used, end - used)
    return raw


def _block(every: Sequence[Entry], linear: int, identity: UUID, owner: int) -> bytes:
    body: list[bytes] = []
    index: list[tuple[int, int]] = []
    at = _DATA_HEADER
    for entry in every:
        body.append(_pack(entry, at))
        index.append((dahash(entry[0]), at >> 3))
        at += _size(entry[0])
    index.sort()
    tail = BLOCK - 8 - 8 * len(index)
    raw = _data_block(b"XDB3", b"".join(body), tail, linear, identity, owner)
    for number, pair in enumerate(index):
        struct.pack_into(">II", raw, tail + 8 * number, *pair)
    struct.pack_into(">II", raw, BLOCK - 8, len(index), 0)
    return seal(raw, _CRC)


@dataclass(slots=True)
class _Filled:
    """Entries in data blocks, and the index over them: (hash, place in units of 8 bytes)."""

    bodies: list[bytes]
    index: list[tuple[int, int]]

    def _data(self, places: dict[int, int], identity: UUID, owner: int) -> list[tuple[int, bytes]]:
        return [
            (number,
             seal(_data_block(b"XDD3", body, BLOCK, places[number], identity, owner), _CRC))
            for number, body in enumerate(self.bodies)
        ]  # fmt: skip

    def _best(self) -> list[int]:
        return [BLOCK - _DATA_HEADER - len(body) for body in self.bodies]

    def with_leaf(
        self, places: dict[int, int], identity: UUID, owner: int
    ) -> list[tuple[int, bytes]]:
        raw = dabtree.head(_LEAF1, (0, 0), places[INDEX], identity, owner)
        _put_index(raw, self.index)
        bests = self._best()
        at = BLOCK - 4 - 2 * len(bests)
        struct.pack_into(f">{len(bests)}HI", raw, at, *bests, len(bests))
        return [*self._data(places, identity, owner), (INDEX, dabtree.finish(raw))]

    def with_tree(
        self, places: dict[int, int], identity: UUID, owner: int
    ) -> list[tuple[int, bytes]]:
        out = self._data(places, identity, owner)
        parts = list(even(len(self.index), _PER_LEAF))
        base = INDEX if len(parts) == 1 else INDEX + 1
        for number, (begin, end) in enumerate(parts):
            links = dabtree.siblings(number, len(parts), base)
            raw = dabtree.head(_LEAFN, links, places[base + number], identity, owner)
            _put_index(raw, self.index[begin:end])
            out.append((base + number, dabtree.finish(raw)))
        greatest = [self.index[end - 1][0] for _, end in parts]
        above = base + len(parts)
        out += dabtree.nodes(greatest, INDEX, base, above, places.__getitem__, identity, owner)
        return out + self._free(places, identity, owner)

    def _free(self, places: dict[int, int], identity: UUID, owner: int) -> list[tuple[int, bytes]]:
        out: list[tuple[int, bytes]] = []
        bests = self._best()
        for number, begin in enumerate(range(0, len(bests), _PER_FREE)):
            raw = bytearray(b"\xff" * BLOCK)
            linear = places[FREE + number]
            _BLOCK_HEADER.pack_into(raw, 0, b"XDF3", 0, daddr(linear), 0, identity.bytes, owner)
            part = bests[begin : begin + _PER_FREE]
            struct.pack_into(">IIII", raw, _BLOCK_HEADER.size, begin, len(part), len(part), 0)
            struct.pack_into(f">{len(part)}H", raw, 64, *part)
            out.append((FREE + number, seal(raw, _CRC)))
        return out


def _put_index(raw: bytearray, index: Sequence[tuple[int, int]]) -> None:
    struct.pack_into(">HHI", raw, dabtree.INFO, len(index), 0, 0)
    for number, pair in enumerate(index):
        struct.pack_into(">II", raw, _LEAF_HEADER + 8 * number, *pair)


def _fill(every: Sequence[Entry]) -> _Filled:
    bodies: list[bytes] = []
    index: list[tuple[int, int]] = []
    body: list[bytes] = []
    at = _DATA_HEADER
    for entry in every:
        size = _size(entry[0])
        if at + size > BLOCK:
            bodies.append(b"".join(body))
            body, at = [], _DATA_HEADER
        body.append(_pack(entry, at))
        index.append((dahash(entry[0]), len(bodies) * BLOCK + at >> 3))
        at += size
    bodies.append(b"".join(body))
    index.sort()
    return _Filled(bodies, index)


def most_blocks(names: Sequence[bytes]) -> int:
    """Return the blocks that a directory with these names takes at most (0: it is in the inode)."""
    if 10 + sum(len(name) + 12 for name in names) <= 64 and len(names) < 256:
        return 0
    total = 32 + sum(map(_size, names))
    count = len(names) + 2
    if _DATA_HEADER + 8 + total + 8 * count <= BLOCK:
        return 1
    # No entry is longer than 272 bytes, so each block is filled but for as many.
    data = -(-total // (BLOCK - _DATA_HEADER - 272))
    if _LEAF_HEADER + 8 * count + 2 * data + 4 <= BLOCK:
        return data + 1
    leaves = -(-count // _PER_LEAF)
    return data + leaves + dabtree.node_count(leaves) + -(-data // _PER_FREE)
