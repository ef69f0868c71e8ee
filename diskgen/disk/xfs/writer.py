"""Writes a whole xfs from a tree: no mkfs, no mount; contents move while metadata are made."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from ...errors import UsageError
from ...tree import Directory, File
from ..placing import content
from ..placing.alloc import FullError
from ..placing.diskio import Gathered, write_at
from ..placing.population import Inspection, Usage, bring, ignore, onto, too_small
from . import attributes, btree, directory, geometry, headers, inode, inventory
from .checksum import seal
from .features import Features
from .geometry import BLOCK, CHUNK, INODE_SIZE, Geometry, daddr
from .inode import Inode
from .inventory import Inventory
from .sizing import minimum_size, required
from .space import Region, Space

_GATHERED_CHUNKS: Final = 32  # of inodes that are written together
_TARGET_HEADER: Final = 56


def populate(
    disk: Path,
    *,
    offset: int,
    size: int,
    root: Directory,
    timestamp: int,
    uuid: UUID,
    label: str,
    sector_size: int = 512,
    features: Features = Features(),  # noqa: B008 - frozen
    advance: Callable[[int], None] = ignore,
    inspection: Inspection | None = None,
) -> Usage:
    """Write an xfs with a tree in ``size`` bytes at byte ``offset`` of ``disk``.

    The place must read as zeros. ``timestamp`` (seconds since 1970) becomes the time of birth,
    change and access of every inode. ``advance`` gets bytes of content as they are written, which
    come to Need.content; it is called in the caller's thread. ``inspection`` looks at a file that
    begins with the filesystem and has its metadata. The same tree gives the same bytes.

    Raises SourceError for what xfs cannot hold, UsageError for a label longer than 12 bytes or a
    ``size`` that is too small (disk-size), HostError when this machine is full or a pack cannot be
    read. After an error the filesystem is not usable.
    """
    if len(label.encode()) > headers.MAX_LABEL or "\0" in label:
        raise UsageError(
            f"'{label}' is too long a name for an xfs filesystem",
            hint=f"use at most {headers.MAX_LABEL} bytes",
        )
    found = inventory.take(root)
    try:
        space = Space(geometry.of_size(size, sector_size), len(found.nodes))
        with onto(disk) as fd:
            writer = _Writer(fd, offset, found, space, uuid, label, features)
            writer.now = inode.encode_time(timestamp * 10**9, bigtime=features.bigtime)
            return writer.write(advance, inspection)
    except FullError:
        raise too_small(size, minimum_size(required(root)) - size) from None


class _Writer:
    def __init__(
        self,
        fd: int,
        offset: int,
        found: Inventory,
        space: Space,
        identity: UUID,
        label: str,
        features: Features,
    ) -> None:
        self._fd = fd
        self._offset = offset
        self._found = found
        self._space = space
        self._shape: Geometry = space.geometry
        self._alloc = space.alloc
        self._identity = identity
        self._label = label
        self._features = features
        self._numbers = space.numbers()
        self._has_attributes = False
        self._gathered = Gathered(lambda pieces, at: write_at(fd, pieces, offset + at))
        self.now = 0

    def write(self, advance: Callable[[int], None], inspection: Inspection | None) -> Usage:
        files = (
            (slot, node)
            for slot, node in enumerate(self._found.nodes)
            if isinstance(node, File) and node.is_regular
        )
        placed = content.place(files, self._alloc, self._offset, btree.LONGEST)
        moved = bring(
            self._fd,
            placed.moves,
            lambda: self._write_metadata(placed.extents),
            advance,
            inspection,
            (self._offset, self._offset + self._shape.blocks * BLOCK),
            shift=self._offset,
        )
        return Usage(self._alloc.taken, len(self._found.nodes), moved)

    def _write_metadata(self, placed: dict[int, list[tuple[int, int, int]]]) -> None:
        for region in self._space.regions:
            self._write_region(region, placed)
        self._gathered.flush()
        self._write_headers()

    def _write_region(self, region: Region, placed: dict[int, list[tuple[int, int, int]]]) -> None:
        """Write all inodes of a region, those not in use too, and queue what belongs to them."""
        start = region.ag * self._shape.ag_blocks + region.block
        end = region.slot + region.chunks * CHUNK
        nodes = self._found.nodes
        step = _GATHERED_CHUNKS * CHUNK
        for first in range(region.slot, end, step):
            raw = bytearray()
            for slot in range(first, min(first + step, end)):
                number = self._numbers[slot]
                if slot < len(nodes):
                    node = self._inode(slot, number, placed)
                    raw += inode.pack(node, number, self._identity, bigtime=self._features.bigtime)
                else:
                    raw += inode.pack_free(number, self._identity)
            at = start * BLOCK + (first - region.slot) * INODE_SIZE
            write_at(self._fd, [raw], self._offset + at)

    def _inode(
        self, slot: int, number: int, placed: dict[int, list[tuple[int, int, int]]]
    ) -> Inode:
        node = self._found.nodes[slot]
        if node is None:
            flags = inode.NEW_BITMAP if slot == 1 else 0
            return Inode(
                mode=stat.S_IFREG, format=inode.EXTENTS, size=0, flags=flags,
                now=self.now, mtime=self.now,
            )  # fmt: skip
        encoded = attributes.encode(node.xattrs)
        out = Inode(
            mode=node.mode & 0xFFFF,
            format=inode.EXTENTS,
            size=0,
            uid=node.uid,
            gid=node.gid,
            links=self._found.links[slot],
            mtime=inode.encode_time(node.mtime_ns, bigtime=self._features.bigtime),
            now=self.now,
        )
        if isinstance(node, Directory):
            out.mode = stat.S_IFDIR | stat.S_IMODE(node.mode)
            out.flags = inode.IMMUTABLE if node.immutable else 0
            self._directory(out, number, node, encoded.data_room)
        elif node.is_regular:
            out.size = node.size
            self._fork(out, placed.get(slot, []), number, encoded.data_room)
        elif node.is_symlink:
            self._symlink(out, node.target, number, encoded.data_room)
        else:
            out.format = inode.DEVICE
            out.data = inode.encode_device(*node.rdev)
        if encoded.fork_offset:
            self._has_attributes = True
            self._attributes(out, encoded, number)
        return out

    def _fork(
        self, out: Inode, extents: list[tuple[int, int, int]], number: int, room: int
    ) -> None:
        """Put extents of (block in the file, number of blocks, linear block) into the data fork."""
        out.data, more = btree.fork(
            extents, room, self._shape, self._alloc.one, self._put, self._identity, number
        )
        out.format = inode.BTREE if more else inode.EXTENTS
        out.extents = len(extents)
        out.blocks += sum(count for _, count, _ in extents) + more

    def _take(self, blocks: list[int]) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
        """Return the places of logical blocks (ascending), and the extents that they make."""
        places: dict[int, int] = {}
        wanted = iter(blocks)
        for start, count in self._alloc.take(len(blocks)):
            for linear in range(start, start + count):
                places[next(wanted)] = linear
        return places, btree.joined([(logical, 1, linear) for logical, linear in places.items()])

    def _directory(self, out: Inode, number: int, node: Directory, room: int) -> None:
        slots, numbers, kinds = self._found.slots, self._numbers, inode.FILE_TYPES
        entries = [
            (
                name,
                numbers[slots[child]],
                2 if isinstance(child, Directory) else kinds[stat.S_IFMT(child.mode)],
            )
            for name, child in sorted(node.entries.items())
        ]
        parent = numbers[self._found.parents[node]]
        planned = directory.plan(entries, parent, number, room)
        out.size = planned.size
        if planned.build is None:
            out.format, out.data = inode.LOCAL, planned.local
            return
        places, extents = self._take(planned.blocks)
        for logical, raw in planned.build(places, self._identity, number):
            self._put(places[logical], raw)
        self._fork(out, extents, number, room)

    def _symlink(self, out: Inode, target: bytes, number: int, room: int) -> None:
        out.size = len(target)
        if len(target) <= room:
            out.format, out.data = inode.LOCAL, target
            return
        linear = self._alloc.one()
        raw = bytearray(BLOCK)
        raw[:4] = b"XSLM"
        raw[8:12] = len(target).to_bytes(4, "big")
        raw[16:32] = self._identity.bytes
        raw[32:40] = number.to_bytes(8, "big")
        raw[40:48] = daddr(linear).to_bytes(8, "big")
        raw[_TARGET_HEADER : _TARGET_HEADER + len(target)] = target
        self._put(linear, seal(raw, 12))
        self._fork(out, [(0, 1, linear)], number, room)

    def _attributes(self, out: Inode, encoded: attributes.Encoded, number: int) -> None:
        is_device = out.format == inode.DEVICE
        out.fork_offset = inode.DEVICE_FORK if is_device else encoded.fork_offset
        if not encoded.leaves:
            out.attribute_format, out.attributes = inode.LOCAL, encoded.inline
            return
        places, extents = self._take(list(range(encoded.blocks)))
        for logical, raw in attributes.build(encoded, places.__getitem__, self._identity, number):
            self._put(places[logical], raw)
        out.attributes = b"".join(btree.pack_extent(extent, self._shape) for extent in extents)
        out.attribute_extents = len(extents)
        out.blocks += encoded.blocks

    def _write_headers(self) -> None:
        """Write what depends on all the rest; the superblock of the first group comes last."""
        shape, identity = self._shape, self._identity
        groups = self._space.groups()
        trees = {region.ag: region.tree for region in self._space.regions}
        at = shape.log_start * BLOCK
        write_at(self._fd, [headers.log_record(shape, identity)], self._offset + at)
        sector = headers.superblock(
            shape,
            groups,
            identity=identity,
            label=self._label,
            features=self._features,
            attributes=self._has_attributes,
            inode_percent=self._space.inode_percent,
        )
        for group in reversed(groups):
            start = group.number * shape.ag_blocks
            first = start + shape.header_blocks
            chunks = self._records(group.number)
            by_count = sorted(group.free, key=lambda run: (run[1], run[0]))
            for place, magic, records in (
                (first, btree.BY_BLOCK, [_run_record(run) for run in group.free]),
                (first + 1, btree.BY_COUNT, [_run_record(run) for run in by_count]),
                (first + 3, btree.FREE_INODES, [chunk.pack() for chunk in chunks if chunk.free]),
                (first + 4, btree.REFERENCES, []),
            ):
                raw = btree.short_leaf(magic, place, records, identity, group.number)
                self._put(place, raw)
            self._write_inode_tree(chunks, trees.get(group.number, []), group)
            self._gathered.flush()
            sectors = [
                sector,
                headers.free_space(group, shape, identity),
                headers.inodes(group, shape, identity, self._features),
                headers.free_list(group, shape, identity),
            ]
            write_at(self._fd, sectors, self._offset + start * BLOCK)

    def _records(self, ag: int) -> list[btree.InodeRecord]:
        """Return the chunks of a group; only the last of all has inodes that are not in use."""
        out: list[btree.InodeRecord] = []
        for region in self._space.regions:
            if region.ag != ag:
                continue
            first = region.block * geometry.PER_BLOCK
            for chunk in range(region.chunks):
                used = min(CHUNK, self._space.inodes - region.slot - chunk * CHUNK)
                free = (1 << CHUNK) - (1 << used)
                out.append(btree.InodeRecord(first + chunk * CHUNK, free))
        return out

    def _write_inode_tree(
        self, records: list[btree.InodeRecord], others: list[int], group: headers.Group
    ) -> None:
        start = group.number * self._shape.ag_blocks
        root = self._shape.header_blocks + 2
        levels, blocks = btree.inode_tree(
            records, root, others, self._identity, group.number, start
        )
        group.inode_levels, group.inode_blocks = levels, len(blocks)
        for place, raw in blocks:
            self._put(start + place, raw)

    def _put(self, block: int, raw: bytes) -> None:
        """Write metadata at a linear block, together with what comes before it."""
        self._gathered.put(block * BLOCK, raw)


def _run_record(run: tuple[int, int]) -> bytes:
    """Return the record of a free run: its first block and its length."""
    return run[0].to_bytes(4, "big") + run[1].to_bytes(4, "big")
