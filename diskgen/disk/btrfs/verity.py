"""What fs-verity keeps of a file: items of its own, with the tree of sums and the descriptor.

Format: Linux ``fs/btrfs/verity.c``: the tree's bytes in pieces of 2048, by their place in it; the
descriptor at 1, and how long it is at 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from ...fsverity import DESCRIPTOR_SIZE, Seal, tree_size
from . import items

_PIECE: Final = 2048
_SIZE: Final = struct.Struct("<Q17x")  # of the descriptor; reserved, and no encryption


def encode(seal: Seal) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, offset, data) of each item, in the order of keys."""
    tree, descriptor = seal.beside()
    yield items.SEAL, 0, _SIZE.pack(len(descriptor))
    yield items.SEAL, 1, descriptor
    for at in range(0, len(tree), _PIECE):
        yield items.SUMS_OF_SEAL, at, tree[at : at + _PIECE]


def sizes(seal: Seal) -> list[int]:
    """Return how many bytes each item has."""
    return [_SIZE.size, DESCRIPTOR_SIZE, *[_PIECE] * (tree_size(seal.size) // _PIECE)]
