"""Where an xfs of some size has what: allocation groups, log, the three forms of a block number.

Source of the format: "XFS Filesystem Structure", 3rd edition (xfs-documentation), chapters
"Allocation Groups" and "Journaling Log".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...units import MIB
from ..placing.alloc import FullError

BLOCK: Final = 4096
BLOCK_LOG: Final = 12
INODE_SIZE: Final = 512
PER_BLOCK: Final = BLOCK // INODE_SIZE  # inodes
CHUNK: Final = 64  # inodes that are allocated together
CHUNK_BLOCKS: Final = CHUNK // PER_BLOCK
ALIGNMENT: Final = CHUNK_BLOCKS  # of a chunk, in blocks (sb_inoalignmt)
LEAST_SIZE: Final = 320 * MIB  # xfsprogs warns of anything below 300 MB
ROOTS: Final = 5  # blocks: roots of the by-block, by-count, inode, free inode, reference btrees
FREE_LIST: Final = 4  # blocks kept for the btrees of free space

_AGS: Final = 4
_MOST_AG_BLOCKS: Final = (1 << 28) - 1  # an allocation group is smaller than 1 TiB
_LEAST_LOG: Final = 64 * MIB // BLOCK
_MOST_LOG: Final = (2048 - 10) * MIB // BLOCK  # mkfs.xfs's own limit: 2 GiB less the smallest log
_LOG_FRACTION: Final = 2048

# Records in one block of a btree, at least (half full), as the kernel reckons reserves.
_LEAST_REFERENCES: Final = 168
_LEAST_INODES: Final = 126
_LEAST_POINTERS: Final = 126
_SPARE: Final = 16  # blocks of an allocation group


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of one filesystem; all numbers are in blocks of 4096 bytes but ``sector``.

    A *linear* block is a place in the partition; ``fsblock`` turns it into the number that extents
    hold, ``daddr`` into the 512-byte units of the ``blkno`` fields.
    """

    blocks: int
    ag_count: int
    ag_blocks: int
    log_blocks: int
    sector: int  # bytes, 512 or 4096

    @property
    def ag_block_log(self) -> int:
        return (self.ag_blocks - 1).bit_length()

    @property
    def log_ag(self) -> int:
        return self.ag_count // 2

    @property
    def header_blocks(self) -> int:
        """Blocks of superblock, AGF, AGI and AGFL, a sector each."""
        return -(-4 * self.sector // BLOCK)

    @property
    def first(self) -> int:
        """The block in each AG where the first inode chunk can be; in the log's AG it is the log's.

        xfs_repair knows the root inode's place by the same sum.
        """
        used = self.header_blocks + ROOTS + FREE_LIST
        return -(-used // ALIGNMENT) * ALIGNMENT

    @property
    def free_list(self) -> range:
        """The blocks of the free list in each AG."""
        begin = self.header_blocks + ROOTS
        return range(begin, begin + FREE_LIST)

    @property
    def root_inode(self) -> int:
        return self.first * PER_BLOCK

    def length(self, ag: int) -> int:
        """Return the blocks of an AG: the last may be shorter."""
        return min(self.ag_blocks, self.blocks - ag * self.ag_blocks)

    def reserve(self, ag: int) -> int:
        """Return the blocks of an AG that stay free: the kernel reserves as much at mount."""
        length = self.length(ag)
        return _tree(length, _LEAST_REFERENCES) + _tree(length // ALIGNMENT, _LEAST_INODES) + _SPARE

    def fsblock(self, linear: int) -> int:
        ag, block = divmod(linear, self.ag_blocks)
        return ag << self.ag_block_log | block

    def inode(self, linear: int) -> int:
        """Return the number of the first inode in a linear block."""
        return self.fsblock(linear) * PER_BLOCK

    @property
    def log_start(self) -> int:
        """The linear block of the log."""
        return self.log_ag * self.ag_blocks + self.first


def daddr(linear: int) -> int:
    """Return a linear block's number in units of 512 bytes."""
    return linear * (BLOCK // 512)


def of_size(size: int, sector: int) -> Geometry:
    """Return the geometry for ``size`` bytes. Raises FullError below LEAST_SIZE."""
    blocks = size // BLOCK
    if size < LEAST_SIZE:
        raise FullError
    count = max(_AGS, -(-blocks // _MOST_AG_BLOCKS))
    each = -(-blocks // count)
    last = blocks - (count - 1) * each
    if last < each // 2:  # cannot be with so few groups, and would be a group without room
        raise FullError
    log = min(max(blocks // _LOG_FRACTION, _LEAST_LOG), _MOST_LOG)
    return Geometry(blocks, count, each, log, sector)


def _tree(records: int, least: int) -> int:
    """Return the blocks of a btree whose blocks are half full."""
    total = level = -(-records // least)
    while level > 1:
        level = -(-level // _LEAST_POINTERS)
        total += level
    return max(total, 1)
