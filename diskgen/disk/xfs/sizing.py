"""How much of an xfs a tree takes, and how large the filesystem must be."""

from __future__ import annotations

from typing import Final

from ...tree import Directory
from ...units import MIB, align_up
from ..placing import content
from ..placing.population import Need
from . import attributes, directory, geometry, inventory
from .btree import LONGEST, fork_blocks
from .geometry import BLOCK, CHUNK, CHUNK_BLOCKS

_STEP: Final = MIB


def required(root: Directory) -> Need:
    """Return what ``root`` needs; ``inodes`` counts the three that are not its own.

    Raises SourceError as populate does.
    """
    found = inventory.take(root)
    total = metadata = 0
    for node in found.nodes:
        if node is None:
            continue
        encoded = attributes.encode(node.xattrs)
        # A fork in two runs at the end of a group can be one of more extents, never of a btree.
        metadata += encoded.blocks
        if isinstance(node, Directory):
            metadata += directory.most_blocks(list(node.entries))
        elif node.is_symlink:
            metadata += len(node.target) > encoded.data_room
        elif node.is_regular:
            parts = content.segments(node)
            total += sum(blocks for _, blocks, _ in parts)
            metadata += fork_blocks(sum(-(-blocks // LONGEST) for _, blocks, _ in parts) + 2)
    chunks = -(-len(found.nodes) // CHUNK)
    metadata += chunks * CHUNK_BLOCKS
    return Need((total + metadata) * BLOCK, len(found.nodes), total * BLOCK)


def minimum_size(need: Need) -> int:
    """Return the least size, a multiple of 1 MiB, of a filesystem that has room for ``need``.

    Free space for the machine is not included.
    """
    size = max(geometry.LEAST_SIZE, align_up(need.bytes, _STEP))
    while (missing := need.bytes - _usable(size, need)) > 0:
        size += align_up(missing, _STEP)
    return size


def _usable(size: int, need: Need) -> int:
    """Return the bytes for inodes and contents in an empty filesystem (a lower bound)."""
    shape = geometry.of_size(size, 4096)
    blocks = sum(shape.length(ag) - shape.reserve(ag) - shape.first for ag in range(shape.ag_count))
    # Chunks of inodes do not reach over the end of a group; each may need an inode btree.
    lost = shape.ag_count * (CHUNK_BLOCKS + 2) + need.inodes // CHUNK // 100
    # No inodes are in the log's group.
    elsewhere = sum(
        shape.length(ag) - shape.reserve(ag) - shape.first - CHUNK_BLOCKS - 2
        for ag in range(shape.ag_count)
        if ag != shape.log_ag
    )
    inodes = -(-need.inodes // CHUNK) * CHUNK_BLOCKS + need.inodes // CHUNK // 100
    missing = max(0, inodes - elsewhere)
    return min((blocks - shape.log_blocks - lost) * BLOCK, need.bytes - missing * BLOCK)
