"""Where on the disk a file of our ext4 is: what boot loaders that know no filesystem need.

Format: Linux Documentation/filesystems/ext4/, "Extent Tree" and "Directory Entries".
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import VerifyError
from . import superblock
from .extents import LONGEST, MAGIC
from .groups import Groups
from .inode import EXTENTS_FLAG
from .inventory import ROOT
from .superblock import BLOCK, INODE_SIZE

_MAX_DEPTH: Final = 5


@dataclass(frozen=True, slots=True)
class Located:
    """A file's content on the disk: (byte on the disk, length) in file order, whole blocks."""

    size: int  # bytes
    runs: tuple[tuple[int, int], ...]


def locate(disk: Path, offset: int, path: str) -> Located:
    """Return where a file lies in the filesystem at byte ``offset``.

    ``path`` is from its root, without symlinks. Raises VerifyError for a path that is not there, a
    file with holes, and a filesystem that is not ours.
    """
    with disk.open("rb") as file:
        reader = _Reader(file.fileno(), offset)
        number = ROOT
        for name in filter(None, path.split("/")):
            found = reader.entries(number).get(name.encode())
            if found is None:
                raise VerifyError(f"'/{path}' is not on the disk")
            number = found
        return reader.located(number, path)


class _Reader:
    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._offset = offset
        self._super = superblock.read(fd, offset)
        self._groups = Groups(fd, offset, self._super)

    def entries(self, number: int) -> dict[bytes, int]:
        """Return the inode numbers of a directory by name."""
        inode = self._inode(number)
        if not stat.S_ISDIR(struct.unpack_from("<H", inode)[0]):
            return {}
        found = {}
        for _logical, start, count in self._extents(inode):
            data = self._read(start, count)
            # Index blocks look like empty blocks of names, so that all are read alike.
            at = 0
            while at + 8 <= len(data):
                child, length, size = struct.unpack_from("<IHB", data, at)
                if length < 8:
                    raise VerifyError("a directory on the disk is malformed")
                if child:
                    found[data[at + 8 : at + 8 + size]] = child
                at += length
        return found

    def located(self, number: int, path: str) -> Located:
        inode = self._inode(number)
        (mode,) = struct.unpack_from("<H", inode)
        if not stat.S_ISREG(mode):
            raise VerifyError(f"'/{path}' on the disk is no file")
        size = (
            struct.unpack_from("<I", inode, 4)[0] | struct.unpack_from("<I", inode, 0x6C)[0] << 32
        )
        runs: list[tuple[int, int]] = []
        next_block = 0
        for logical, start, count in self._extents(inode):
            if logical != next_block:
                raise VerifyError(f"'/{path}' on the disk has a hole")
            next_block += count
            begin = self._offset + start * BLOCK
            if runs and sum(runs[-1]) == begin:
                runs[-1] = (runs[-1][0], runs[-1][1] + count * BLOCK)
            else:
                runs.append((begin, count * BLOCK))
        if next_block * BLOCK < size:
            raise VerifyError(f"'/{path}' on the disk has a hole")
        return Located(size, tuple(runs))

    def _inode(self, number: int) -> bytes:
        group, index = divmod(number - 1, self._super.inodes_per_group)
        table = self._groups.pointer(group, "inode_table") * BLOCK
        return os.pread(self._fd, INODE_SIZE, self._offset + table + index * INODE_SIZE)

    def _extents(self, inode: bytes) -> list[tuple[int, int, int]]:
        """Return (block of the file, block of the filesystem, number of blocks)."""
        if not struct.unpack_from("<I", inode, 0x20)[0] & EXTENTS_FLAG:
            raise VerifyError("a file on the disk has no extents")
        found: list[tuple[int, int, int]] = []
        pending = [(inode[0x28:0x64], 0)]
        while pending:
            node, depth = pending.pop()
            magic, count, _most, below = struct.unpack_from("<HHHH", node)
            if magic != MAGIC or depth > _MAX_DEPTH:
                raise VerifyError("a file on the disk has a malformed extent tree")
            for at in range(12, 12 + 12 * count, 12):
                if below:
                    low, high = struct.unpack_from("<IH", node, at + 4)
                    pending.append((self._read(high << 32 | low, 1), depth + 1))
                else:
                    logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                    if length > LONGEST:
                        raise VerifyError("a file on the disk was never written")
                    found.append((logical, high << 32 | low, length))
        return sorted(found)

    def _read(self, block: int, count: int) -> bytes:
        return os.pread(self._fd, count * BLOCK, self._offset + block * BLOCK)
