"""The composefs image of a commit: an EROFS of metadata whose file contents are repository objects.

At boot ostree-prepare-root mounts it with overlayfs above ``ostree/repo/objects``. libostree has it
written by libcomposefs, and what this module makes of the same tree is byte for byte the same.
Formats: Linux ``fs/erofs/erofs_fs.h``; composefs 1.0, image version 0 (``lcfs-writer-erofs.c``).
"""

from __future__ import annotations

import stat
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..tree import Directory, File, Xattrs
from ..units import align_up
from .erofs_xattrs import Pair, attribute, filter_bit, prefix

NAME: Final = ".ostree.cfs"  # in the deployment's root
_BLOCK: Final = 4096
_START: Final = 1024 + 128  # the superblock's end
_SLOT: Final = 32  # inode numbers count these
_MAX_SHARED: Final = 128  # extended attributes per inode
_MOUNTED: Final = (b"usr", b"etc", b"boot", b"var", b"sysroot")  # what prepare-root mounts upon
_OVERLAY: Final = b"trusted.overlay."
_ACLS: Final = (2, 3)
_TYPES: Final = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip
_PLAIN, _INLINE, _CHUNKED = 0, 2, 4  # how an inode says where its data is


@dataclass(slots=True, eq=False)
class _Inode:
    mode: int
    uid: int
    gid: int
    xattrs: list[Pair]
    nlink: int = 1
    size: int = 0
    target: bytes = b""
    children: list[tuple[bytes, _Inode]] = field(default_factory=list)
    number: int = 0
    shared: list[Pair] = field(default_factory=list)
    own: list[Pair] = field(default_factory=list)
    xattr_size: int = 0
    blocks: list[list[tuple[bytes, _Inode]]] = field(default_factory=list)  # of a directory
    last: list[tuple[bytes, _Inode]] = field(default_factory=list)  # its tail
    tail: int = 0  # bytes
    block_count: int = 0
    position: int = 0

    @property
    def extended(self) -> bool:
        return max(self.nlink, self.uid, self.gid) > 0xFFFF or self.size > 0xFFFFFFFF

    @property
    def head(self) -> int:
        return (64 if self.extended else 32) + self.xattr_size


def image(root: Directory, digest: Callable[[File], bytes] | None = None) -> bytes:
    """Return the composefs image of a commit's tree, whose files all carry their checksum.

    ``digest`` gives the fs-verity digest (32 bytes) of a file's object, for systems that check it.
    """
    top = _directory(root, digest)
    for name in _MOUNTED:
        if name not in dict(top.children):
            top.children.append((name, _Inode(stat.S_IFDIR | 0o755, 0, 0, [])))
    _hide_objects(top)
    inodes = _number(top)
    table = _share(inodes)
    end = _place(inodes)
    return _write(inodes, table, end)


def _directory(tree: Directory, digest: Callable[[File], bytes] | None) -> _Inode:
    inode = _Inode(tree.mode, tree.uid, tree.gid, _escaped(tree.xattrs))
    for name, node in tree.entries.items():
        child = _directory(node, digest) if isinstance(node, Directory) else _file(node, digest)
        inode.children.append((name, child))
    return inode


def _file(file: File, digest: Callable[[File], bytes] | None) -> _Inode:
    inode = _Inode(file.mode, file.uid, file.gid, _escaped(file.xattrs), target=file.target)
    if file.is_regular and file.size:
        inode.size = file.size
        assert file.checksum is not None
        name = file.checksum.hex()
        value = b"\0\x24\0\x01" + digest(file) if digest is not None else b""
        inode.xattrs.append((_OVERLAY + b"metacopy", value))
        inode.xattrs.append((_OVERLAY + b"redirect", f"/{name[:2]}/{name[2:]}.file".encode()))
    return inode


def _escaped(xattrs: Xattrs) -> list[Pair]:
    """Return attributes such that overlayfs gives them back instead of obeying them."""
    return [
        (_OVERLAY + b"overlay." + name[len(_OVERLAY) :], value)
        if name.startswith(_OVERLAY)
        else (name, value)
        for name, value in xattrs
    ]


