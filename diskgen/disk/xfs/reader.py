"""What an xfs holds, wherever it lies and whoever made it: directories, links, files.

Nothing is mounted or replayed, no sum is compared. Every structure may be hostile. Source: "XFS
Filesystem Structure", 3rd edition: version 5, whose structures say what they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ...errors import VerifyError
from ...units import KIB, MIB
from .. import reading
from ..reading import Facts, Node, ReadAt
from . import journal
from .inode import BTREE, EXTENTS, FIELDS, LOCAL

_SUPERBLOCK: Final = 512  # bytes that are read of it
_MAX_NODES: Final = 20_000  # of the btree of one file
_MAX_EXTENTS: Final = 1_000_000  # of one file
_MAX_LEVEL: Final = 8
_MAX_DIRECTORY: Final = 64 * MIB
_MAX_TARGET: Final = 4096
_LARGEST: Final = 64 * KIB  # of a block, and of a directory's
# sb_features_incompat: ftype, sparse inodes, meta_uuid, bigtime, needsrepair, nrext64, exchange,
# parent, metadir: what is read here lies where it did without them, or is told by the inode.
_READABLE: Final = 0x1FF
_VERSION_BITS: Final = 0xF
_REALTIME: Final = 0x1  # of di_flags
_WIDE_COUNTS: Final = 0x10  # of di_flags2: nrext64
_FREE_TAG: Final = b"\xff\xff"
_DATA_HEADER: Final = 64  # of a directory's block
_LINK_HEADER: Final = 56  # of an extent with a piece of a symlink's target
_TREE_HEADER: Final = 72

Extent = tuple[int, int, int, bool]  # block of the file, linear block, number, are they written


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the superblock says of places; in blocks, but for sizes in bytes."""

    block: int  # bytes
    blocks: int
    group_blocks: int
    group_log: int
    groups: int
    inode: int  # bytes
    directory: int  # bytes of a directory's block

    @property
    def per_block(self) -> int:
        return self.block // self.inode

    def linear(self, number: int, count: int) -> int:
        """Return the place of blocks that a filesystem block number names."""
        group, within = number >> self.group_log, number & (1 << self.group_log) - 1
        at = group * self.group_blocks + within
        if group >= self.groups or within + count > self.group_blocks or at + count > self.blocks:
            raise VerifyError("the xfs filesystem names blocks outside of it")
        return at


