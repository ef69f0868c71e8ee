"""What a btrfs holds, wherever it lies and whoever made it: subvolumes, directories, files.

Source: btrfs documentation, "On-disk Format". Every structure may be hostile; no sum is compared.
"""

from __future__ import annotations

import math
import struct
import zlib
from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import zstandard

from ...errors import VerifyError
from ...units import KIB, MIB
from .. import reading
from ..reading import Facts, Node, ReadAt
from . import items
from .geometry import SUPERBLOCKS
from .sums import name_hash
from .tree import Item

_HEADER: Final = 101
_MAX_LEVEL: Final = 7
_MAX_NODES: Final = 50_000  # that are read of one filesystem
_MAX_ITEMS: Final = 1_000_000  # of one directory or file
_MAX_CHUNKS: Final = 65_536  # each usually a GiB
_MAX_SUBVOLUMES: Final = 64
_MAX_TARGET: Final = 4096
_MAX_COMPRESSED: Final = 128 * KIB  # of an extent, as it is on the disk and as it was
_WINDOW: Final = MIB
_ONE_PLACE: Final = 0x7 | 0x10 | 0x20  # chunks of which one copy lies in one piece: RAID1, DUP
_KEY: Final = struct.Struct("<QBQ")
_ENTRY: Final = struct.Struct("<QBQII")
_POINTER: Final = struct.Struct("<QBQQQ")
_DIRECTORY_ENTRY: Final = struct.Struct("<QBQQHHB")
_EXTENT: Final = struct.Struct("<QQBBHB")
_PLACE: Final = struct.Struct("<QQQQ")
_CHUNK: Final = 48  # bytes of a chunk's item before its stripes
_STRIPE: Final = 32
_SMALLEST, _LARGEST = 4 * KIB, 64 * KIB  # of a node
_DEFAULT: Final = b"default"
_END: Final = 1 << 62  # of any file
_TREE_BITS: Final = 64  # a node's number is that of its tree above that of its inode

Key = tuple[int, int, int]


