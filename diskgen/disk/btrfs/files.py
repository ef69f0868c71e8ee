"""The items of a subvolume's tree: inodes, their names, attributes, entries and contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ...tree import Data, Directory, File, Node, Packed
from ..placing.alloc import Extent
from . import attributes, items, verity
from .geometry import SECTOR
from .inventory import Inventory, Subvolume
from .names import FIRST_INDEX, Name, references
from .sums import name_hash
from .tree import Item

_INLINE: Final = 2048  # bytes of contents that lie in the tree at most, as Linux has it


def is_inline(node: File) -> bool:
    """Say whether a regular file's contents lie in the tree."""
    content = node.content
    if not 0 < node.size <= _INLINE or node.dense:
        return False
    return not isinstance(content, Packed) or [e[:2] for e in content.extents] == [(0, node.size)]


class Packs:
    """Reads small contents; what comes out of the cache is compared with its sums."""

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened
        self._files: dict[Path, int] = {}

    def read(self, content: Data | Packed) -> bytes:
        """Return a content that ``is_inline``. Raises OSError, DamagedEntry."""
        if isinstance(content, Data):
            return content.data
        fd = self._files.get(content.pack)
        if fd is None:
            file = self._opened.enter_context(content.pack.open("rb", buffering=0))
            fd = self._files[content.pack] = file.fileno()
        (_, length, at) = content.extents[0]
        if content.sums is not None:
            content.sums.check(fd, at, length)
        data = os.pread(fd, length, at)
        if len(data) != length:
            raise OSError(0, "is shorter than its index says", os.fspath(content.pack))
        return data


def of_subvolume(
    found: Inventory,
    own: Subvolume,
    placed: Mapping[int, Sequence[Extent]],
    packs: Packs,
    now: int,
) -> Iterator[Item]:
    """Yield all items of a subvolume's tree in the order of their keys.

    ``placed`` has the extents of contents by slot; ``now`` is what clocks say, in seconds.
    """
    for number, slot, node, names in own:
        extents = placed.get(slot, ())
        yield number, items.INODE, 0, _inode(node, names, extents, now)
        yield from references(number, names)
        if node.xattrs:
            for key, data in attributes.encode(node.xattrs):
                yield number, items.ATTRIBUTE, key, data
        if isinstance(node, File) and node.seal is not None:
            for kind, offset, data in verity.encode(node.seal):
                yield number, kind, offset, data
        if isinstance(node, Directory):
            yield from _entries(found, number, node)
        elif node.is_symlink:
            yield number, items.EXTENT_OF_FILE, 0, items.inline(node.target)
        elif node.is_regular and is_inline(node):
            assert node.content is not None
            yield number, items.EXTENT_OF_FILE, 0, items.inline(packs.read(node.content))
        for logical, blocks, disk in extents:
            data = items.extent(disk * SECTOR, blocks * SECTOR)
            yield number, items.EXTENT_OF_FILE, logical * SECTOR, data


def _inode(node: Node, names: list[Name], extents: Sequence[Extent], now: int) -> bytes:
    if isinstance(node, Directory):
        return items.inode(
            mode=stat.S_IFDIR | stat.S_IMODE(node.mode),
            now=now,
            mtime_ns=node.mtime_ns,
            size=2 * sum(map(len, node.entries)),
            uid=node.uid,
            gid=node.gid,
            flags=items.IMMUTABLE if node.immutable else 0,
        )
    held = sum(blocks for _, blocks, _ in extents) * SECTOR
    if node.is_symlink or (node.is_regular and is_inline(node)):
        held = node.size
    return items.inode(
        mode=node.mode & 0xFFFF,
        now=now,
        mtime_ns=node.mtime_ns,
        size=node.size if node.is_regular or node.is_symlink else 0,
        held=held,
        links=len(names),
        uid=node.uid,
        gid=node.gid,
        flags=0 if node.seal is None else items.SEALED,
        rdev=node.rdev if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode) else (0, 0),
    )


def _entries(found: Inventory, number: int, directory: Directory) -> Iterator[Item]:
    """Yield a directory's entries twice: by the hash of the name, and in the order of names."""
    by_hash: dict[int, bytes] = {}
    by_index: list[bytes] = []
    for name, node in sorted(directory.entries.items()):
        if isinstance(node, Directory):
            tree = found.trees.get(node)
            key = items.inode_key(found.numbers[node]) if tree is None else items.root_key(tree)
            data = items.entry(key, items.DIRECTORY_TYPE, name)
        else:
            kind = items.FILE_TYPES[stat.S_IFMT(node.mode)]
            data = items.entry(items.inode_key(found.numbers[node]), kind, name)
        by_index.append(data)
        hashed = name_hash(name)
        by_hash[hashed] = by_hash.get(hashed, b"") + data
    for hashed in sorted(by_hash):
        yield number, items.BY_HASH, hashed, by_hash[hashed]
    for index, data in enumerate(by_index, FIRST_INDEX):
        yield number, items.BY_INDEX, index, data
