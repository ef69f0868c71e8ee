"""What stands at the start of an xfs and of each allocation group, and the log's only record.

Source: "XFS Filesystem Structure", chapters "Superblocks", "AG Free Space Management", "AG Inode
Management" and "Journaling Log".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from .checksum import seal
from .features import Features
from .geometry import BLOCK, BLOCK_LOG, FREE_LIST, INODE_SIZE, PER_BLOCK, Geometry

MAX_LABEL: Final = 12  # bytes of sb_fname
_NONE: Final = 0xFFFFFFFF

# Features, as mkfs.xfs 6.1 chooses them: what kernel 5.10 and every GRUB of that time reads.
_VERSION: Final = 0xB4A5  # 5, with aligned inodes, unwritten extents, log and directories version 2
_HAS_ATTRIBUTES: Final = 0x10
_LARGE_SECTORS: Final = 0x800
_FEATURES_2: Final = 0x18A  # lazy counters, attributes 2, 32-bit projects, checksums
_FINOBT: Final = 0x1
_REFLINK: Final = 0x4
_INODE_COUNTS: Final = 0x8
_FTYPE: Final = 0x1
_SPARSE_INODES: Final = 0x2
_BIGTIME: Final = 0x8


@dataclass(slots=True)
class Group:
    """One allocation group as it ends up: counts, and its free runs (first block, blocks)."""

    number: int
    length: int
    free: list[tuple[int, int]] = field(default_factory=list)
    inodes: int = 0
    free_inodes: int = 0
    newest: int = _NONE  # the last chunk's first inode, its number in the group
    inode_levels: int = 1
    inode_blocks: int = 1  # of the btree, the root included

    @property
    def free_blocks(self) -> int:
        return sum(count for _, count in self.free)


def superblock(
    geometry: Geometry,
    groups: list[Group],
    *,
    identity: UUID,
    label: str,
    features: Features,
    attributes: bool,
    inode_percent: int,
) -> bytes:
    """Return the superblock's sector, the same in each group."""
    g = geometry
    raw = bytearray(g.sector)
    version = _VERSION | (_HAS_ATTRIBUTES if attributes else 0)
    large = g.sector > 512
    if large:
        version |= _LARGE_SECTORS
    root = g.root_inode
    sector_log = g.sector.bit_length() - 1
    struct.pack_into(
        ">4sIQ16x16sQQQQIIIIIHHHH12s8B", raw, 0,
        b"XFSB", BLOCK, g.blocks, identity.bytes, g.fsblock(g.log_start), root, root + 1, root + 2,
        1, g.ag_blocks, g.ag_count, 0, g.log_blocks, version, g.sector, INODE_SIZE, PER_BLOCK,
        label.encode(), BLOCK_LOG, sector_log, 9, 3, g.ag_block_log, 0, 0, inode_percent,
    )  # fmt: skip
    free = sum(group.free_blocks + FREE_LIST for group in groups)
    struct.pack_into(
        ">QQQ", raw, 128,
        sum(group.inodes for group in groups), sum(group.free_inodes for group in groups), free,
    )  # fmt: skip
    struct.pack_into(
        ">IIIBBHIIIIII", raw, 180,
        8, 0, 0, 0, sector_log if large else 0, g.sector if large else 0,
        g.sector if large else 1, _FEATURES_2, _FEATURES_2, 0,
        _FINOBT | _REFLINK | (_INODE_COUNTS if features.inode_counts else 0),
        _FTYPE | _SPARSE_INODES | (_BIGTIME if features.bigtime else 0),
    )  # fmt: skip
    struct.pack_into(">I", raw, 228, 4)  # alignment of sparse inodes, in blocks
    return seal(raw, 224)


def free_space(group: Group, geometry: Geometry, identity: UUID) -> bytes:
    """Return the AGF's sector."""
    raw = bytearray(geometry.sector)
    first = geometry.header_blocks
    struct.pack_into(
        ">4sIII3I3IIIIIII16s", raw, 0,
        b"XAGF", 1, group.number, group.length, first, first + 1, 0, 1, 1, 0,
        1, FREE_LIST, FREE_LIST, group.free_blocks,
        max((count for _, count in group.free), default=0), 0, identity.bytes,
    )  # fmt: skip
    struct.pack_into(">IIII", raw, 80, 0, 1, first + 4, 1)
    return seal(raw, 216)


def inodes(group: Group, geometry: Geometry, identity: UUID, features: Features) -> bytes:
    """Return the AGI's sector."""
    raw = bytearray(geometry.sector)
    first = geometry.header_blocks
    struct.pack_into(
        ">4s9I", raw, 0, b"XAGI", 1, group.number, group.length, group.inodes, first + 2,
        group.inode_levels, group.free_inodes, group.newest, _NONE,
    )  # fmt: skip
    raw[40:296] = b"\xff" * 256
    counts = (group.inode_blocks, 1) if features.inode_counts else (0, 0)
    struct.pack_into(">16s", raw, 296, identity.bytes)
    struct.pack_into(">IIII", raw, 328, first + 3, 1, *counts)
    return seal(raw, 312)


def free_list(group: Group, geometry: Geometry, identity: UUID) -> bytes:
    """Return the AGFL's sector: slot 0 is unused, the next ones are taken."""
    raw = bytearray(b"\xff" * geometry.sector)
    struct.pack_into(">4sI16sQI", raw, 0, b"XAFL", group.number, identity.bytes, 0, 0)
    struct.pack_into(f">{FREE_LIST}I", raw, 40, *geometry.free_list)
    return seal(raw, 32)


def log_record(geometry: Geometry, identity: UUID) -> bytes:
    """Return the start of a log that says "unmounted"; all the rest of it is zeros."""
    pieces = geometry.sector // 512 - 1 or 1
    raw = bytearray(512 * (1 + pieces))
    struct.pack_into(
        ">IIIIQQIIII", raw, 0, 0xFEEDBABE, 1, 2, 512 * pieces, 1 << 32, 1 << 32, 0, _NONE, 1,
        0xB0C0D0D0,
    )  # fmt: skip
    struct.pack_into(">I16s", raw, 0x12C, 1, identity.bytes)
    struct.pack_into(">I", raw, 0x140, 32768)
    # The magic number of an unmount record is in the byte order of the machine that wrote it.
    struct.pack_into(">IIBBHH", raw, 512, 1, 8, 0xAA, 0x20, 0, 0x6E55)
    for number in range(2, pieces + 1):
        struct.pack_into(">I", raw, 512 * number, 1)
    return bytes(raw)
