"""How much of a btrfs a tree takes, and how large the filesystem must be."""

from __future__ import annotations

from typing import Final, TypeGuard

from ...tree import Directory, File, Node
from ...units import GIB, MIB, align_up
from ..placing import content
from ..placing.population import Need
from . import files, geometry, inventory, items, verity
from .attributes import encode
from .geometry import NODE, SECTOR
from .inventory import Inventory
from .tree import ENTRY, ROOM

LONGEST: Final = 128 * MIB // SECTOR  # sectors of an extent
SUMS: Final = 3900  # in one item
_SMALL: Final = 1024  # bytes of an item below which the end of a leaf goes to waste
_TREES: Final = 12  # each of which has a node, and one above
_CHUNK: Final = GIB // SECTOR
_OF_CHUNK: Final = 1024  # bytes of all items that describe one


def required(root: Directory) -> Need:
    """Return what ``root`` needs as one subvolume. Raises SourceError as populate does.

    Of ``bytes``, metadata count once, and are an upper bound.
    """
    found = inventory.take(root)
    blocks = data_blocks(found)
    return Need(blocks * SECTOR + metadata(found, blocks), found.inodes, blocks * SECTOR)


def data_blocks(found: Inventory) -> int:
    """Return the sectors that contents take which are not in the tree."""
    return sum(
        blocks
        for subvolume in found.subvolumes
        for node in subvolume.nodes
        if has_extents(node)
        for _, blocks, _ in content.segments(node)
    )


def has_extents(node: Node) -> TypeGuard[File]:
    """Say whether a node is a file whose contents are in extents."""
    return isinstance(node, File) and node.is_regular and not files.is_inline(node)


def metadata(found: Inventory, blocks: int) -> int:
    """Return the bytes that all nodes take at most, with contents of so many sectors.

    A leaf ends where the next item does not fit: the waste is less than that item, which a large
    one bears itself, and small ones by the share that they could leave of a leaf.
    """
    small = large = 0
    for size in _sizes(found):
        if size < _SMALL:
            small += size
        else:
            large += 2 * size
    chunks = blocks // _CHUNK + len(geometry.SUPERBLOCKS) + 1
    small += chunks * _OF_CHUNK
    leaves = small // (ROOM - _SMALL) + large // ROOM + _TREES + len(found.subvolumes)
    leaves += blocks // SUMS + chunks  # of sums
    nodes = leaves + leaves // 50 + 2 * _TREES
    nodes += nodes * (ENTRY + items.OF_TREE_SIZE) // (ROOM - _SMALL) + 8  # which describe nodes
    return nodes * NODE


def _sizes(found: Inventory) -> list[int]:
    """Return the sizes of all items of files, and of what describes their extents."""
    out: list[int] = []
    for subvolume in found.subvolumes:
        for _, _, node, names in subvolume:
            out.append(items.INODE_SIZE + ENTRY)
            times = 1 if len(names) == 1 else 2  # several come to be in one item
            out += [items.MORE_SIZE + len(name) + ENTRY for _, _, name in names] * times
            out += [len(data) + ENTRY for _, data in encode(node.xattrs)] if node.xattrs else ()
            if isinstance(node, File) and node.seal is not None:
                out += [size + ENTRY for size in verity.sizes(node.seal)]
            if isinstance(node, Directory):
                for name in node.entries:
                    size = items.ENTRY_SIZE + len(name) + ENTRY
                    out += (size, size)
            elif node.is_symlink or (node.is_regular and files.is_inline(node)):
                out.append(items.INLINE_SIZE + node.size + ENTRY)
            elif node.is_regular:
                parts = sum(-(-count // LONGEST) for _, count, _ in content.segments(node))
                out += [items.EXTENT_SIZE + items.OF_FILE_SIZE + 2 * ENTRY] * parts
    return out


def minimum_size(need: Need) -> int:
    """Return the least size, a multiple of 1 MiB, of a filesystem for ``need``.

    A fifth of it is in no chunk: btrfs that has given all of it to one kind of chunks can move
    nothing any more. Other free space for the machine is not included.
    """
    meta = need.bytes - need.content
    size = geometry.LEAST_SIZE
    while True:
        least = need.content + geometry.whole(size, meta) + MIB
        least = max(geometry.LEAST_SIZE, align_up(least + least // 4, MIB))
        if least <= size:
            return size
        size = least
