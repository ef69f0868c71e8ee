"""Fills an empty ext4 from a tree: all metadata in one pass over inodes, then the contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ...errors import UsageError, VerifyError
from ...tree import Directory, File, Node
from ..placing import content
from ..placing.alloc import Allocator, Extent, FullError
from ..placing.diskio import Gathered, write_at
from ..placing.population import Inspection, Usage, bring, ignore, onto, too_small
from . import directory, dirhash, extents, inode, inventory, superblock, verity, xattr
from .groups import Groups
from .inventory import LOST_FOUND, LOST_FOUND_BLOCKS, ROOT, Inventory, has_content
from .sizing import required
from .superblock import BLOCK, FIRST_INODE, INODE_SIZE


def populate(
    disk: Path,
    *,
    offset: int,
    root: Directory,
    timestamp: int,
    advance: Callable[[int], None] = ignore,
    inspection: Inspection | None = None,
) -> Usage:
    """Fill the empty ext4 at byte ``offset`` of ``disk`` (see make_empty) with a tree.

    ``timestamp`` (seconds since 1970) becomes the time of birth, change and access of every inode
    and of the filesystem, or the nearest time that both can hold. ``advance`` gets bytes of content
    as they are written, which come to Need.content; it is called in the caller's thread.
    ``inspection`` looks at all metadata, in a file beside the disk, while contents are written. The
    same tree gives the same bytes.

    Raises SourceError for what ext4 cannot hold, UsageError (disk-size) when there is no room,
    HostError when this machine is full or a pack cannot be read, VerifyError when there is no such
    empty filesystem. After an error the filesystem is not usable.
    """
    with onto(disk) as fd:
        moment = min(max(timestamp, 0), superblock.LATEST)
        return _Writer(fd, offset, root, moment).write(advance, inspection)


class _Writer:
    def __init__(self, fd: int, offset: int, root: Directory, timestamp: int) -> None:
        self._fd = fd
        self._offset = offset
        self._root = root
        self._timestamp = timestamp
        self._now = inode.encode_time(timestamp * 10**9)
        self._super = superblock.read(fd, offset)
        self._groups = Groups(fd, offset, self._super)
        free = superblock.free_inodes(self._super)
        if free != self._super.inode_count - FIRST_INODE + 1:
            raise VerifyError(f"the ext4 filesystem at byte '{offset}' is not empty")
        self._free_blocks = self._groups.free_blocks()
        self._alloc = Allocator(self._groups.free_runs())
        self._digest = dirhash.hasher(self._super.hash_seed)
        self._gathered = Gathered(lambda pieces, at: write_at(fd, pieces, offset + at))
        self._shared: dict[xattr.Encoded, list[int]] = {}  # [block, references], the last not full
        self._full: list[tuple[xattr.Encoded, list[int]]] = []

    def write(self, advance: Callable[[int], None], inspection: Inspection | None) -> Usage:
        found = inventory.take(self._root, self._timestamp)
        if found.end - 1 > self._super.inode_count:
            raise UsageError(
                f"the image has '{found.end - 1}' inodes, the filesystem "
                f"'{self._super.inode_count}'",
                hint="make the disk larger",
                setting="disk-size",
            )
        files = (
            (number, node)
            for number, node in enumerate(found.nodes, FIRST_INODE)
            if isinstance(node, File) and has_content(node)
        )
        size = self._super.block_count * BLOCK
        try:
            placed = content.place(files, self._alloc, self._offset, extents.LONGEST)
            sealed = verity.place(found.sealed(), placed.extents, self._alloc, self._offset)
            if sealed and not self._super.has_verity:
                raise VerifyError(f"the ext4 at byte '{self._offset}' has no fs-verity")
            placed.moves += sealed
            moved = bring(
                self._fd,
                placed.moves,
                lambda: self._write_metadata(found, placed.extents),
                advance,
                inspection,
                (self._offset, self._offset + size),
            )
        except FullError:
            missing = required(self._root).bytes - self._free_blocks * BLOCK
            raise too_small(size, missing) from None
        return Usage(self._alloc.taken, found.end - 1, moved)

    def _write_metadata(self, found: Inventory, placed: dict[int, list[Extent]]) -> None:
        """Write everything but contents; the superblock comes last."""
        per_group = self._super.inodes_per_group
        last_group = (found.end - 2) // per_group
        nodes = iter(found)
        current = next(nodes, None)
        for group in range(last_group + 1):
            first = 1 + group * per_group
            used = min(found.end - first, per_group)
            table = self._read_table(group, used)
            directories = 0
            while current is not None and current[0] < first + per_group:
                number, node = current
                at = (number - first) * INODE_SIZE
                table[at : at + INODE_SIZE] = self._inode(found, number, node, placed)
                directories += isinstance(node, Directory)
                current = next(nodes, None)
            at = self._offset + self._groups.pointer(group, "inode_table") * BLOCK
            write_at(self._fd, [table], at)
            self._groups.fill_inodes(group, used, directories)
        self._write_xattr_blocks()
        self._gathered.flush()
        self._groups.fill_blocks(self._alloc.mark)
        self._groups.write()
        superblock.write(
            self._fd,
            self._offset,
            self._super,
            free_blocks=self._groups.free_blocks(),
            free_inodes=self._super.inode_count - found.end + 1,
            timestamp=self._timestamp,
        )

    def _read_table(self, group: int, used: int) -> bytearray:
        """Return room for a group's used inodes in whole blocks; the reserved ones are in it."""
        size = -(-used * INODE_SIZE // BLOCK) * BLOCK
        table = bytearray(size)
        if group == 0:
            at = self._offset + self._groups.pointer(0, "inode_table") * BLOCK
            reserved = os.pread(self._fd, LOST_FOUND * INODE_SIZE, at)
            table[: len(reserved)] = reserved
            self._made = {
                number: extents.in_inode(reserved[(number - 1) * INODE_SIZE + 0x28 :][:60])
                for number in (ROOT, LOST_FOUND)
            }
        return table

    def _inode(
        self,
        found: Inventory,
        number: int,
        node: Node,
        placed: dict[int, list[Extent]],
    ) -> bytearray:
        """Return the bytes of an inode, and queue what else belongs to it."""
        blocks = 0
        flags = inode.EXTENTS_FLAG
        if isinstance(node, Directory):
            mode = stat.S_IFDIR | stat.S_IMODE(node.mode)
            size, links, runs = self._directory(found, number, node)
            if size > BLOCK and number != LOST_FOUND:
                flags |= inode.INDEX_FLAG
            if node.immutable:
                flags |= inode.IMMUTABLE_FLAG
        else:
            mode, size, links = node.mode, node.size, found.links[number - FIRST_INODE]
            flags |= verity.FLAG if node.seal is not None else 0
            runs = placed.get(number, [])
        if runs or stat.S_ISREG(mode):
            seed = self._super.inode_seed(number) if len(runs) > extents.IN_INODE else 0
            block, tree = extents.build(runs, self._alloc.one, seed)
            blocks = sum(length for _, length, _ in runs) + len(tree)
            for at, raw in tree:
                self._put(at, raw)
        else:
            assert isinstance(node, File)
            flags = 0
            block = node.target.ljust(60, b"\0")
            if not node.is_symlink:
                size, block = 0, inode.encode_device(*node.rdev)
        encoded = xattr.encode(node.xattrs)
        acl_block = self._xattr_block(encoded) if encoded.needs_block else 0
        return inode.pack(
            self._super.checksum_seed,
            number,
            mode=mode & 0xFFFF,
            uid=node.uid,
            gid=node.gid,
            size=size,
            links=links,
            blocks=blocks + bool(acl_block),
            flags=flags,
            block=block,
            acl_block=acl_block,
            xattrs=encoded.inline,
            mtime_ns=node.mtime_ns,
            now=self._now,
        )

    def _directory(
        self, found: Inventory, number: int, node: Directory
    ) -> tuple[int, int, list[Extent]]:
        """Queue a directory's blocks; return its size, link count and extents."""
        contents = found.entries(node)
        kinds, numbers = inode.FILE_TYPES, found.numbers
        entries: list[tuple[bytes, int, int]] = []
        links = 2
        for name in sorted(contents):
            child = contents[name]
            if isinstance(child, Directory):
                links += 1
                entries.append((name, numbers[child], 2))
            else:
                entries.append((name, numbers[child], kinds[stat.S_IFMT(child.mode)]))
        seed, parent = self._super.inode_seed(number), found.parents[node]
        if number == LOST_FOUND:
            raw = directory.linear(number, parent, entries, seed, least=LOST_FOUND_BLOCKS)
        elif directory.fits_one_block(entries):
            raw = directory.linear(number, parent, entries, seed, least=1)
        else:
            try:
                raw = directory.indexed(number, parent, entries, seed, self._digest)
            except directory.DirectoryFullError as error:
                raise found.fault(node, str(error)) from None
        runs = list(self._made.get(number, ()))
        have = sum(length for _, length, _ in runs)
        extents.add(runs, have, self._alloc.take(len(raw) // BLOCK - have))
        for logical, length, disk in runs:
            self._put(disk, raw[logical * BLOCK : (logical + length) * BLOCK])
        return len(raw), 1 if links > inode.MAX_LINKS else links, runs

    def _xattr_block(self, encoded: xattr.Encoded) -> int:
        """Return the block for attributes, shared by all inodes that have the same."""
        shared = self._shared.get(encoded)
        if shared is None or shared[1] == xattr.MAX_SHARING:
            if shared is not None:
                self._full.append((encoded, shared))
            shared = self._shared[encoded] = [self._alloc.one(), 0]
        shared[1] += 1
        return shared[0]

    def _write_xattr_blocks(self) -> None:
        every = [*self._full, *self._shared.items()]
        for encoded, (at, references) in sorted(every, key=lambda item: item[1]):
            self._put(at, xattr.block(encoded, at, references, self._super.checksum_seed))

    def _put(self, block: int, raw: bytes) -> None:
        """Write metadata at a block, together with what comes before it."""
        self._gathered.put(block * BLOCK, raw)
