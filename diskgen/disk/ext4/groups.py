"""Block groups: descriptors and bitmaps, read as mke2fs left them and written back filled."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final

from ...errors import VerifyError
from ..placing.crc32c import crc32c
from ..placing.diskio import write_at
from .superblock import BLOCK, DESCRIPTOR_SIZE, INODE_SIZE, Superblock, copies, has_copy

INODE_UNINIT: Final = 0x1
BLOCK_UNINIT: Final = 0x2

# Linux Documentation/filesystems/ext4/group_descr.rst: numbers are split in a low half, at the
# first offset, and a high half, at the second.
_POINTERS: Final = {"block_bitmap": (0x00, 0x20), "inode_bitmap": (0x04, 0x24),
                    "inode_table": (0x08, 0x28)}  # fmt: skip
_COUNTS: Final = {"free_blocks": (0x0C, 0x2C), "free_inodes": (0x0E, 0x2E),
                  "directories": (0x10, 0x30), "block_bitmap_csum": (0x18, 0x38),
                  "inode_bitmap_csum": (0x1A, 0x3A), "unused_inodes": (0x1C, 0x32)}  # fmt: skip
_FLAGS: Final = 0x12
_CHECKSUM: Final = 0x1E
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")


class Groups:
    """All group descriptors of one filesystem; ``offset`` is its first byte in the file ``fd``."""

    def __init__(self, fd: int, offset: int, superblock: Superblock) -> None:
        self.superblock = superblock
        self._fd = fd
        self._offset = offset
        size = superblock.groups * DESCRIPTOR_SIZE
        self._table = bytearray(os.pread(fd, size, offset + BLOCK))
        if len(self._table) != size:
            raise VerifyError(f"the disk ends within the ext4 filesystem at byte '{offset}'")
        self._bitmaps: dict[int, int] = {}
        self._changed: set[int] = set()

    def pointer(self, group: int, name: str) -> int:
        """Return a block number out of a descriptor."""
        low, high = (_U32.unpack_from(self._table, group * DESCRIPTOR_SIZE + at)[0]
                     for at in _POINTERS[name])  # fmt: skip
        return int(high << 32 | low)

    def count(self, group: int, name: str) -> int:
        """Return a number out of a descriptor."""
        low, high = (_U16.unpack_from(self._table, group * DESCRIPTOR_SIZE + at)[0]
                     for at in _COUNTS[name])  # fmt: skip
        return int(high << 16 | low)

    def _set(self, group: int, name: str, value: int) -> None:
        low, high = _COUNTS[name]
        self._changed.add(group)
        _U16.pack_into(self._table, group * DESCRIPTOR_SIZE + low, value & 0xFFFF)
        _U16.pack_into(self._table, group * DESCRIPTOR_SIZE + high, value >> 16)

    def _flags(self, group: int) -> int:
        return int(_U16.unpack_from(self._table, group * DESCRIPTOR_SIZE + _FLAGS)[0])

    def free_blocks(self) -> int:
        """Return the number of free blocks in all groups."""
        return sum(self.count(group, "free_blocks") for group in range(self.superblock.groups))

    def blocks_in(self, group: int) -> int:
        """Return how many blocks a group has (the last one may be short)."""
        per_group = self.superblock.blocks_per_group
        return min(per_group, self.superblock.block_count - group * per_group)

    def block_bitmap(self, group: int) -> int:
        """Return a group's block bitmap as a number whose bit n is block n.

        Raises VerifyError where it does not agree with the descriptor's count of free blocks.
        """
        bitmap = self._bitmaps.get(group)
        if bitmap is None:
            if self._flags(group) & BLOCK_UNINIT:
                bitmap = self._initial_bitmap(group)
            else:
                at = self._offset + self.pointer(group, "block_bitmap") * BLOCK
                bitmap = int.from_bytes(os.pread(self._fd, BLOCK, at), "little")
            size = self.blocks_in(group)
            bitmap &= (1 << size) - 1
            if size - bitmap.bit_count() != self.count(group, "free_blocks"):
                raise VerifyError(f"block group '{group}' of the new filesystem is not as expected")
            self._bitmaps[group] = bitmap
        return bitmap

    def _initial_bitmap(self, group: int) -> int:
        """Return the bitmap that BLOCK_UNINIT stands for: nothing but the group's own metadata."""
        superblock = self.superblock
        bitmap = 0
        if has_copy(group):
            bitmap = (1 << 1 + superblock.gdt_blocks + superblock.reserved_gdt_blocks) - 1
        table = -(-superblock.inodes_per_group * INODE_SIZE // BLOCK)
        first = group * superblock.blocks_per_group
        for name, blocks in (("block_bitmap", 1), ("inode_bitmap", 1), ("inode_table", table)):
            at = self.pointer(group, name) - first
            if 0 <= at < superblock.blocks_per_group:
                bitmap |= (1 << blocks) - 1 << at
        return bitmap

    def free_runs(self) -> Iterator[tuple[int, int]]:
        """Yield (first block, count) of all free blocks in ascending order, as long as possible."""
        start = count = 0
        for group in range(self.superblock.groups):
            base = group * self.superblock.blocks_per_group
            for at, length in _zeros(self.block_bitmap(group), self.blocks_in(group)):
                if base + at == start + count:
                    count += length
                    continue
                if count:
                    yield start, count
                start, count = base + at, length
        if count:
            yield start, count

    def fill_blocks(self, end: int) -> None:
        """Mark every block below ``end`` as used, and write those groups' bitmaps."""
        per_group = self.superblock.blocks_per_group
        for group in range(-(-end // per_group)):
            used = min(self.blocks_in(group), end - group * per_group)
            self._write_block_bitmap(group, self.block_bitmap(group) | (1 << used) - 1)

    def _write_block_bitmap(self, group: int, bitmap: int) -> None:
        size = self.blocks_in(group)
        self._set(group, "free_blocks", size - bitmap.bit_count())
        beyond = (1 << 8 * BLOCK) - (1 << size)  # blocks that are not there count as used
        raw = (bitmap | beyond).to_bytes(BLOCK, "little")
        self._write_bitmap(group, "block_bitmap", raw, raw)
        self._clear_flag(group, BLOCK_UNINIT)

    def fill_inodes(self, group: int, used: int, directories: int) -> None:
        """Mark a group's first ``used`` inodes as used, ``directories`` of which are such."""
        size = self.superblock.inodes_per_group
        self._set(group, "free_inodes", size - used)
        self._set(group, "unused_inodes", size - used)
        self._set(group, "directories", directories)
        raw = ((1 << 8 * BLOCK) - (1 << size) | (1 << used) - 1).to_bytes(BLOCK, "little")
        self._write_bitmap(group, "inode_bitmap", raw, raw[: size // 8])
        self._clear_flag(group, INODE_UNINIT)
        if self._flags(group) & BLOCK_UNINIT:  # the kernel wants both bitmaps or the inode one not
            self._write_block_bitmap(group, self.block_bitmap(group))

    def _write_bitmap(self, group: int, name: str, raw: bytes, summed: bytes) -> None:
        self._set(group, f"{name}_csum", crc32c(self.superblock.checksum_seed, summed))
        write_at(self._fd, [raw], self._offset + self.pointer(group, name) * BLOCK)

    def _clear_flag(self, group: int, flag: int) -> None:
        at = group * DESCRIPTOR_SIZE + _FLAGS
        _U16.pack_into(self._table, at, self._flags(group) & ~flag)

    def write(self) -> None:
        """Write the descriptors, with their checksums, to all of their places."""
        for group in self._changed:
            at = group * DESCRIPTOR_SIZE
            _U16.pack_into(self._table, at + _CHECKSUM, 0)
            raw = _U32.pack(group) + bytes(self._table[at : at + DESCRIPTOR_SIZE])
            checksum = crc32c(self.superblock.checksum_seed, raw) & 0xFFFF
            _U16.pack_into(self._table, at + _CHECKSUM, checksum)
        for at in copies(self.superblock):
            write_at(self._fd, [self._table], self._offset + (at + 1) * BLOCK)


def _zeros(bitmap: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (position, length) of the runs of clear bits among the lowest ``size``."""
    at = 0
    rest = ~bitmap & (1 << size) - 1
    while rest:
        skip = (rest & -rest).bit_length() - 1
        rest >>= skip
        length = (~rest & rest + 1).bit_length() - 1
        yield at + skip, length
        rest >>= length
        at += skip + length
