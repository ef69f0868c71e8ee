"""fs-verity: what lies beside a file so that its kernel gives out no byte of it that was changed.

A Merkle tree of sha256 sums over blocks of 4096 bytes, without a salt, and a descriptor whose own
sum is the file's digest. Format: Linux Documentation/filesystems/fsverity.rst.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BLOCK: Final = 4096
_SUM: Final = 32
# version, algorithm, log2 of a block, length of the salt; length of a signature; size; root
_DESCRIPTOR: Final = struct.Struct("<BBBBIQ64s176x")
DESCRIPTOR_SIZE: Final = _DESCRIPTOR.size
_SHA256: Final = 1
_ZERO: Final = hashlib.sha256(bytes(BLOCK)).digest()


@dataclass(frozen=True, slots=True)
class Seal:
    """What is known of a file of ``size`` bytes: ``leaves`` are the sums of its blocks."""

    size: int
    leaves: bytes

    @property
    def digest(self) -> bytes:
        """The file's fs-verity digest, 32 bytes."""
        return hashlib.sha256(self.descriptor).digest()

    @property
    def descriptor(self) -> bytes:
        """The descriptor, 256 bytes."""
        return self._descriptor(self._levels()[1])

    def beside(self) -> tuple[bytes, bytes]:
        """Return the tree, its levels from the root's down in whole blocks, and the descriptor."""
        levels, root = self._levels()
        return b"".join(reversed(levels)), self._descriptor(root)

    def _descriptor(self, root: bytes) -> bytes:
        return _DESCRIPTOR.pack(1, _SHA256, BLOCK.bit_length() - 1, 0, 0, self.size, root)

    def _levels(self) -> tuple[list[bytes], bytes]:
        """Return the tree's levels from the leaves up, and the root's sum."""
        levels: list[bytes] = []
        sums = self.leaves
        while len(sums) > _SUM:
            levels.append(sums + bytes(-len(sums) % BLOCK))
            sums = leaves_of(memoryview(levels[-1]))
        return levels, sums


def seal(data: bytes) -> Seal:
    """Return the seal of contents in memory."""
    return Seal(len(data), leaves_of(memoryview(data)))


def leaves_of(data: memoryview) -> bytes:
    """Return the sums of the blocks of data; zeros fill the last one up."""
    whole = len(data) - len(data) % BLOCK
    sums = [
        hashlib.sha256(data[at : at + BLOCK], usedforsecurity=False).digest()
        for at in range(0, whole, BLOCK)
    ]
    if whole < len(data):
        sums.append(hashlib.sha256(bytes(data[whole:]).ljust(BLOCK, b"\0")).digest())
    return b"".join(sums)


def leaves_of_zeros(blocks: int) -> bytes:
    """Return the sums of so many blocks of zeros."""
    return _ZERO * blocks


def leaves_size(size: int) -> int:
    """Return the bytes of all sums of the blocks of a file of ``size`` bytes."""
    return -(-size // BLOCK) * _SUM


def tree_size(size: int) -> int:
    """Return the bytes of the tree of a file of ``size`` bytes, which are whole blocks."""
    return BLOCK * sum(_level_sizes(-(-size // BLOCK)))


def _level_sizes(blocks: int) -> Iterator[int]:
    while blocks > 1:
        blocks = -(-blocks * _SUM // BLOCK)
        yield blocks
