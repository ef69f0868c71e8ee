"""Inodes of xfs, version 3: 176 bytes of fields, then the forks."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from .checksum import seal
from .geometry import INODE_SIZE

FIELDS: Final = 176
ROOM: Final = INODE_SIZE - FIELDS  # bytes of the forks

DEVICE: Final = 0  # formats of a fork
LOCAL: Final = 1
EXTENTS: Final = 2
BTREE: Final = 3
DEVICE_FORK: Final = 1  # where attributes begin in an inode of format DEVICE; nowhere else

IMMUTABLE: Final = 0x8
NEW_BITMAP: Final = 0x4
_BIGTIME: Final = 8
_EPOCH: Final = 1 << 31  # seconds from the first time of bigtime, 1901, to 1970
_MOST: Final = (1 << 64) - 1

# "XFS Filesystem Structure", "Inode Core"; from byte 0, with the checksum zero.
_CORE: Final = struct.Struct(">2sHBBHIIIHH8xQQQQQIIHBBIHHIII")
_VERSION_3: Final = struct.Struct(">QQQI12xQQ16s")  # from byte 104
_CRC: Final = 100
_NONE: Final = 0xFFFFFFFF

# Types of directory entries, by the type of st_mode.
FILE_TYPES: Final = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Inode:
    """The fields of an inode in use; times are as ``encode_time`` has them."""

    mode: int
    format: int
    size: int
    uid: int = 0
    gid: int = 0
    links: int = 1
    mtime: int = 0
    now: int = 0  # of access, change and birth
    blocks: int = 0
    extents: int = 0
    attribute_extents: int = 0
    fork_offset: int = 0  # of the attributes, in units of 8 bytes; 0: there are none
    attribute_format: int = EXTENTS
    flags: int = 0
    data: bytes = b""  # the data fork
    attributes: bytes = b""  # the attribute fork


def encode_time(nanoseconds: int, *, bigtime: bool) -> int:
    """Return a time (since 1970) as 64 bits, or the nearest that they can hold."""
    if bigtime:
        return min(max(nanoseconds + _EPOCH * 10**9, 0), _MOST)
    seconds, rest = divmod(nanoseconds, 10**9)
    if seconds < -_EPOCH:
        seconds, rest = -_EPOCH, 0
    elif seconds >= _EPOCH:
        seconds, rest = _EPOCH - 1, 10**9 - 1
    return (seconds & 0xFFFFFFFF) << 32 | rest


def pack(node: Inode, number: int, identity: UUID, *, bigtime: bool) -> bytes:
    """Return the 512 bytes of an inode."""
    raw = bytearray(INODE_SIZE)
    _CORE.pack_into(
        raw, 0, b"IN", node.mode, 3, node.format, 0, node.uid, node.gid, node.links, 0, 0,
        node.now, node.mtime, node.now, node.size, node.blocks, 0, node.extents,
        node.attribute_extents, node.fork_offset, node.attribute_format, 0, 0, node.flags, 0,
        _NONE, 0,
    )  # fmt: skip
    flags2 = _BIGTIME if bigtime else 0
    _VERSION_3.pack_into(raw, 104, 0, 0, flags2, 0, node.now, number, identity.bytes)
    raw[FIELDS : FIELDS + len(node.data)] = node.data
    if node.fork_offset:
        at = FIELDS + node.fork_offset * 8
        raw[at : at + len(node.attributes)] = node.attributes
    assert len(raw) == INODE_SIZE
    return seal(raw, _CRC)


def pack_free(number: int, identity: UUID) -> bytes:
    """Return the 512 bytes of an inode that is not in use."""
    raw = bytearray(INODE_SIZE)
    _CORE.pack_into(raw, 0, b"IN", 0, 3, *[0] * 21, _NONE, 0)
    _VERSION_3.pack_into(raw, 104, 0, 0, 0, 0, 0, number, identity.bytes)
    return seal(raw, _CRC)


def encode_device(major: int, minor: int) -> bytes:
    """Return the data fork of a device node."""
    return (major << 18 | minor).to_bytes(4, "big")
