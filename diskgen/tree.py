"""A file tree in memory: what a layer, a commit and a whole filesystem are to us.

Names, targets and xattrs are bytes, as the kernel has them. Two directory entries that hold the
*same* ``File`` object are hard links of one inode; nothing else expresses a hard link.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .fsverity import Seal
from .packsums import PackSums

_PIECE: Final = 1024 * 1024
BLOCK: Final = 4096  # contents in a pack start at multiples of this
Xattrs = tuple[tuple[bytes, bytes], ...]  # (name, value), sorted by name, no trailing NUL in names


@dataclass(slots=True, frozen=True)
class Data:
    """Content that we hold in memory: configuration files, metadata objects, boot code."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(slots=True, frozen=True)
class Packed:
    """Content inside a pack file of the cache.

    ``extents`` are (offset in file, length, offset in pack) triples in file order; both offsets are
    multiples of 4096, lengths are too except that of the last extent. What no extent covers is a
    hole and reads as zeros. A file without holes has exactly one extent. Whoever reads the pack
    asks ``sums`` first, where there are any.
    """

    pack: Path
    size: int
    extents: tuple[tuple[int, int, int], ...]
    sums: PackSums | None = field(default=None, compare=False, repr=False)


Content = Data | Packed


@dataclass(slots=True, eq=False)
class File:
    """Any inode that is no directory: regular, symlink, device node, fifo or socket.

    ``mode`` is the full st_mode. ``content`` is None for everything but regular files;
    ``target`` is for symlinks; ``rdev`` is (major, minor). ``checksum`` is the ostree content
    checksum (32 bytes) where the inode is an ostree object, else None.
    ``dense`` forbids holes: the file is read by block lists (kernel, initramfs, boot map).
    ``seal`` has the filesystem guard the content by fs-verity: nobody changes it any more.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    xattrs: Xattrs = ()
    mtime_ns: int = 0
    content: Content | None = None
    target: bytes = b""
    rdev: tuple[int, int] = (0, 0)
    checksum: bytes | None = None
    dense: bool = False
    seal: Seal | None = None

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def size(self) -> int:
        """Bytes as st_size has them: of the content, or of the symlink's target."""
        return self.content.size if self.content is not None else len(self.target)


@dataclass(slots=True, eq=False)
class Directory:
    """A directory; ``immutable`` is the inode flag that chattr +i sets."""

    mode: int = stat.S_IFDIR | 0o755
    uid: int = 0
    gid: int = 0
    xattrs: Xattrs = ()
    mtime_ns: int = 0
    entries: dict[bytes, Node] = field(default_factory=dict)
    immutable: bool = False

    def get(self, path: str | bytes) -> Node | None:
        """Return the node at a slash-separated path below here (symlinks not followed), or None."""
        node: Node = self
        for name in _components(path):
            if not isinstance(node, Directory) or name not in node.entries:
                return None
            node = node.entries[name]
        return node

    def get_dir(self, path: str | bytes) -> Directory | None:
        """Return the directory at path, or None."""
        node = self.get(path)
        return node if isinstance(node, Directory) else None

    def get_file(self, path: str | bytes) -> File | None:
        """Return the regular file at path, or None."""
        node = self.get(path)
        return node if isinstance(node, File) and node.is_regular else None

    def make_dirs(self, path: str | bytes, *, mode: int = 0o755) -> Directory:
        """Return the directory at path, creating it and its parents (root:root) where missing."""
        node = self
        for name in _components(path):
            child = node.entries.get(name)
            if child is None:
                child = node.entries[name] = Directory(mode=stat.S_IFDIR | mode)
            if not isinstance(child, Directory):
                raise NotADirectoryError(path)
            node = child
        return node

    def add(self, path: str | bytes, node: Node) -> None:
        """Put node at path, creating parents; an existing entry is replaced."""
        *parents, name = _components(path)
        self.make_dirs(b"/".join(parents)).entries[name] = node

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, Node]]:
        """Yield (path, node) of everything below, parents first, names in byte order."""
        for name in sorted(self.entries):
            node = self.entries[name]
            path = prefix + b"/" + name if prefix else name
            yield path, node
            if isinstance(node, Directory):
                yield from node.walk(path)


Node = File | Directory


def regular(data: bytes, *, mode: int = 0o644, xattrs: Xattrs = ()) -> File:
    """Return a root-owned regular file that holds data."""
    return File(mode=stat.S_IFREG | mode, content=Data(data), xattrs=xattrs)


def symlink(target: str | bytes) -> File:
    """Return a root-owned symlink."""
    raw = target.encode() if isinstance(target, str) else target
    return File(mode=stat.S_IFLNK | 0o777, target=raw)


def read(content: Content) -> bytes:
    """Return a content's bytes, holes as zeros. Meant for small files.

    Raises OSError, and DamagedEntry for a pack that is not as it was written.
    """
    if isinstance(content, Data):
        return content.data
    out = bytearray(content.size)
    with content.pack.open("rb") as pack:
        for at, length, offset in content.extents:
            _check(content, pack.fileno(), offset, length)
            pack.seek(offset)
            chunk = pack.read(length)
            if len(chunk) != length:
                raise _short(content)
            out[at : at + length] = chunk
    return bytes(out)


def pieces(content: Content, *, holes: bool = True) -> Iterator[bytes]:
    """Yield a content's bytes, at most 1 MiB at a time; holes as zeros, or not at all.

    Raises OSError, also for a pack that is shorter than its index says, and DamagedEntry for one
    that is not as it was written.
    """
    if isinstance(content, Data):
        yield content.data
        return
    reached = 0
    with content.pack.open("rb") as pack:
        for at, length, offset in content.extents:
            if holes:
                yield from _zeros(at - reached)
            pack.seek(offset)
            left = length
            while left:
                size = min(left, _PIECE)
                _check(content, pack.fileno(), offset + length - left, size)
                piece = pack.read(size)
                if not piece:
                    raise _short(content)
                yield piece
                left -= len(piece)
            reached = at + length
    if holes:
        yield from _zeros(content.size - reached)


def _check(content: Packed, fd: int, offset: int, length: int) -> None:
    if content.sums is not None:
        content.sums.check(fd, offset, length)


def _short(content: Packed) -> OSError:
    return OSError(errno.EIO, "it is shorter than it was", str(content.pack))


def _zeros(count: int) -> Iterator[bytes]:
    for at in range(0, count, _PIECE):
        yield bytes(min(_PIECE, count - at))


def _components(path: str | bytes) -> list[bytes]:
    raw = path.encode() if isinstance(path, str) else path
    return [part for part in raw.split(b"/") if part]
