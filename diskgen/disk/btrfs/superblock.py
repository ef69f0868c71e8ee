"""The superblock, of which there are copies at fixed places.

Source: btrfs documentation, "On-disk Format"; Linux include/uapi/linux/btrfs_tree.h.
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID, uuid5

from . import items
from .geometry import NODE, SECTOR, Chunk
from .sums import seal
from .tree import GENERATION, Identity, Root

MAX_LABEL: Final = 255
_MAGIC: Final = b"_BHRfS_M"
# Mixed references, nodes above 4096 bytes, extended and skinny references, no items for holes.
_INCOMPATIBLE: Final = 0x361
_DEFAULT_SUBVOLUME: Final = 0x2
_READ_ONLY: Final = 0x3  # the tree of free space, and that it is right
_SEALED: Final = 0x4  # files under fs-verity
_FIELDS: Final = struct.Struct("<16sQQ8sQQQQQQQQQIIIIIQQQQHBBB")  # from byte 32
_KEY: Final = struct.Struct("<QBQ")
_LABEL: Final = 0x12B
_UUID_GENERATION: Final = 0x233
_CHUNKS: Final = 0x32B
_CHECKSUM: Final = 32


def pack(
    place: int,
    *,
    roots: Root,
    chunks: Root,
    system: Chunk,
    size: int,
    used: int,
    held: int,
    identity: Identity,
    label: bytes,
    default: bool,
    sealed: bool,
) -> bytes:
    """Return the superblock for one of its places.

    ``used`` are the bytes in use of all chunks, ``held`` those of the device that are in one;
    ``default`` says whether a subvolume is mounted where none is named, ``sealed`` whether
    fs-verity guards any file.
    """
    raw = bytearray(SECTOR)
    array = _KEY.pack(*items.chunk_key(system)) + items.chunk(system, identity.device)
    _FIELDS.pack_into(
        raw, _CHECKSUM, identity.filesystem.bytes, place, 1, _MAGIC, GENERATION, roots.start,
        chunks.start, 0, 0, size, used, items.DIRECTORY_OF_ROOTS, 1, SECTOR, NODE, NODE, SECTOR,
        len(array), GENERATION, 0,
        _READ_ONLY | (_SEALED if sealed else 0),
        _INCOMPATIBLE | (_DEFAULT_SUBVOLUME if default else 0), 0, roots.level, chunks.level, 0,
    )  # fmt: skip
    at = _CHECKSUM + _FIELDS.size
    device = items.device(size, held, identity.device, identity.filesystem)
    raw[at : at + len(device)] = device
    raw[_LABEL : _LABEL + len(label)] = label
    struct.pack_into("<Q", raw, _UUID_GENERATION, GENERATION)
    raw[_CHUNKS : _CHUNKS + len(array)] = array
    return seal(bytes(raw[_CHECKSUM:]))


def identify(filesystem: UUID) -> Identity:
    """Return the identifiers that follow from the filesystem's."""
    return Identity(filesystem, derived(filesystem, "chunk tree"), derived(filesystem, "device"))


def derived(filesystem: UUID, what: str) -> UUID:
    """Return the identifier of a part of a filesystem."""
    return uuid5(filesystem, what)
