"""Extents: which blocks of the disk hold which blocks of a file, in the inode or in a tree."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..placing.alloc import Extent, Run, append
from ..placing.crc32c import crc32c
from .superblock import BLOCK

IN_INODE: Final = 4  # entries of 12 bytes after a header of 12 in the 60 bytes of i_block
PER_BLOCK: Final = (BLOCK - 12) // 12
LONGEST: Final = 32768  # blocks; a greater ee_len would say "not initialised"

# Linux Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
_HEADER: Final = struct.Struct("<HHHHI")  # magic, entries, limit, depth, generation
_LEAF: Final = struct.Struct("<IHHI")  # block in the file, length, disk block high, low
_INDEX: Final = struct.Struct("<IIHH")  # block in the file, disk block low, high, unused
MAGIC: Final = 0xF30A
_ONE: Final = struct.Struct("<HHHHIIHHI36x")


def add(extents: list[Extent], logical: int, runs: Iterable[Run]) -> int:
    """Append runs of disk blocks at block ``logical`` of a file; return the block after them."""
    return append(extents, logical, runs, LONGEST)


def tree_blocks(count: int) -> int:
    """Return how many blocks outside the inode ``count`` extents need."""
    total = 0
    while count > IN_INODE:
        count = -(-count // PER_BLOCK)
        total += count
    return total


def build(
    extents: Sequence[Extent], allocate: Callable[[], int], seed: int
) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return the 60 bytes of i_block and the (disk block, contents) of the tree's other nodes.

    ``seed`` is the inode's checksum seed. Nodes are filled to the brim, so the tree is as low as
    it can be and e2fsck has nothing to optimise.
    """
    if len(extents) == 1:
        logical, length, start = extents[0]
        one = _ONE.pack(MAGIC, 1, 4, 0, 0, logical, length, start >> 32, start & 0xFFFFFFFF)
        return one, []
    level = [(at, _LEAF.pack(at, n, disk >> 32, disk & 0xFFFFFFFF)) for at, n, disk in extents]
    nodes: list[tuple[int, bytes]] = []
    depth = 0
    while len(level) > IN_INODE:
        above: list[tuple[int, bytes]] = []
        for first in range(0, len(level), PER_BLOCK):
            children = level[first : first + PER_BLOCK]
            body = _HEADER.pack(MAGIC, len(children), PER_BLOCK, depth, 0)
            body = (body + b"".join(raw for _, raw in children)).ljust(BLOCK - 4, b"\0")
            block = allocate()
            nodes.append((block, body + crc32c(seed, body).to_bytes(4, "little")))
            at = children[0][0]
            above.append((at, _INDEX.pack(at, block & 0xFFFFFFFF, block >> 32, 0)))
        level = above
        depth += 1
    header = _HEADER.pack(MAGIC, len(level), IN_INODE, depth, 0)
    return (header + b"".join(raw for _, raw in level)).ljust(60, b"\0"), nodes


def in_inode(i_block: bytes) -> list[Extent]:
    """Return the extents of an inode whose tree has no other nodes (as mke2fs's directories)."""
    _, entries, _, depth, _ = _HEADER.unpack_from(i_block)
    if depth:
        raise ValueError("the extent tree has other nodes")
    out: list[Extent] = []
    for number in range(entries):
        at, length, high, low = _LEAF.unpack_from(i_block, 12 + 12 * number)
        out.append((at, length, high << 32 | low))
    return out