def _hide_objects(top: _Inode) -> None:
    """Cover the directories of the object store, which would show through at the root."""
    top.xattrs.append((_OVERLAY + b"opaque", b"y"))
    label = [pair for pair in top.xattrs if pair[0] == b"security.selinux"]
    names = {name for name, _inode in top.children}
    for number in range(256):
        name = b"%02x" % number
        if name not in names:
            whiteout = _Inode(stat.S_IFCHR | 0o644, top.uid, top.gid, list(label))
            top.children.append((name, whiteout))


def _number(top: _Inode) -> list[_Inode]:
    """Number the inodes, directory by directory, and lay out the directories' entries."""
    inodes: list[_Inode] = []
    queue = deque([(top, top)])
    seen = [top]
    while queue:
        inode, parent = queue.popleft()
        inode.children.sort(key=lambda child: child[0])
        for _name, child in inode.children:
            seen.append(child)
            if stat.S_ISDIR(child.mode):
                queue.append((child, inode))
        inode.nlink = 2 + sum(stat.S_ISDIR(child.mode) for _name, child in inode.children)
        entries = [(b".", inode), (b"..", parent), *inode.children]
        entries.sort(key=lambda entry: entry[0])
        _split(inode, entries)
    for number, inode in enumerate(seen):
        inode.number = number
        inodes.append(inode)
        if stat.S_ISLNK(inode.mode):
            inode.size = inode.tail = len(inode.target)
        elif stat.S_ISREG(inode.mode) and inode.size:
            inode.tail = 4
    return inodes


def _split(inode: _Inode, entries: list[tuple[bytes, _Inode]]) -> None:
    """Cut a directory's entries into blocks and a tail."""
    block: list[tuple[bytes, _Inode]] = []
    used = 0
    for entry in entries:
        need = 12 + len(entry[0])
        if used + need > _BLOCK:
            inode.blocks.append(block)
            block, used = [], 0
        block.append(entry)
        used += need
    if used > _BLOCK // 2:
        inode.blocks.append(block)
        block, used = [], 0
    inode.last, inode.tail = block, used
    inode.block_count = len(inode.blocks)
    inode.size = inode.block_count * _BLOCK + used


def _share(inodes: list[_Inode]) -> dict[Pair, int]:
    """Return the table of attributes that several inodes have: offsets in bytes."""
    count: dict[Pair, int] = {}
    for inode in inodes:
        inode.xattrs.sort(key=lambda pair: pair[0])
        for pair in inode.xattrs:
            count[pair] = count.get(pair, 0) + 1
    table: dict[Pair, int] = {}
    at = 0
    several = (pair for pair, users in count.items() if users > 1)
    for pair in sorted(several, key=lambda p: (p[0], len(p[1]), p[1]), reverse=True):
        table[pair] = at
        at += len(attribute(pair))
    for inode in inodes:
        for pair in inode.xattrs:
            few = len(inode.shared) < _MAX_SHARED
            (inode.shared if pair in table and few else inode.own).append(pair)
        if inode.xattrs:
            own = sum(len(attribute(pair)) for pair in inode.own)
            inode.xattr_size = 12 + 4 * len(inode.shared) + own
    return table


def _place(inodes: list[_Inode]) -> int:
    """Give every inode its position in the file; return where the last one ends."""
    at = _START
    for inode in inodes:
        at = align_up(at, _SLOT)
        total = inode.head + inode.tail
        if stat.S_ISLNK(inode.mode):
            if total >= _BLOCK:
                inode.tail, inode.block_count = 0, 1
            if at // _BLOCK != (at + total - 1) // _BLOCK:
                at = align_up(at, _BLOCK)
        elif inode.tail:
            rest = _BLOCK - (at + inode.head) % _BLOCK
            if rest < inode.tail:
                moved = at + align_up(rest, _SLOT)
                if _BLOCK - (moved + inode.head) % _BLOCK >= inode.tail:
                    at = moved
                else:
                    if inode.last:
                        inode.blocks.append(inode.last)
                        inode.last = []
                    inode.tail = 0
                    inode.block_count += 1
                    at = align_up(at, _BLOCK)
        inode.position = at
        at += inode.head + inode.tail
    return align_up(at, _SLOT)


