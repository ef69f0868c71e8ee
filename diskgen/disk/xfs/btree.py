"""Btrees of xfs: of an allocation group (32-bit pointers), and of a fork's extents (64-bit)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ..placing.alloc import Extent
from .checksum import seal
from .geometry import BLOCK, Geometry, daddr

BY_BLOCK: Final = b"AB3B"
BY_COUNT: Final = b"AB3C"
INODES: Final = b"IAB3"
FREE_INODES: Final = b"FIB3"
REFERENCES: Final = b"R3FC"
_BMAP: Final = b"BMA3"

# magic, level, records, left, right, daddr, log sequence number, uuid, owner; the checksum follows.
_SHORT: Final = struct.Struct(">4sHHIIQQ16sI")
_SHORT_HEADER: Final = 56
_LONG: Final = struct.Struct(">4sHHQQQQ16sQ")
_LONG_HEADER: Final = 72
_NONE: Final = 0xFFFFFFFF
_NONE_LONG: Final = 0xFFFFFFFFFFFFFFFF

_INODE_RECORD: Final = struct.Struct(">IHBBQ")  # first inode, holes, count, free, bit map of free
INODES_IN_LEAF: Final = (BLOCK - _SHORT_HEADER) // _INODE_RECORD.size
INODE_POINTERS: Final = (BLOCK - _SHORT_HEADER) // 8
_EXTENTS: Final = (BLOCK - _LONG_HEADER) // 16


LONGEST: Final = (1 << 21) - 1  # blocks of one extent
Put = Callable[[int, bytes], None]  # linear block, contents


@dataclass(frozen=True, slots=True)
class InodeRecord:
    """A chunk of 64 inodes: the first one's number in its AG, and which are free, a bit each."""

    start: int
    free: int

    def pack(self) -> bytes:
        return _INODE_RECORD.pack(self.start, 0, 64, self.free.bit_count(), self.free)


def short_leaf(
    magic: bytes, linear: int, records: Sequence[bytes], identity: UUID, owner: int
) -> bytes:
    """Return a btree of one AG that is its root alone."""
    return _short(
        magic, 0, len(records), b"".join(records), (_NONE, _NONE), linear, identity, owner
    )