class Reader(reading.Reader):
    """One filesystem that begins at byte ``offset``; its root is the default subvolume's.

    Raises VerifyError for one that is none, and for one of several devices.
    """

    def __init__(self, read_at: ReadAt, offset: int) -> None:
        self._read_at = read_at
        self._offset = offset
        self._left = _MAX_NODES
        raw = read_at(offset + SUPERBLOCKS[0], 4096)
        if len(raw) < 4096 or raw[0x40:0x48] != b"_BHRfS_M":
            raise VerifyError(f"no btrfs filesystem at byte '{offset}' of the disk")
        root, chunk_root, log_root = struct.unpack_from("<QQQ", raw, 0x50)
        total, used = struct.unpack_from("<QQ", raw, 0x70)
        devices, _, self._node = struct.unpack_from("<QII", raw, 0x88)
        (size,) = struct.unpack_from("<I", raw, 0xA0)
        if devices != 1:
            raise VerifyError(f"it is one of '{devices}' devices of a btrfs, which are not read")
        if self._node not in (1 << bits for bits in range(12, 17)) or size > 2048:
            raise VerifyError(f"the btrfs superblock at byte '{offset}' is damaged")
        self._chunks: list[tuple[int, int, int]] = []  # logical, length, place; in order
        self._add_chunks(raw[0x32B : 0x32B + size])
        self.facts = Facts(
            uuid=UUID(bytes=raw[0x20:0x30]),
            label=raw[0x12B:0x22B].partition(b"\0")[0].decode(errors="replace"),
            size=total,
            free=max(total - used, 0),
            unclean=log_root != 0,
        )
        for _, kind, at, data in self._items(chunk_root, (0, items.CHUNK, 0), raw[0xC7]):
            if kind == items.CHUNK:
                self._add_chunk(at, data)
        self._roots = root, raw[0xC6]
        self._trees: dict[int, tuple[int, int]] = {}
        self._tree = self._default()

    @property
    def top(self) -> Node:
        return self.node(self._tree << _TREE_BITS | items.FIRST_INODE)

    def enter(self, path: str) -> None:
        """Take as root the subvolume that has a path; that which is usually mounted comes first."""
        for tree in list(self._subvolumes()):
            if self.find(path, self.node(tree << _TREE_BITS | items.FIRST_INODE)) is not None:
                self._tree = tree
                return

    def _subvolumes(self) -> Iterator[int]:
        yield self._tree
        first = (items.TOP, items.ROOT, 0)
        start, level = self._roots
        for number, (tree, kind, _, _) in enumerate(self._items(start, first, level)):
            if number > 4 * _MAX_SUBVOLUMES:
                return
            if kind == items.ROOT and tree != self._tree and (
                tree == items.TOP or items.FIRST_SUBVOLUME <= tree < 1 << 48
            ):  # fmt: skip
                yield tree

    def node(self, number: int) -> Node:
        data = next((d for *_, d in self._of(number, items.INODE)), b"")
        if len(data) < items.INODE_SIZE:
            raise VerifyError("an inode is named which the filesystem does not have")
        (size,) = struct.unpack_from("<Q", data, 16)
        (mode,) = struct.unpack_from("<I", data, 52)
        return Node(number, mode, size)

    def entries(self, node: Node) -> dict[bytes, int]:
        tree = node.number >> _TREE_BITS
        found: dict[bytes, int] = {}
        for *_, data in self._of(node.number, items.BY_INDEX):
            if len(data) < items.ENTRY_SIZE:
                raise VerifyError("a directory on the disk is malformed")
            target, kind, _, _, _, length, _ = _DIRECTORY_ENTRY.unpack_from(data)
            name = data[items.ENTRY_SIZE : items.ENTRY_SIZE + length]
            if not name or len(name) != length or b"/" in name or b"\0" in name:
                raise VerifyError("a directory on the disk has a name that is none")
            below = kind == items.ROOT
            where, inode = (target, items.FIRST_INODE) if below else (tree, target)
            found[name] = where << _TREE_BITS | inode
        return found

    def target(self, node: Node) -> bytes:
        return self.read(node, _MAX_TARGET)

    def read(self, node: Node, limit: int) -> bytes:
        if node.size > limit:
            raise VerifyError(f"a file has '{node.size}' bytes, more than are read of it")
        out = bytearray(node.size)
        for _, _, at, data in self._of(node.number, items.EXTENT_OF_FILE):
            if len(data) < _EXTENT.size:
                raise VerifyError("an extent of a file is malformed")
            room = max(node.size - at, 0)
            if piece := self._extent(data, room)[:room]:
                out[at : at + len(piece)] = piece
        return bytes(out)

    def _extent(self, data: bytes, room: int) -> bytes:
        """Return what an extent of a file holds, if it is plain up to ``room`` bytes of it."""
        _, whole, compression, encryption, encoding, kind = _EXTENT.unpack_from(data)
        if encryption or encoding:
            raise VerifyError("a file is encrypted")
        if kind == 0:
            return _plain(data[_EXTENT.size :], compression, whole)
        if len(data) < items.EXTENT_SIZE:
            raise VerifyError("an extent of a file is malformed")
        start, held, begin, length = _PLACE.unpack_from(data, _EXTENT.size)
        if kind == 2 or not start:  # reserved, or a hole
            return b""
        if not compression:
            return self._logical(start + begin, min(length, room))
        if max(whole, held) > _MAX_COMPRESSED:
            raise VerifyError("a compressed extent is too long")
        return _plain(self._logical(start, held), compression, whole)[begin : begin + length]

    def _of(self, number: int, kind: int) -> Iterator[Item]:
        """Yield the items of one type that an inode has."""
        tree, inode = number >> _TREE_BITS, number & (1 << _TREE_BITS) - 1
        start, level = self._root(tree)
        for count, item in enumerate(self._items(start, (inode, kind, 0), level)):
            if item[:2] != (inode, kind):
                return
            if count > _MAX_ITEMS:
                raise VerifyError("a file or directory has too many items")
            yield item

    def _root(self, tree: int) -> tuple[int, int]:
        """Return where a tree begins, and its level."""
        if tree not in self._trees:
            item = next(self._items(self._roots[0], (tree, items.ROOT, 0), self._roots[1]), None)
            if item is None or item[:2] != (tree, items.ROOT) or len(item[3]) < 239:
                raise VerifyError(f"the filesystem has no subvolume '{tree}'")
            (start,) = struct.unpack_from("<Q", item[3], 176)
            self._trees[tree] = start, item[3][238]
        return self._trees[tree]

    def _default(self) -> int:
        """Return the tree that is mounted where none is named."""
        first = (items.DIRECTORY_OF_ROOTS, items.BY_HASH, name_hash(_DEFAULT))
        item = next(self._items(self._roots[0], first, self._roots[1]), None)
        if item is None or item[:3] != first or len(item[3]) < _KEY.size:
            return items.TOP
        return int(_KEY.unpack_from(item[3])[0])

    def _items(self, start: int, first: Key, level: int) -> Iterator[Item]:
        """Yield the items of a tree from a key on."""
        raw = self._read_node(start, level)
        (count,) = struct.unpack_from("<I", raw, 96)
        size = (_POINTER if level else _ENTRY).size
        if _HEADER + count * size > len(raw):
            raise VerifyError("a node of a tree is malformed")
        if level:
            pointers = [_POINTER.unpack_from(raw, _HEADER + n * size) for n in range(count)]
            begin = max(0, sum(pointer[:3] <= first for pointer in pointers) - 1)
            for pointer in pointers[begin:]:
                yield from self._items(pointer[3], first, level - 1)
            return
        for number in range(count):
            *key, at, length = _ENTRY.unpack_from(raw, _HEADER + number * size)
            if tuple(key) < first:
                continue
            if _HEADER + at + length > len(raw):
                raise VerifyError("an item of a tree is malformed")
            yield key[0], key[1], key[2], raw[_HEADER + at : _HEADER + at + length]

    def _read_node(self, start: int, level: int) -> bytes:
        self._left -= 1
        if self._left < 0 or level > _MAX_LEVEL:
            raise VerifyError("a tree is too large, or has no end")
        raw = self._logical(start, self._node)
        if raw[100] != level or struct.unpack_from("<Q", raw, 48)[0] != start:
            raise VerifyError("a node of a tree is not where it is said to be")
        return raw

    def _add_chunks(self, array: bytes) -> None:
        """Take the chunks of a superblock."""
        at = 0
        while at + _KEY.size + _CHUNK + _STRIPE <= len(array):
            _, _, logical = _KEY.unpack_from(array, at)
            at += _KEY.size
            (stripes,) = struct.unpack_from("<H", array, at + 44)
            self._add_chunk(logical, array[at : at + _CHUNK + _STRIPE])
            at += _CHUNK + max(stripes, 1) * _STRIPE

    def _add_chunk(self, logical: int, data: bytes) -> None:
        if len(data) < _CHUNK + _STRIPE:
            raise VerifyError("a chunk is malformed")
        length, _, _, kind = struct.unpack_from("<QQQQ", data)
        if kind & ~_ONE_PLACE:
            raise VerifyError("its contents lie on several devices in turn, which is not read")
        (place,) = struct.unpack_from("<Q", data, _CHUNK + 8)
        if len(self._chunks) >= _MAX_CHUNKS:
            raise VerifyError("it has too many chunks")
        insort(self._chunks, (logical, length, place))

    def _logical(self, start: int, length: int) -> bytes:
        """Return bytes at a logical address, which lie in one chunk."""
        found = bisect_right(self._chunks, (start, math.inf, math.inf)) - 1
        if found >= 0:
            logical, size, place = self._chunks[found]
            end = self._offset + place + start - logical + length
            if start + length <= logical + size and end <= _END:
                data = self._read_at(end - length, length)
                if len(data) == length:
                    return data
        raise VerifyError("the btrfs filesystem names places outside of it")


def _plain(data: bytes, compression: int, size: int) -> bytes:
    """Return contents that may be compressed, of ``size`` bytes."""
    if not compression:
        return data
    if size > _MAX_COMPRESSED:
        raise VerifyError("a compressed extent is too long")
    try:
        if compression == 1:
            return zlib.decompressobj().decompress(data, size)
        if compression == 3:
            plain = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
            return plain.stream_reader(data).read(size)
    except (zlib.error, zstandard.ZstdError):
        raise VerifyError("a compressed extent is damaged") from None
    raise VerifyError("a file is compressed in a way that is not read")
