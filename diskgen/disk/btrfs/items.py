"""What the items of btrfs's trees hold, and by which keys they are found.

Source: btrfs documentation, "On-disk Format"; Linux include/uapi/linux/btrfs_tree.h.
"""

from __future__ import annotations

import stat
import struct
from typing import Final
from uuid import UUID

from .geometry import NODE, SECTOR, STRIPE, Chunk
from .tree import GENERATION, Root

# Trees, by the number that owns their nodes.
ROOT_TREE: Final = 1
EXTENT_TREE: Final = 2
CHUNK_TREE: Final = 3
DEVICE_TREE: Final = 4
TOP: Final = 5
DIRECTORY_OF_ROOTS: Final = 6
SUM_TREE: Final = 7
UUID_TREE: Final = 9
SPACE_TREE: Final = 10
MOVED_DATA: Final = (1 << 64) - 9
ALL_SUMS: Final = (1 << 64) - 10  # the objectid of sums
FIRST_SUBVOLUME: Final = 256
FIRST_INODE: Final = 256
_FIRST_CHUNK: Final = 256
_DEVICE: Final = 1

INODE: Final = 1  # types of items
REFERENCE: Final = 12
MORE_REFERENCES: Final = 13
ATTRIBUTE: Final = 24
SEAL: Final = 36
SUMS_OF_SEAL: Final = 37
BY_HASH: Final = 84
BY_INDEX: Final = 96
EXTENT_OF_FILE: Final = 108
SUM: Final = 128
ROOT: Final = 132
ROOT_TO_PARENT: Final = 144
ROOT_TO_CHILD: Final = 156
EXTENT: Final = 168
EXTENT_OF_TREE: Final = 169
_IN_FILE: Final = 178
_IN_TREE: Final = 176
GROUP: Final = 192
SPACE: Final = 198
FREE: Final = 199
DEVICE_EXTENT: Final = 204
DEVICE: Final = 216
CHUNK: Final = 228
PERSISTENT: Final = 249
UUID_OF_SUBVOLUME: Final = 251

IMMUTABLE: Final = 0x40  # of an inode
SEALED: Final = 1 << 32  # of those which older kernels may read with
_OF_ROOT: Final = 1 << 31
_LAST: Final = (1 << 64) - 1

# Types of directory entries, by the type of st_mode; attributes have another one.
FILE_TYPES: Final = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip
DIRECTORY_TYPE: Final = 2
_ATTRIBUTE_TYPE: Final = 8

_INODE: Final = struct.Struct("<QQQQQIIIIQQQ32x" + "qI" * 4)
_ENTRY: Final = struct.Struct("<QBQQHHB")
_REFERENCE: Final = struct.Struct("<QH")
_MORE: Final = struct.Struct("<QQH")
_ROOT: Final = struct.Struct("<QQQQQQQI17xBBQ16s32xQQ16xqIqI24x64x")
_ROOT_REFERENCE: Final = struct.Struct("<QQH")
_INLINE: Final = struct.Struct("<QQBBHB")
_EXTENT: Final = struct.Struct("<QQBBHBQQQQ")
_CHUNK: Final = struct.Struct("<QQQQIIIHH")
_STRIPE: Final = struct.Struct("<QQ16s")
_DEVICE_EXTENT: Final = struct.Struct("<QQQQ16s")
_DEVICE_ITEM: Final = struct.Struct("<QQQIIIQQQIBB16s16s")
_OF_FILE: Final = struct.Struct("<QQQBQQQI")
_OF_TREE: Final = struct.Struct("<QQQBQ")
_GROUP: Final = struct.Struct("<QQQ")
ENTRY_SIZE: Final = _ENTRY.size
INODE_SIZE: Final = _INODE.size
ROOT_SIZE: Final = INODE_SIZE + _ROOT.size
REFERENCE_SIZE: Final = _REFERENCE.size
MORE_SIZE: Final = _MORE.size
INLINE_SIZE: Final = _INLINE.size
EXTENT_SIZE: Final = _EXTENT.size
OF_FILE_SIZE: Final = _OF_FILE.size
OF_TREE_SIZE: Final = _OF_TREE.size
GROUP_SIZE: Final = _GROUP.size

_BILLION: Final = 10**9
_ZSTD: Final = 3