def inode_blocks(chunks: int) -> int:
    """Return how many blocks the btree of an AG's inodes has beside its root."""
    total, level = 0, -(-chunks // INODES_IN_LEAF)
    while level > 1:
        total += level
        level = -(-level // INODE_POINTERS)
    return total


def inode_tree(
    records: Sequence[InodeRecord],
    root: int,
    others: Sequence[int],
    identity: UUID,
    ag: int,
    ag_start: int,
) -> tuple[int, list[tuple[int, bytes]]]:
    """Return (levels, [(block in the AG, contents)]) of the btree of an AG's inodes.

    ``root`` and ``others`` (inode_blocks of them) are blocks in the AG, which begins at the linear
    block ``ag_start``.
    """
    out: list[tuple[int, bytes]] = []
    spare = iter(others)
    level = 0
    bodies = [
        (records[begin].start if records else 0, b"".join(r.pack() for r in records[begin:end]),
         end - begin)
        for begin, end in even(len(records), INODES_IN_LEAF)
    ]  # fmt: skip
    while True:
        alone = len(bodies) == 1
        places = [root] if alone else [next(spare) for _ in bodies]
        for number, ((_, body, count), place) in enumerate(zip(bodies, places, strict=True)):
            siblings = (
                places[number - 1] if number else _NONE,
                places[number + 1] if number + 1 < len(places) else _NONE,
            )
            linear = ag_start + place
            raw = _short(INODES, level, count, body, siblings, linear, identity, ag)
            out.append((place, raw))
        if alone:
            return level + 1, out
        level += 1
        keys = [key for key, _, _ in bodies]
        bodies = [
            (keys[begin], _pointers(keys[begin:end], places[begin:end]), end - begin)
            for begin, end in even(len(keys), INODE_POINTERS)
        ]


def _pointers(keys: Sequence[int], places: Sequence[int]) -> bytes:
    room = 4 * INODE_POINTERS
    return struct.pack(f">{len(keys)}I", *keys).ljust(room, b"\0") + struct.pack(
        f">{len(places)}I", *places
    )


def _short(
    magic: bytes,
    level: int,
    count: int,
    body: bytes,
    siblings: tuple[int, int],
    linear: int,
    identity: UUID,
    owner: int,
) -> bytes:
    raw = bytearray(BLOCK)
    _SHORT.pack_into(
        raw, 0, magic, level, count, *siblings, daddr(linear), 0, identity.bytes, owner
    )
    raw[_SHORT_HEADER : _SHORT_HEADER + len(body)] = body
    return seal(raw, 52)


def even(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of as few parts as hold ``count`` records: none less than half full."""
    parts = max(1, -(-count // most))
    for number in range(parts):
        yield count * number // parts, count * (number + 1) // parts


def joined(extents: Sequence[Extent]) -> list[Extent]:
    """Return extents in which neighbours are one, as far as an extent can be long."""
    out: list[Extent] = []
    for logical, count, linear in extents:
        if out:
            at, length, start = out[-1]
            more = at + length == logical and start + length == linear
            if more and length + count <= LONGEST:
                out[-1] = (at, length + count, start)
                continue
        out.append((logical, count, linear))
    return out


def pack_extent(extent: Extent, geometry: Geometry) -> bytes:
    """Return the 128 bits of an extent ("Extent List": offset, first block, number of blocks)."""
    logical, count, linear = extent
    return (logical << 73 | geometry.fsblock(linear) << 21 | count).to_bytes(16, "big")


def fork(
    extents: Sequence[Extent],
    room: int,
    geometry: Geometry,
    allocate: Callable[[], int],
    put: Put,
    identity: UUID,
    inode: int,
) -> tuple[bytes, int]:
    """Return (contents of a fork of ``room`` bytes, blocks of its btree; 0 for a list of extents).

    ``allocate`` returns a linear block for each block of the btree.
    """
    records = [pack_extent(extent, geometry) for extent in extents]
    if len(records) * 16 <= room:
        return b"".join(records), 0
    most = (room - 4) // 16
    keys = [extent[0] for extent in extents]
    bodies = [
        (keys[begin], b"".join(records[begin:end]), end - begin)
        for begin, end in even(len(records), _EXTENTS)
    ]
    level = taken = 0
    while True:
        places = [allocate() for _ in bodies]
        taken += len(places)
        numbers = [geometry.fsblock(place) for place in places]
        for number, ((_, body, count), place) in enumerate(zip(bodies, places, strict=True)):
            raw = bytearray(BLOCK)
            left = numbers[number - 1] if number else _NONE_LONG
            right = numbers[number + 1] if number + 1 < len(numbers) else _NONE_LONG
            _LONG.pack_into(
                raw, 0, _BMAP, level, count, left, right, daddr(place), 0, identity.bytes, inode
            )
            raw[_LONG_HEADER : _LONG_HEADER + len(body)] = body
            put(place, seal(raw, 64))
        level += 1
        keys = [key for key, _, _ in bodies]
        if len(keys) <= most:
            root = struct.pack(">HH", level, len(keys))
            return root + _long_pointers(keys, numbers, most), taken
        bodies = [
            (keys[begin], _long_pointers(keys[begin:end], numbers[begin:end], _EXTENTS),
             end - begin)
            for begin, end in even(len(keys), _EXTENTS)
        ]  # fmt: skip


def _long_pointers(keys: Sequence[int], numbers: Sequence[int], most: int) -> bytes:
    return struct.pack(f">{len(keys)}Q", *keys).ljust(8 * most, b"\0") + struct.pack(
        f">{len(numbers)}Q", *numbers
    )


def fork_blocks(count: int) -> int:
    """Return the most blocks that a btree of ``count`` extents takes beside the inode."""
    if count <= 4:  # the least that a fork holds beside attributes
        return 0
    total, level = 0, count
    while True:
        level = -(-level // _EXTENTS)
        total += level
        if level <= 3:
            return total
