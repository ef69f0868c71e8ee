"""Nodes above the hash-sorted leaves of a directory or of attributes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

from .btree import even
from .checksum import seal
from .geometry import BLOCK, daddr

_NODE: Final = 0x3EBE
# forward, back, magic, pad, checksum, daddr, log sequence number, uuid, owner: xfs_da3_blkinfo
_INFO: Final = struct.Struct(">IIHHIQQ16sQ")
INFO: Final = _INFO.size
_HEADER: Final = 64
_PER_NODE: Final = (BLOCK - _HEADER) // 8
_CRC: Final = 12

Place = Callable[[int], int]  # linear block of a logical block of the fork


def head(
    magic: int, siblings: tuple[int, int], linear: int, identity: UUID, owner: int
) -> bytearray:
    """Return a block with the common head; ``siblings`` are (forward, back), 0 for none."""
    raw = bytearray(BLOCK)
    _INFO.pack_into(raw, 0, *siblings, magic, 0, 0, daddr(linear), 0, identity.bytes, owner)
    return raw


def finish(raw: bytearray) -> bytes:
    """Return the block with its checksum."""
    return seal(raw, _CRC)


def siblings(number: int, count: int, base: int) -> tuple[int, int]:
    """Return (forward, back) of block ``number`` of ``count`` that begin at logical ``base``."""
    forward = base + number + 1 if number + 1 < count else 0
    return forward, base + number - 1 if number else 0


def node_count(leaves: int) -> int:
    """Return how many nodes there are above some leaves."""
    total, level = 0, leaves
    while level > 1:
        level = -(-level // _PER_NODE)
        total += level
    return total


def nodes(
    greatest: Sequence[int], root: int, leaves: int, above: int, place: Place, identity: UUID,
    owner: int,
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    """Yield (logical block, contents) of the nodes above leaves, of which there are two at least.

    ``greatest`` has each leaf's greatest hash; the leaves are at logical blocks from ``leaves`` on,
    the root goes to ``root`` and the other nodes to ``above`` and after.
    """
    keys: list[tuple[int, int]]
    keys = [(value, leaves + number) for number, value in enumerate(greatest)]
    level, free = 0, above
    while len(keys) > 1:
        level += 1
        parts = list(even(len(keys), _PER_NODE))
        base = root if len(parts) == 1 else free
        free += len(parts)
        for number, (begin, end) in enumerate(parts):
            links = siblings(number, len(parts), base)
            raw = head(_NODE, links, place(base + number), identity, owner)
            struct.pack_into(">HH", raw, INFO, end - begin, level)
            for index, (value, block) in enumerate(keys[begin:end]):
                struct.pack_into(">II", raw, _HEADER + 8 * index, value, block)
            yield base + number, finish(raw)
        keys = [(keys[end - 1][0], base + number) for number, (_, end) in enumerate(parts)]