def inode(
    *,
    mode: int,
    now: int,
    mtime_ns: int | None = None,
    size: int = 0,
    held: int = 0,
    links: int = 1,
    uid: int = 0,
    gid: int = 0,
    rdev: tuple[int, int] = (0, 0),
    flags: int = 0,
) -> bytes:
    """Return an inode; ``held`` are its bytes on the disk, ``now`` is in seconds."""
    seconds, fraction = (now, 0) if mtime_ns is None else divmod(mtime_ns, _BILLION)
    return _INODE.pack(
        GENERATION, GENERATION, size, held, 0, links, uid, gid, mode, rdev[0] << 20 | rdev[1],
        flags, 0, now, 0, now, 0, seconds, fraction, now, 0,
    )  # fmt: skip


def entry(target: tuple[int, int, int], kind: int, name: bytes) -> bytes:
    """Return a directory's entry for what a key names."""
    return _ENTRY.pack(*target, GENERATION, 0, len(name), kind) + name


def inode_key(number: int) -> tuple[int, int, int]:
    """Return the key by which entries name an inode."""
    return number, INODE, 0


def root_key(tree: int) -> tuple[int, int, int]:
    """Return the key by which entries name a subvolume."""
    return tree, ROOT, _LAST


def attribute(name: bytes, value: bytes) -> bytes:
    """Return an extended attribute."""
    head = _ENTRY.pack(0, 0, 0, GENERATION, len(value), len(name), _ATTRIBUTE_TYPE)
    return head + name + value


def reference(index: int, name: bytes) -> bytes:
    """Return a name of an inode in the directory that the item's key has."""
    return _REFERENCE.pack(index, len(name)) + name


def more_reference(parent: int, index: int, name: bytes) -> bytes:
    """Return a name of an inode, for a key that is a hash."""
    return _MORE.pack(parent, index, len(name)) + name


def inline(data: bytes) -> bytes:
    """Return contents that lie in the tree."""
    return _INLINE.pack(GENERATION, len(data), 0, 0, 0, 0) + data


def extent(start: int, length: int) -> bytes:
    """Return contents of ``length`` bytes at a logical address."""
    return _EXTENT.pack(GENERATION, length, 0, 0, 0, 1, start, length, 0, length)


def root(tree: Root, *, now: int, directory: bool, uuid: UUID | None) -> bytes:
    """Return the item of a tree: whether it has a directory, and its identifier as a subvolume."""
    flags = 0 if uuid is None else _OF_ROOT
    inside = inode(mode=stat.S_IFDIR | 0o755, now=now, size=3, held=NODE, flags=flags)
    return inside + _ROOT.pack(
        GENERATION, FIRST_INODE if directory else 0, tree.start, 0, tree.nodes * NODE, 0, 0, 1,
        0, tree.level, GENERATION, bytes(16) if uuid is None else uuid.bytes,
        GENERATION, GENERATION, now, 0, now, 0,
    )  # fmt: skip


def root_reference(directory: int, index: int, name: bytes) -> bytes:
    """Return what ties a subvolume to the directory that it is in."""
    return _ROOT_REFERENCE.pack(directory, index, len(name)) + name


def chunk(what: Chunk, device: UUID) -> bytes:
    """Return where a chunk lies."""
    places = what.places
    head = _CHUNK.pack(
        what.length, EXTENT_TREE, STRIPE, what.flags, STRIPE, STRIPE, SECTOR, len(places), 1
    )
    return head + b"".join(_STRIPE.pack(_DEVICE, at, device.bytes) for at in places)


def chunk_key(what: Chunk) -> tuple[int, int, int]:
    """Return a chunk's key."""
    return _FIRST_CHUNK, CHUNK, what.start


def device_extent(what: Chunk, chunk_tree: UUID) -> bytes:
    """Return which chunk lies at a place of the device."""
    return _DEVICE_EXTENT.pack(CHUNK_TREE, _FIRST_CHUNK, what.start, what.length, chunk_tree.bytes)


def device(size: int, used: int, identity: UUID, filesystem: UUID) -> bytes:
    """Return the description of the device."""
    return _DEVICE_ITEM.pack(
        _DEVICE, size, used, SECTOR, SECTOR, SECTOR, 0, 0, 0, 0, 0, 0, identity.bytes,
        filesystem.bytes,
    )  # fmt: skip


def of_file(tree: int, number: int, offset: int) -> bytes:
    """Return what uses an extent: an inode of a tree, at a byte of it."""
    return _OF_FILE.pack(1, GENERATION, 1, _IN_FILE, tree, number, offset, 1)


def of_tree(tree: int) -> bytes:
    """Return what uses a node."""
    return _OF_TREE.pack(1, GENERATION, 2, _IN_TREE, tree & _LAST)


def group(what: Chunk) -> bytes:
    """Return how much of a chunk is used."""
    return _GROUP.pack(what.used, _FIRST_CHUNK, what.flags)
