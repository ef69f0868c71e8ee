"""Inodes: owner, mode, times and the rest, packed in 256 bytes with their checksum."""

from __future__ import annotations

import stat
import struct
from functools import lru_cache
from typing import Final

from ..placing.crc32c import crc32c
from .superblock import LATEST

INDEX_FLAG: Final = 0x1000
IMMUTABLE_FLAG: Final = 0x10
EXTENTS_FLAG: Final = 0x80000
MAX_LINKS: Final = 65000
FAST_SYMLINK: Final = 60  # a target shorter than this lives in the inode

_GIGA: Final = 10**9
_EARLIEST: Final = -(1 << 31)
_EXTRA_SIZE: Final = 32  # bytes of the second half that are fields; xattrs follow

# Linux Documentation/filesystems/ext4/inodes.rst. The checksum covers number and generation before
# the inode itself, which is why the first two fields here are not part of it.
_INODE: Final = struct.Struct(
    "<II"  # number, generation
    "HHIIIIIHHIII"  # mode uid size atime ctime mtime dtime gid links blocks flags version
    "60sIIII"  # block generation file_acl size_high faddr
    "HHHHHH"  # blocks_high file_acl_high uid_high gid_high checksum_low reserved
    "HHIIIIIII"  # extra_isize checksum_high ctime mtime atime crtime crtime' version' project
    "96s"  # xattrs
)
_U16: Final = struct.Struct("<H")
CHECKSUM_LOW: Final = 0x7C
CHECKSUM_HIGH: Final = 0x82


@lru_cache(maxsize=1024)
def encode_time(nanoseconds: int) -> tuple[int, int]:
    """Return (low, extra) of a time; what ext4 cannot express becomes the nearest it can."""
    seconds, rest = divmod(nanoseconds, _GIGA)
    if seconds < _EARLIEST:
        seconds, rest = _EARLIEST, 0
    elif seconds > LATEST:
        seconds, rest = LATEST, 0
    low = seconds & 0xFFFFFFFF
    signed = low - (1 << 32) if low >> 31 else low
    return low, rest << 2 | (seconds - signed >> 32) & 3


def encode_device(major: int, minor: int) -> bytes:
    """Return i_block of a device node: 8+8 bits where they suffice, else 12+20 in the next word."""
    if major < 256 and minor < 256:
        return struct.pack("<II52x", major << 8 | minor, 0)
    return struct.pack("<II52x", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


def pack(
    checksum_seed: int,
    number: int,
    *,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    links: int,
    blocks: int,
    flags: int,
    block: bytes,
    acl_block: int,
    xattrs: bytes,
    mtime_ns: int,
    now: tuple[int, int],
) -> bytearray:
    """Return the 256 bytes of an inode.

    ``blocks`` counts 4096-byte blocks, of the tree and of xattrs too; ``now`` is the encoded time
    of access, change and birth; ``block`` has 60 bytes.
    """
    low, extra = encode_time(mtime_ns)
    sectors = blocks * 8
    raw = _INODE.pack(
        number, 0,
        mode, uid & 0xFFFF, size & 0xFFFFFFFF, now[0], now[0], low, 0, gid & 0xFFFF, links,
        sectors & 0xFFFFFFFF, flags, 0,
        block, 0, acl_block & 0xFFFFFFFF, size >> 32, 0,
        sectors >> 32, acl_block >> 32, uid >> 16, gid >> 16, 0, 0,
        _EXTRA_SIZE, 0, now[1], extra, now[1], now[0], now[1], 0, 0,
        xattrs,
    )  # fmt: skip
    crc = crc32c(checksum_seed, raw)
    out = bytearray(raw[8:])
    _U16.pack_into(out, CHECKSUM_LOW, crc & 0xFFFF)
    _U16.pack_into(out, CHECKSUM_HIGH, crc >> 16)
    return out


FILE_TYPES: Final = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip
