"""What an ext4 filesystem holds, wherever it lies and whoever made it: directories, links, files.

Nothing is mounted or replayed: what lies in the journal alone is not seen. Every structure may be
hostile. Format: Linux Documentation/filesystems/ext4/, "Super Block", "Block Group Descriptors",
"Extent Tree" and "Directory Entries".
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from ...errors import VerifyError
from ...units import MIB
from .. import reading
from ..reading import Facts, Node, ReadAt
from .extents import LONGEST, MAGIC
from .inode import EXTENTS_FLAG
from .inventory import ROOT
from .superblock import has_copy

_MAX_DEPTH: Final = 5  # of an extent tree
_MAX_NODES: Final = 20_000  # of one
_MAX_DIRECTORY: Final = 64 * MIB
_MAX_TARGET: Final = 4096
_SUPERBLOCK_AT: Final = 1024
# s_feature_incompat: those whose filesystems are read here.
_RECOVER, _META_BG, _64BIT = 0x4, 0x10, 0x80
_FILETYPE: Final = 0x2
# filetype recover meta_bg extent 64bit mmp flex_bg ea_inode csum_seed largedir inline_data
# encrypt casefold
_READABLE: Final = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | (
    0x8000 | 0x10000 | 0x20000
)  # fmt: skip
_CLEAN: Final = 0x1  # of s_state
_INLINE_DATA: Final = 0x1000_0000  # of i_flags
_ENCRYPTED: Final = 0x800
_IN_ATTRIBUTES: Final = "a file or directory lies in its attributes, which are not read"


@dataclass(frozen=True, slots=True)
class Located:
    """A file's content on the disk: (byte on the disk, length) in file order, whole blocks."""

    size: int  # bytes
    runs: tuple[tuple[int, int], ...]


def locate(disk: Path, offset: int, path: str) -> Located:
    """Return where a file lies in the filesystem at byte ``offset`` of a raw disk.

    ``path`` is from its root, without symlinks. Raises VerifyError for a path that is not there and
    for a file with holes.
    """
    with disk.open("rb") as file:

        def read_at(at: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, at)

        reader = Reader(read_at, offset)
        node = reader.node(ROOT)
        for name in filter(None, path.split("/")):
            found = reader.entries(node).get(name.encode()) if node.is_dir else None
            if found is None:
                raise VerifyError(f"'/{path}' is not on the disk")
            node = reader.node(found)
        return reader.located(node, path)