def _write(inodes: list[_Inode], table: dict[Pair, int], end: int) -> bytes:
    shared = b"".join(attribute(pair) for pair in table)
    first = align_up(end + len(shared), _BLOCK) // _BLOCK
    blocks = first + sum(inode.block_count for inode in inodes)
    out = bytearray(blocks * _BLOCK)
    acl = any(prefix(name)[0] in _ACLS for inode in inodes for name, _value in inode.xattrs)
    struct.pack_into("<IIII", out, 0, 0xD078629A, 1, int(acl), 0)
    struct.pack_into(
        "<IIIBBHQQIIII", out, 1024,
        0xE0F5E1E2, 0, 6, 12, 0, inodes[0].position // _SLOT, len(inodes), 0, 0, blocks, 0,
        end // _BLOCK,
    )  # fmt: skip
    out[end : end + len(shared)] = shared
    base = end % _BLOCK
    block = first
    for inode in inodes:
        at = inode.position
        head = _head(inode, block if inode.block_count else 0) + _xattr_area(inode, table, base)
        out[at : at + len(head)] = head
        at += len(head)
        if stat.S_ISDIR(inode.mode):
            for number, entries in enumerate(inode.blocks):
                data = _entries(entries)
                place = (block + number) * _BLOCK
                out[place : place + len(data)] = data
            out[at : at + inode.tail] = _entries(inode.last)
        elif inode.target:
            place = at if inode.tail else block * _BLOCK
            out[place : place + len(inode.target)] = inode.target
        elif inode.tail:
            out[at : at + 4] = b"\xff\xff\xff\xff"  # a chunk without an address: a hole
        block += inode.block_count
    return bytes(out)


def _head(inode: _Inode, block: int) -> bytes:
    regular = stat.S_ISREG(inode.mode) and inode.size
    layout = _CHUNKED if regular else _INLINE if inode.tail else _PLAIN
    if regular:  # one chunk for all: the kernel never reads it
        block = max(12, (inode.size - 1).bit_length()) - 12
    count = (inode.xattr_size - 12) // 4 + 1 if inode.xattr_size else 0
    if inode.extended:
        return struct.pack(
            "<HHHHQIIIIQII16x",
            layout << 1 | 1, count, inode.mode, 0, inode.size, block, inode.number,
            inode.uid, inode.gid, 0, 0, inode.nlink,
        )  # fmt: skip
    return struct.pack(
        "<HHHHIIIIHHI",
        layout << 1, count, inode.mode, inode.nlink, inode.size, 0, block, inode.number,
        inode.uid, inode.gid, 0,
    )  # fmt: skip


def _xattr_area(inode: _Inode, table: dict[Pair, int], base: int) -> bytes:
    if not inode.xattrs:
        return b""
    seen = 0
    for name, _value in inode.xattrs:
        seen |= filter_bit(name)
    area = [struct.pack("<IB7x", ~seen & 0xFFFFFFFF, len(inode.shared))]
    area += [struct.pack("<I", (base + table[pair]) // 4) for pair in inode.shared]
    area += [attribute(pair) for pair in inode.own]
    return b"".join(area)


def _entries(entries: list[tuple[bytes, _Inode]]) -> bytes:
    """Return directory entries with their names behind them."""
    at = 12 * len(entries)
    heads: list[bytes] = []
    for name, inode in entries:
        kind = _TYPES[stat.S_IFMT(inode.mode)]
        heads.append(struct.pack("<QHBB", inode.position // _SLOT, at, kind, 0))
        at += len(name)
    return b"".join(heads) + b"".join(name for name, _inode in entries)
