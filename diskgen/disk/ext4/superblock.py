"""The superblock: what kind of filesystem mke2fs has made, and what changes when it is filled."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

from ...errors import VerifyError
from ..placing.crc32c import crc32c
from ..placing.diskio import write_at
from .dirhash import HALF_MD4

BLOCK: Final = 4096
INODE_SIZE: Final = 256
DESCRIPTOR_SIZE: Final = 64
FIRST_INODE: Final = 12  # 1 to 10 are reserved, 11 is lost+found
SEED: Final = 0xFFFFFFFF  # every checksum starts from all ones
LATEST: Final = (1 << 34) - (1 << 31) - 1  # seconds since 1970: 2446, the end of inodes' time

# Linux Documentation/filesystems/ext4/super.rst, "s_feature_compat" and its neighbours.
_INCOMPATIBLE: Final = 0x2 | 0x40 | 0x80 | 0x200  # filetype extent 64bit flex_bg
_READ_ONLY: Final = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400  # sparse_super .. metadata_csum
_VERITY: Final = 0x8000
_SIGNED_HASH: Final = 1  # of s_flags
_UNSIGNED_HASH: Final = 2
_AT: Final = 1024  # bytes from the start of the filesystem
_SIZE: Final = 1024
_U32: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Superblock:
    """The fixed facts of one filesystem. ``raw`` is the 1024 bytes as read."""

    raw: bytes
    block_count: int
    inode_count: int
    blocks_per_group: int
    inodes_per_group: int
    reserved_gdt_blocks: int
    uuid: bytes
    hash_seed: bytes
    written: int
    checksum_seed: int

    @property
    def groups(self) -> int:
        return -(-self.block_count // self.blocks_per_group)

    @property
    def gdt_blocks(self) -> int:
        return -(-self.groups * DESCRIPTOR_SIZE // BLOCK)

    @property
    def has_verity(self) -> bool:
        return bool(_U32.unpack_from(self.raw, 0x64)[0] & _VERITY)

    def inode_seed(self, number: int) -> int:
        """Return what the checksums of an inode's own blocks start from (generation 0)."""
        return crc32c(self.checksum_seed, number.to_bytes(4, "little") + bytes(4))


def read(fd: int, offset: int) -> Superblock:
    """Return the superblock of the filesystem at ``offset`` bytes.

    Raises VerifyError for anything that make_empty does not make.
    """
    raw = os.pread(fd, _SIZE, offset + _AT)
    if len(raw) < _SIZE or raw[0x38:0x3A] != b"\x53\xef":
        raise VerifyError(f"no ext4 filesystem at byte '{offset}' of the disk")
    if _U32.unpack_from(raw, 0x3FC)[0] != crc32c(SEED, raw[:0x3FC]):
        raise VerifyError(f"the ext4 superblock at byte '{offset}' has a wrong checksum")
    (inodes, blocks_low) = struct.unpack_from("<II", raw, 0)
    (first_block, block_bits) = struct.unpack_from("<II", raw, 0x14)
    (per_group,) = _U32.unpack_from(raw, 0x20)
    (inodes_per_group,) = _U32.unpack_from(raw, 0x28)
    (inode_size,) = struct.unpack_from("<H", raw, 0x58)
    (incompatible, read_only) = struct.unpack_from("<II", raw, 0x60)
    (reserved_gdt,) = struct.unpack_from("<H", raw, 0xCE)
    (hash_version, _, descriptor_size) = struct.unpack_from("<BBH", raw, 0xFC)
    (blocks_high,) = _U32.unpack_from(raw, 0x150)
    found = (
        incompatible, read_only & ~_VERITY, first_block, block_bits, per_group, inode_size,
        hash_version, descriptor_size,
    )  # fmt: skip
    wanted = (_INCOMPATIBLE, _READ_ONLY, 0, 2, 8 * BLOCK, INODE_SIZE, HALF_MD4, DESCRIPTOR_SIZE)
    if found != wanted:
        raise VerifyError(f"the ext4 filesystem at byte '{offset}' is not of diskgen's making")
    uuid = raw[0x68:0x78]
    return Superblock(
        raw=raw,
        block_count=blocks_high << 32 | blocks_low,
        inode_count=inodes,
        blocks_per_group=per_group,
        inodes_per_group=inodes_per_group,
        reserved_gdt_blocks=reserved_gdt,
        uuid=uuid,
        hash_seed=raw[0xEC:0xFC],
        written=raw[0x274] << 32 | _U32.unpack_from(raw, 0x30)[0],
        checksum_seed=crc32c(SEED, uuid),
    )


def has_copy(group: int) -> bool:
    """Say whether a group holds a copy of superblock and descriptors (feature sparse_super)."""
    if group in (0, 1):
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def copies(superblock: Superblock) -> list[int]:
    """Return the blocks that hold a superblock, the primary one's first; descriptors follow."""
    return [n * superblock.blocks_per_group for n in range(superblock.groups) if has_copy(n)]


def free_inodes(superblock: Superblock) -> int:
    """Return s_free_inodes_count."""
    return int(_U32.unpack_from(superblock.raw, 0x10)[0])


def write(
    fd: int,
    offset: int,
    superblock: Superblock,
    *,
    free_blocks: int,
    free_inodes: int,
    timestamp: int,
) -> None:
    """Write new counts to every superblock; made, checked and written at ``timestamp``.

    The filesystem counts as never mounted. Its directories are ordered by signed characters, also
    where this machine's own are not. The rest of each copy stays as mke2fs made it.
    """
    low, high = timestamp & 0xFFFFFFFF, timestamp >> 32
    for block in copies(superblock):
        at = offset + (block * BLOCK or _AT)
        raw = bytearray(os.pread(fd, _SIZE, at))
        _U32.pack_into(raw, 0x0C, free_blocks & 0xFFFFFFFF)
        _U32.pack_into(raw, 0x158, free_blocks >> 32)
        _U32.pack_into(raw, 0x10, free_inodes)
        for place, place_high in ((0x30, 0x274), (0x40, 0x277), (0x108, 0x276)):
            _U32.pack_into(raw, place, low)  # s_wtime, s_lastcheck, s_mkfs_time
            raw[place_high] = high
        (flags,) = _U32.unpack_from(raw, 0x160)
        _U32.pack_into(raw, 0x160, flags & ~_UNSIGNED_HASH | _SIGNED_HASH)
        _U32.pack_into(raw, 0x3FC, crc32c(SEED, bytes(raw[:0x3FC])))
        write_at(fd, [raw], at)