class Reader(reading.Reader):
    """One filesystem that begins at byte ``offset``. Raises VerifyError for one that is none."""

    def __init__(self, read_at: ReadAt, offset: int) -> None:
        self._read_at = read_at
        self._offset = offset
        raw = read_at(offset, _SUPERBLOCK)
        if len(raw) < _SUPERBLOCK or not raw.startswith(b"XFSB"):
            raise VerifyError(f"no xfs filesystem at byte '{offset}' of the disk")
        (version,) = struct.unpack_from(">H", raw, 100)
        if version & _VERSION_BITS != 5:
            raise VerifyError("it is an xfs of before version 5, which diskgen does not read")
        (incompatible,) = struct.unpack_from(">I", raw, 216)
        if unknown := incompatible & ~_READABLE:
            raise VerifyError(f"it uses features of xfs that diskgen does not know ({unknown:#x})")
        self._shape = _shape(raw, offset)
        (free,) = struct.unpack_from(">Q", raw, 144)
        log_start, self._root = struct.unpack_from(">QQ", raw, 48)
        (log_blocks,) = struct.unpack_from(">I", raw, 96)
        size = self._shape.block
        self.facts = Facts(
            uuid=UUID(bytes=raw[32:48]),
            label=raw[108:120].partition(b"\0")[0].decode(errors="replace"),
            size=self._shape.blocks * size,
            free=min(free, self._shape.blocks) * size,
            unclean=bool(log_start) and not self._is_clean(log_start, log_blocks),
        )

    def _is_clean(self, start: int, blocks: int) -> bool:
        at = self._shape.linear(start, blocks) * self._shape.block
        return journal.is_clean(
            lambda offset, length: self._at(at + offset, length), blocks * self._shape.block
        )

    @property
    def top(self) -> Node:
        return self.node(self._root)

    def node(self, number: int) -> Node:
        shape = self._shape
        block, index = divmod(number, shape.per_block)
        at = shape.linear(block, 1) * shape.block + index * shape.inode
        raw = self._at(at, shape.inode)
        magic, mode, version = struct.unpack_from(">2sHB", raw)
        if magic != b"IN" or version != 3 or not mode:
            raise VerifyError(f"inode '{number}' is named, which the filesystem does not have")
        (size,) = struct.unpack_from(">Q", raw, 56)
        return Node(number, mode, size, raw[5], raw)

    def entries(self, node: Node) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        if node.flags == LOCAL:
            _take_local(_fork(node), found)
            return found
        if node.size > _MAX_DIRECTORY:
            raise VerifyError(f"a directory has more than {_MAX_DIRECTORY // MIB} MiB")
        for raw in self._blocks(node):
            _take_block(raw, found)
        found.pop(b".", None)
        found.pop(b"..", None)
        return found

    def target(self, node: Node) -> bytes:
        if node.size > _MAX_TARGET:
            raise VerifyError("the target of a symlink is too long")
        if node.flags == LOCAL:
            return _fork(node)[: node.size]
        found = b""
        for _, start, count, _written in self._extents(node):
            wanted = _LINK_HEADER + node.size - len(found)
            raw = self._at(start * self._shape.block, min(count * self._shape.block, wanted))
            if not raw.startswith(b"XSLM"):
                raise VerifyError("the target of a symlink is not where it is said to be")
            found += raw[_LINK_HEADER:]
            if len(found) == node.size:
                return found
        raise VerifyError("the target of a symlink is not all there")

    def read(self, node: Node, limit: int) -> bytes:
        if node.size > limit:
            raise VerifyError(f"a file has '{node.size}' bytes, more than are read of it")
        (flags,) = struct.unpack_from(">H", node.block, 90)
        if flags & _REALTIME:
            raise VerifyError("a file lies on a realtime device, which is not read")
        return self._contents(node)

    def _blocks(self, node: Node) -> Iterable[bytes]:
        """Return the blocks of a directory; its holes, of which a lie costs no byte, are none."""
        block, step = self._shape.block, self._shape.directory
        found: dict[int, bytearray] = {}
        for at, data in self._pieces(node):
            for begin in range(0, len(data), block):
                number, within = divmod(at + begin, step)
                whole = found.setdefault(number, bytearray(step))
                whole[within : within + block] = data[begin : begin + block]
        if node.size % step:
            raise VerifyError("a directory on the disk is malformed")
        return map(bytes, found.values())

    def _contents(self, node: Node) -> bytes:
        """Return what lies in blocks, as long as the inode says, holes as zeros."""
        out = bytearray(node.size)
        for at, data in self._pieces(node):
            out[at : at + len(data)] = data
        return bytes(out)

    def _pieces(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yield what was written of a file, with its place in it."""
        block = self._shape.block
        for logical, start, count, written in self._extents(node):
            at = logical * block
            length = min(count * block, node.size - at)
            if written and length > 0:
                yield at, self._at(start * block, length)

    def _extents(self, node: Node) -> list[Extent]:
        fork = _fork(node)
        if node.flags == EXTENTS:
            count = _extent_count(node)
            if count * 16 > len(fork):
                raise VerifyError("a file on the disk has more extents than room for them")
            records = [fork[: count * 16]]
        elif node.flags == BTREE:
            records = list(self._leaves(fork))
        else:
            raise VerifyError("a file on the disk is stored in a way that it cannot be")
        found: list[Extent] = []
        end = 0
        for logical, start, count, written in _unpacked(b"".join(records)):
            if logical < end or not count:
                raise VerifyError("a file on the disk has malformed extents")
            end = logical + count
            found.append((logical, self._shape.linear(start, count), count, written))
        return found

    def _leaves(self, root: bytes) -> Iterator[bytes]:
        """Yield the records of a btree's leaves, in the order of the file."""
        level, count = struct.unpack_from(">HH", root)
        room = (len(root) - 4) // 16
        if not 0 < level <= _MAX_LEVEL or count > room:
            raise VerifyError("a file on the disk has a malformed extent tree")
        pointers = struct.unpack_from(f">{count}Q", root, 4 + 8 * room)
        pending = [(pointer, level - 1) for pointer in reversed(pointers)]
        most = (self._shape.block - _TREE_HEADER) // 16
        seen = records = 0
        while pending:
            pointer, wanted = pending.pop()
            raw = self._at(self._shape.linear(pointer, 1) * self._shape.block, self._shape.block)
            magic, level, count = struct.unpack_from(">4sHH", raw)
            seen += 1
            if magic != b"BMA3" or level != wanted or count > most or seen > _MAX_NODES:
                raise VerifyError("a file on the disk has a malformed extent tree")
            if level:
                below = struct.unpack_from(f">{count}Q", raw, _TREE_HEADER + 8 * most)
                pending += [(pointer, level - 1) for pointer in reversed(below)]
                if len(pending) > _MAX_NODES:
                    raise VerifyError("the extent tree of a file is too large, or has no end")
                continue
            records += count
            if records > _MAX_EXTENTS:
                raise VerifyError("a file on the disk has too many extents")
            yield raw[_TREE_HEADER : _TREE_HEADER + 16 * count]

    def _at(self, offset: int, length: int) -> bytes:
        data = self._read_at(self._offset + offset, length)
        if len(data) != length:
            raise VerifyError("the xfs filesystem is longer than the disk that it is on")
        return data


def _shape(raw: bytes, offset: int) -> _Shape:
    """Return the places of a superblock. Raises VerifyError for what cannot be."""
    block, blocks = struct.unpack_from(">IQ", raw, 4)
    group_blocks, groups = struct.unpack_from(">II", raw, 84)
    (inode,) = struct.unpack_from(">H", raw, 104)
    group_log, directory_log = raw[124], raw[192]
    found = _Shape(
        block=block, blocks=blocks, group_blocks=group_blocks, group_log=group_log, groups=groups,
        inode=inode, directory=min(block << min(directory_log, 16), 2 * _LARGEST),
    )  # fmt: skip
    if (
        block not in (1 << bits for bits in range(10, 17))
        or inode not in (512, 1024, 2048)
        or found.directory > _LARGEST
        or not groups
        or not group_blocks
        or group_log != (group_blocks - 1).bit_length()
        or not (groups - 1) * group_blocks < blocks <= groups * group_blocks
    ):
        raise VerifyError(f"the xfs superblock at byte '{offset}' is damaged")
    return found


def _fork(node: Node) -> bytes:
    """Return the data fork of an inode; where attributes follow, they begin behind it."""
    attributes = node.block[82] * 8
    return node.block[FIELDS : FIELDS + attributes if attributes else None]


def _extent_count(node: Node) -> int:
    (flags,) = struct.unpack_from(">Q", node.block, 120)
    code, at = (">Q", 24) if flags & _WIDE_COUNTS else (">I", 76)
    return int(struct.unpack_from(code, node.block, at)[0])


def _unpacked(records: bytes) -> Iterator[Extent]:
    """Yield extents, whose blocks are as they are numbered."""
    for high, low in struct.iter_unpack(">QQ", records):
        whole = high << 64 | low
        yield (
            whole >> 73 & (1 << 54) - 1,
            whole >> 21 & (1 << 52) - 1,
            whole & (1 << 21) - 1,
            not whole >> 127,
        )


def _take_local(fork: bytes, found: dict[bytes, int]) -> None:
    """Take the entries of a directory that lies in its inode."""
    count, wide = fork[0], fork[1]
    width = 8 if wide else 4
    at = 2 + width
    for _ in range(count or wide):
        if at >= len(fork) or at + 4 + fork[at] + width > len(fork):
            raise VerifyError("a directory on the disk is malformed")
        begin, end = at + 3, at + 3 + fork[at]
        at = end + 1 + width
        _add(fork[begin:end], int.from_bytes(fork[end + 1 : at], "big"), found)


def _take_block(raw: bytes, found: dict[bytes, int]) -> None:
    """Take the entries of one block of a directory; one that was given back is a hole."""
    end = len(raw)
    if raw.startswith(b"XDB3"):
        (count,) = struct.unpack_from(">I", raw, end - 8)
        end -= 8 + 8 * count
        if end < _DATA_HEADER:
            raise VerifyError("a directory on the disk is malformed")
    elif not raw.startswith(b"XDD3"):
        if any(raw):
            raise VerifyError("a directory on the disk is malformed")
        return
    at = _DATA_HEADER
    while at < end:
        if raw[at : at + 2] == _FREE_TAG:
            (length,) = struct.unpack_from(">H", raw, at + 2)
        else:
            begin = at + 9
            if begin > end or begin + raw[at + 8] > end:
                raise VerifyError("a directory on the disk is malformed")
            number = int.from_bytes(raw[at : at + 8], "big")
            _add(raw[begin : begin + raw[at + 8]], number, found)
            length = raw[at + 8] + 19 & ~7
        if length < 8 or length % 8:
            raise VerifyError("a directory on the disk is malformed")
        at += length


def _add(name: bytes, number: int, found: dict[bytes, int]) -> None:
    if not name or b"/" in name or b"\0" in name:
        raise VerifyError("a directory on the disk has a name that is none")
    found[name] = number
