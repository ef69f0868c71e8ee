"""How much room a tree needs, and how large a filesystem is that has it: no file is touched."""

from __future__ import annotations

from typing import Final

from ...tree import Directory
from ...units import GIB, MIB, align_up
from ..placing.content import segments
from ..placing.population import Need
from . import inventory, verity
from .directory import most_blocks
from .extents import LONGEST, tree_blocks
from .inventory import LOST_FOUND_BLOCKS, has_content
from .superblock import BLOCK, DESCRIPTOR_SIZE, INODE_SIZE, has_copy
from .xattr import MAX_SHARING, Encoded, encode

BYTES_PER_INODE: Final = 16 * 1024  # where nobody asked for a number of inodes
_GROUP: Final = 8 * BLOCK  # blocks
_GROWTH: Final = 1024  # times the first size: how far the descriptors' reserve lets it grow online
_PER_TABLE_BLOCK: Final = BLOCK // INODE_SIZE
_SPARE: Final = 64  # blocks: rounding of mke2fs's, the map of the resize inode

# (filesystem is at least this large, its journal), as mke2fs chooses; written down so that every
# version of it makes the same.
_JOURNALS: Final = (
    (128 * GIB, GIB), (64 * GIB, 512 * MIB), (32 * GIB, 256 * MIB), (16 * GIB, 128 * MIB),
    (2 * GIB, 64 * MIB), (GIB, 32 * MIB), (128 * MIB, 16 * MIB), (8 * MIB, 4 * MIB), (0, 0),
)  # fmt: skip


def required(root: Directory) -> Need:
    """Return what ``root`` needs. Raises SourceError as populate does."""
    found = inventory.take(root)
    content = metadata = 0
    shared: dict[Encoded, int] = {}
    for _, node in found:
        encoded = encode(node.xattrs)
        if encoded.needs_block:
            shared[encoded] = shared.get(encoded, 0) + 1
        if isinstance(node, Directory):
            least = LOST_FOUND_BLOCKS if node is found.lost_found else 1
            metadata += max(least, most_blocks(list(found.entries(node))))
        elif has_content(node):
            parts = segments(node)
            behind = verity.blocks(node.seal) if node.seal is not None else 0
            content += sum(blocks for _, blocks, _ in parts) + behind
            lengths = [*(blocks for _, blocks, _ in parts), behind]
            metadata += tree_blocks(sum(-(-blocks // LONGEST) for blocks in lengths) + 2)
    metadata += sum(-(-count // MAX_SHARING) for count in shared.values())
    # Where free space is interrupted (copies of the superblock, the journal), a file may be cut.
    metadata += 2 + content // _GROUP
    return Need((content + metadata) * BLOCK, found.end - 1, content * BLOCK)


def journal_size(size: int) -> int:
    """Return the bytes of the journal of a filesystem of ``size`` bytes; 0 for none."""
    return next(journal for least, journal in _JOURNALS if size >= least)


def minimum_size(need: Need, inodes: int | None = None) -> int:
    """Return the least size, a multiple of 1 MiB, whose empty filesystem has room for ``need``.

    ``inodes`` is what make_empty will be given. That the number of inodes suffices is included;
    free space for the machine is not.
    """
    size = align_up(need.bytes + 4 * MIB, MIB)
    while True:
        count = size // BYTES_PER_INODE if inodes is None else inodes
        missing = need.bytes - _usable(size, count)
        if missing <= 0 and count >= need.inodes:
            return size
        if missing <= 0:
            if inodes is not None:
                raise ValueError(f"{inodes} inodes are fewer than the {need.inodes} needed")
            size = max(size + MIB, align_up(need.inodes * BYTES_PER_INODE, MIB))
        else:
            size += align_up(missing, MIB)


def _usable(size: int, inodes: int) -> int:
    """Return the bytes free for files in an empty filesystem (a lower bound)."""
    blocks = size // BLOCK
    groups = -(-blocks // _GROUP)
    table = -(-inodes // (groups * _PER_TABLE_BLOCK)) + 1
    descriptors = -(-groups * DESCRIPTOR_SIZE // BLOCK)
    grown = -(-groups * _GROWTH * DESCRIPTOR_SIZE // BLOCK)
    copy = 1 + descriptors + min(grown, BLOCK // 4)
    rest = blocks % _GROUP
    if rest < 2 + table + copy + 50:  # mke2fs leaves out a last group that would hold little else
        blocks -= rest
    fixed = groups * (2 + table) + copy * sum(map(has_copy, range(groups)))
    return (blocks - fixed - _SPARE - LOST_FOUND_BLOCKS - 1) * BLOCK - journal_size(size)