class Reader(reading.Reader):
    """One filesystem that begins at byte ``offset``. Raises VerifyError for one that is none."""

    def __init__(self, read_at: ReadAt, offset: int) -> None:
        self._read_at = read_at
        self._offset = offset
        raw = read_at(offset + _SUPERBLOCK_AT, 1024)
        if len(raw) < 1024 or raw[0x38:0x3A] != b"\x53\xef":
            raise VerifyError(f"no ext4 filesystem at byte '{offset}' of the disk")
        inodes, low, _, free_low, _, first, bits = struct.unpack_from("<7I", raw)
        self._per_group, _, self._inodes_per_group = struct.unpack_from("<3I", raw, 0x20)
        (revision,) = struct.unpack_from("<I", raw, 0x4C)
        self._inode_size = struct.unpack_from("<H", raw, 0x58)[0] if revision else 128
        (incompatible,) = struct.unpack_from("<I", raw, 0x60)
        if unknown := incompatible & ~_READABLE:
            raise VerifyError(f"it uses features of ext4 that diskgen does not know ({unknown:#x})")
        wide = incompatible & _64BIT
        self._descriptor_size = struct.unpack_from("<H", raw, 0xFE)[0] if wide else 32
        high, _, free_high = struct.unpack_from("<3I", raw, 0x150) if wide else (0, 0, 0)
        self._blocks = high << 32 | low
        if (
            bits > 6
            or not self._per_group
            or not self._inodes_per_group
            or not 128 <= self._inode_size <= 1024 << bits
            or self._descriptor_size not in (32, 64)
            or first not in (0, 1)
            or self._blocks <= first
        ):
            raise VerifyError(f"the ext4 superblock at byte '{offset}' is damaged")
        self._block = 1024 << bits
        self._first = first
        self._inodes = inodes
        self._first_meta = (
            struct.unpack_from("<I", raw, 0x104)[0] if incompatible & _META_BG else None
        )
        self._sparse = struct.unpack_from("<I", raw, 0x64)[0] & 1
        self._typed = bool(incompatible & _FILETYPE)
        self.facts = Facts(
            uuid=UUID(bytes=raw[0x68:0x78]),
            label=raw[0x78:0x88].partition(b"\0")[0].decode(errors="replace"),
            size=self._blocks * self._block,
            free=min(free_high << 32 | free_low, self._blocks) * self._block,
            unclean=bool(incompatible & _RECOVER)
            or not struct.unpack_from("<H", raw, 0x3A)[0] & _CLEAN,
        )

    def node(self, number: int) -> Node:
        """Return an inode."""
        if not 0 < number <= self._inodes:
            raise VerifyError(f"inode '{number}' is named, which the filesystem does not have")
        group, index = divmod(number - 1, self._inodes_per_group)
        at = self._table(group) * self._block + index * self._inode_size
        raw = self._at(at, 128)
        mode, _, size_low = struct.unpack_from("<HHI", raw)
        (flags,) = struct.unpack_from("<I", raw, 0x20)
        (size_high,) = struct.unpack_from("<I", raw, 0x6C)
        wide = stat.S_ISREG(mode)  # elsewhere the field means other things
        size = size_high << 32 | size_low if wide else size_low
        return Node(number, mode, size, flags, raw[0x28:0x64])

    @property
    def top(self) -> Node:
        return self.node(ROOT)

    def entries(self, node: Node) -> dict[bytes, int]:
        """Return the inode numbers of a directory's entries by name, without ``.`` and ``..``."""
        if node.size > _MAX_DIRECTORY:
            raise VerifyError(f"a directory has more than {_MAX_DIRECTORY // MIB} MiB")
        found: dict[bytes, int] = {}
        if node.flags & _INLINE_DATA:
            if node.size > len(node.block):
                raise VerifyError(_IN_ATTRIBUTES)
            self._take(node.block[4:], found)
        else:
            data = self.read(node, node.size)
            # Index blocks look like empty blocks of names, so that all are read alike.
            for at in range(0, len(data), self._block):
                self._take(data[at : at + self._block], found)
        return found

    def _take(self, data: bytes, found: dict[bytes, int]) -> None:
        at = 0
        while at + 8 <= len(data):
            child, length, size, kind = struct.unpack_from("<IHBB", data, at)
            if not self._typed:
                size |= kind << 8
            if length < 8 or length % 4 or at + length > len(data) or (child and size > length - 8):
                raise VerifyError("a directory on the disk is malformed")
            name = data[at + 8 : at + 8 + size]
            if child and name not in (b".", b".."):
                if not name or b"/" in name or b"\0" in name:
                    raise VerifyError("a directory on the disk has a name that is none")
                found[name] = child
            at += length

    def target(self, node: Node) -> bytes:
        """Return where a symlink leads."""
        if node.size > _MAX_TARGET:
            raise VerifyError("the target of a symlink is too long")
        if node.size < len(node.block) and not node.flags & EXTENTS_FLAG:
            return node.block[: node.size]
        return self.read(node, _MAX_TARGET)

    def read(self, node: Node, limit: int) -> bytes:
        """Return what a file holds, holes as zeros. Raises VerifyError beyond ``limit`` bytes."""
        if node.size > limit:
            raise VerifyError(f"a file has '{node.size}' bytes, more than are read of it")
        if node.flags & _ENCRYPTED:
            raise VerifyError("a file is encrypted")
        if node.flags & _INLINE_DATA:
            if node.size > len(node.block):
                raise VerifyError(_IN_ATTRIBUTES)
            return node.block[: node.size]
        out = bytearray(node.size)
        for logical, start, count, written in self._extents(node):
            at = logical * self._block
            length = min(count * self._block, node.size - at)
            if written and length > 0:
                out[at : at + length] = self._at(start * self._block, length)
        return bytes(out)

    def located(self, node: Node, path: str) -> Located:
        """Return where a file lies; ``path`` is for messages. Raises VerifyError for holes."""
        if not node.is_file:
            raise VerifyError(f"'/{path}' on the disk is no file")
        runs: list[tuple[int, int]] = []
        next_block = 0
        for logical, start, count, written in self._extents(node):
            if logical * self._block >= node.size:  # what fs-verity keeps behind the end
                break
            if logical != next_block or not written:
                raise VerifyError(f"'/{path}' on the disk has a hole")
            next_block += count
            begin, length = self._offset + start * self._block, count * self._block
            if runs and sum(runs[-1]) == begin:
                runs[-1] = (runs[-1][0], runs[-1][1] + length)
            else:
                runs.append((begin, length))
        if next_block * self._block < node.size:
            raise VerifyError(f"'/{path}' on the disk has a hole")
        return Located(node.size, tuple(runs))

    def _extents(self, node: Node) -> list[tuple[int, int, int, bool]]:
        """Return (block of the file, block of the filesystem, number, are they written)."""
        if not node.flags & EXTENTS_FLAG:
            if not node.size:
                return []
            raise VerifyError("a file on the disk has no extents")
        found: list[tuple[int, int, int, bool]] = []
        pending = [(node.block, 0)]
        seen = 0
        while pending:
            raw, depth = pending.pop()
            magic, count, _most, below = struct.unpack_from("<HHHH", raw)
            seen += 1
            if (
                magic != MAGIC
                or depth > _MAX_DEPTH
                or seen > _MAX_NODES
                or 12 + 12 * count > len(raw)
            ):
                raise VerifyError("a file on the disk has a malformed extent tree")
            for at in range(12, 12 + 12 * count, 12):
                if below:
                    low, high = struct.unpack_from("<IH", raw, at + 4)
                    pending.append((self._at((high << 32 | low) * self._block, self._block),
                                    depth + 1))  # fmt: skip
                else:
                    logical, length, high, low = struct.unpack_from("<IHHI", raw, at)
                    written = length <= LONGEST
                    blocks = length if written else length - LONGEST
                    found.append((logical, high << 32 | low, blocks, written))
        found.sort()
        self._check(found)
        return found

    def _check(self, extents: list[tuple[int, int, int, bool]]) -> None:
        end = 0
        for logical, start, count, _written in extents:
            if logical < end or start + count > self._blocks:
                raise VerifyError("a file on the disk has a malformed extent tree")
            end = logical + count

    def _table(self, group: int) -> int:
        """Return the block at which a group's inodes begin."""
        each = self._block // self._descriptor_size
        index, within = divmod(group, each)
        block = self._first + 1 + index
        if self._first_meta is not None and index >= self._first_meta:
            leader = index * each
            copy = has_copy(leader) or not self._sparse
            block = self._first + leader * self._per_group + copy
        raw = self._at(block * self._block + within * self._descriptor_size, self._descriptor_size)
        low = struct.unpack_from("<I", raw, 0x08)[0]
        high = struct.unpack_from("<I", raw, 0x28)[0] if self._descriptor_size == 64 else 0
        return int(high << 32 | low)

    def _at(self, offset: int, length: int) -> bytes:
        data = b""
        if offset + length <= self._blocks * self._block:
            data = self._read_at(self._offset + offset, length)
        if len(data) != length:
            raise VerifyError("the ext4 filesystem names blocks outside of it")
        return data
