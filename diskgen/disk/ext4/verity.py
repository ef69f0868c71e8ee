"""What fs-verity keeps of a file behind its end: the tree of its sums, and a descriptor.

Format: Linux ``fs/ext4/verity.c``: the tree begins at the next multiple of 64 KiB after the end,
the descriptor at the block after the tree, and the last four bytes of that block say how long it
is. Nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from ...fsverity import Seal, tree_size
from ...units import KIB, MIB, align_up
from ..placing.alloc import Allocator, Extent, append
from ..placing.content import Made
from .extents import LONGEST
from .superblock import BLOCK

FLAG: Final = 0x0010_0000  # of an inode
_BEGIN: Final = 64 * KIB
_SIZE: Final = 4  # bytes of the descriptor's length
_GATHER: Final = MIB  # what lies together is made and written together up to this size

_Part = tuple[Seal, int, int]  # bytes of what lies beside a file: from, to


def blocks(seal: Seal) -> int:
    """Return the blocks behind a file's end."""
    return tree_size(seal.size) // BLOCK + 1


def place(
    seals: Iterable[tuple[int, Seal]],
    extents: dict[int, list[Extent]],
    allocator: Allocator,
    offset: int,
) -> list[Made]:
    """Give blocks to what is behind the end of (number, sealed file), and add their extents.

    ``offset`` is the filesystem's. Raises FullError.
    """
    moves: list[Made] = []
    parts: list[_Part] = []
    for number, seal in seals:
        runs = allocator.take(blocks(seal))
        first = align_up(seal.size, _BEGIN) // BLOCK
        append(extents.setdefault(number, []), first, runs, LONGEST)
        begin = 0
        for start, count in runs:
            target, length = offset + start * BLOCK, count * BLOCK
            last = moves[-1] if moves else None
            if (
                last is None
                or last.target + last.length != target
                or last.length + length > _GATHER
            ):
                parts = []
                last = Made(target, 0, partial(_made, parts))
                moves.append(last)
            parts.append((seal, begin, begin + length))
            last.length += length
            begin += length
    return moves


def _made(parts: list[_Part]) -> list[bytes]:
    return [_behind(seal)[begin:end] for seal, begin, end in parts]


def _behind(seal: Seal) -> bytes:
    tree, descriptor = seal.beside()
    last = descriptor.ljust(BLOCK - _SIZE, b"\0") + len(descriptor).to_bytes(_SIZE, "little")
    return tree + last
