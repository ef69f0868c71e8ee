"""Writes a whole btrfs from a tree: no mkfs, no mount; contents move while metadata are made."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID

from ...errors import UsageError
from ...tree import Directory, File
from ..placing import content
from ..placing.alloc import Allocator, Extent, FullError
from ..placing.diskio import Gathered, write_at
from ..placing.population import Inspection, Need, Usage, bring, ignore, onto, too_small
from . import files, geometry, inventory, items, sizing, space, sums, superblock
from .geometry import NODE, SECTOR, Chunk, Geometry
from .inventory import Inventory
from .tree import Identity, Item, Nodes, Root, levels

_DEFAULT: Final = b"default"


def populate(
    disk: Path,
    *,
    offset: int,
    size: int,
    root: Directory,
    timestamp: int,
    uuid: UUID,
    label: str,
    subvolumes: Sequence[bytes] = (),
    default: bytes | None = None,
    advance: Callable[[int], None] = ignore,
    inspection: Inspection | None = None,
) -> Usage:
    """Write a btrfs with a tree in ``size`` bytes at byte ``offset`` of ``disk``.

    The place must read as zeros. ``timestamp`` (seconds since 1970) becomes the time of birth,
    change and access of every inode. ``subvolumes`` are paths of directories of the tree which are
    to be one each, ``default`` the one of them that is mounted where none is named. ``advance``
    gets bytes of content as they are written, which come to Need.content; it is called in the
    caller's thread. ``inspection`` looks at a file that begins with the filesystem and has its
    metadata. The same tree gives the same bytes.

    Raises SourceError for what btrfs cannot hold, UsageError for a label longer than 255 bytes or a
    ``size`` that is too small (disk-size), HostError when this machine is full or a pack cannot be
    read. After an error the filesystem is not usable.
    """
    name = label.encode()
    if len(name) > superblock.MAX_LABEL or b"\0" in name:
        raise UsageError(
            f"'{label}' is too long a name for a btrfs filesystem",
            hint=f"use at most {superblock.MAX_LABEL} bytes",
        )
    found = inventory.take(root, subvolumes)
    tree = items.TOP
    if default is not None:
        directory = root.get_dir(default)
        assert directory is not None
        tree = found.trees[directory]
    blocks = sizing.data_blocks(found)
    metadata = sizing.metadata(found, blocks)
    try:
        shape = geometry.of_size(size, metadata)
        with onto(disk) as fd, ExitStack() as opened:
            writer = _Writer(fd, offset, found, shape, superblock.identify(uuid), timestamp)
            packs = files.Packs(opened)
            return writer.write(name, tree, packs, advance, inspection)
    except FullError:
        need = Need(blocks * SECTOR + metadata, found.inodes, blocks * SECTOR)
        raise too_small(size, sizing.minimum_size(need) - size) from None


class _Writer:
    def __init__(
        self,
        fd: int,
        offset: int,
        found: Inventory,
        shape: Geometry,
        identity: Identity,
        timestamp: int,
    ) -> None:
        self._fd = fd
        self._offset = offset
        self._found = found
        self._shape = shape
        self._identity = identity
        self._now = timestamp
        self._gathered = Gathered(self._write_nodes)
        self._nodes = Nodes(shape.metadata, identity, self._gathered.put)
        self._system = Nodes(shape.system, identity, self._gathered.put)
        self._roots: dict[int, Root] = {}

    def write(
        self,
        label: bytes,
        default: int,
        packs: files.Packs,
        advance: Callable[[int], None],
        inspection: Inspection | None,
    ) -> Usage:
        allocator = Allocator(
            (begin // SECTOR, (end - begin) // SECTOR)
            for begin, end in geometry.pieces(self._shape.ranges)
        )
        placed = content.place(self._files(), allocator, self._offset, sizing.LONGEST)
        mark = allocator.mark * SECTOR
        chunks = geometry.data_chunks(self._shape.ranges, mark if allocator.taken else 0)
        space.split(placed.extents, chunks)

        def write_metadata() -> None:
            self._write_files(placed.extents, packs)
            self._write_rest(label, default, chunks, placed)

        moved = bring(
            self._fd,
            placed.moves,
            write_metadata,
            advance,
            inspection,
            (self._offset, self._offset + self._shape.size),
            shift=self._offset,
        )
        blocks = allocator.taken + self._nodes.used // SECTOR
        return Usage(blocks, self._found.inodes, moved)

    def _files(self) -> Iterator[tuple[int, File]]:
        for subvolume in self._found.subvolumes:
            for _, slot, node, _ in subvolume:
                if sizing.has_extents(node):
                    yield slot, node

    def _write_files(self, placed: dict[int, list[Extent]], packs: files.Packs) -> None:
        for own in self._found.subvolumes:
            inside = files.of_subvolume(self._found, own, placed, packs, self._now)
            self._roots[own.tree] = self._nodes.tree(own.tree, inside)
        empty = items.inode(mode=stat.S_IFDIR | 0o755, now=self._now)
        first = items.FIRST_INODE
        self._roots[items.MOVED_DATA] = self._nodes.tree(
            items.MOVED_DATA,
            [
                (first, items.INODE, 0, empty),
                (first, items.REFERENCE, first, items.reference(0, b"..")),
            ],
        )
        self._roots[items.UUID_TREE] = self._nodes.tree(items.UUID_TREE, self._identifiers())

    def _identifiers(self) -> list[Item]:
        out: list[Item] = []
        for own in self._found.subvolumes:
            raw = self._identifier(own.tree).bytes
            first, second = (int.from_bytes(raw[at : at + 8], "little") for at in (0, 8))
            out.append((first, items.UUID_OF_SUBVOLUME, second, own.tree.to_bytes(8, "little")))
        return sorted(out)

    def _identifier(self, tree: int) -> UUID:
        return superblock.derived(self._identity.filesystem, f"subvolume {tree}")

    def _write_rest(
        self, label: bytes, default: int, data: Sequence[Chunk], placed: content.Placed
    ) -> None:
        """Write what describes all the rest: how many nodes that takes is known beforehand."""
        shape, nodes, roots, identity = self._shape, self._nodes, self._roots, self._identity
        chunks = sorted((*data, shape.system, shape.metadata), key=lambda chunk: chunk.start)
        held = sum(chunk.length * len(chunk.places) for chunk in chunks)
        top = self._system.tree(
            items.CHUNK_TREE, space.chunk_tree(chunks, shape.size, held, identity)
        )
        devices = space.device_tree(chunks, identity.chunk_tree)
        roots[items.DEVICE_TREE] = nodes.tree(items.DEVICE_TREE, devices)
        for tree, sizes in (
            (items.SUM_TREE, space.sums_sizes(data)),
            (items.SPACE_TREE, space.free_sizes(chunks)),
        ):
            roots[tree] = nodes.reserve(tree, levels(sizes))
        roots[items.EXTENT_TREE] = Root(0, 0, 0)  # of another place, and the same size
        sizes = [len(item[3]) for item in self._root_items(default)]
        root_tree = nodes.reserve(items.ROOT_TREE, levels(sizes))
        used = (*self._system.kinds, *nodes.kinds, *self._extents(placed))
        numbers = space.numbers_of(chunks, used)
        own = space.own_levels(chunks, numbers, shape.metadata.start)
        roots[items.EXTENT_TREE] = nodes.reserve(items.EXTENT_TREE, own)

        known = {shape.system.start: self._system.used, shape.metadata.start: nodes.used}
        chunks = [replace(chunk, used=known.get(chunk.start, chunk.used)) for chunk in chunks]
        contents = space.of_contents(self._found, placed.extents)
        described = space.of_nodes(self._system.kinds | nodes.kinds)
        for tree, inside in (
            (items.SUM_TREE, space.sums_tree(data, sums.of_contents(placed.moves))),
            (items.SPACE_TREE, space.free_space(chunks)),
            (items.EXTENT_TREE, space.extent_tree(chunks, contents, described)),
        ):
            nodes.tree(tree, inside, roots[tree])
        nodes.tree(items.ROOT_TREE, self._root_items(default), root_tree)
        self._gathered.flush()
        for at in reversed(shape.superblocks):
            raw = superblock.pack(
                at,
                roots=root_tree,
                chunks=top,
                system=shape.system,
                size=shape.size,
                used=sum(chunk.used for chunk in chunks),
                held=held,
                identity=identity,
                label=label,
                default=default != items.TOP,
                sealed=self._found.sealed,
            )
            write_at(self._fd, [raw], self._offset + at)

    def _extents(self, placed: content.Placed) -> Iterator[int]:
        for extents in placed.extents.values():
            for _, _, disk in extents:
                yield disk * SECTOR

    def _root_items(self, default: int) -> list[Item]:
        """Return the items of the tree that names all others."""
        here, now = items.DIRECTORY_OF_ROOTS, self._now
        out = [
            (here, items.INODE, 0, items.inode(mode=stat.S_IFDIR | 0o755, now=now, held=NODE)),
            (here, items.REFERENCE, here, items.reference(0, b"..")),
            (here, items.BY_HASH, sums.name_hash(_DEFAULT),
             items.entry(items.root_key(default), items.DIRECTORY_TYPE, _DEFAULT)),
        ]  # fmt: skip
        of_files = {own.tree for own in self._found.subvolumes} | {items.MOVED_DATA}
        for tree, root in self._roots.items():
            inside = tree in of_files
            uuid = self._identifier(tree) if inside and tree != items.MOVED_DATA else None
            data = items.root(root, now=now, directory=inside, uuid=uuid)
            out.append((tree, items.ROOT, 0, data))
        for own in self._found.subvolumes:
            if own.parent:
                data = items.root_reference(*own.at)
                out.append((own.parent, items.ROOT_TO_CHILD, own.tree, data))
                out.append((own.tree, items.ROOT_TO_PARENT, own.parent, data))
        return sorted(out)

    def _write_nodes(self, nodes: Sequence[bytes], at: int) -> None:
        """Write nodes at a logical address to each place that its chunk has."""
        for chunk in (self._shape.system, self._shape.metadata):
            if chunk.start <= at < chunk.start + chunk.length:
                for place in chunk.places:
                    write_at(self._fd, nodes, self._offset + place + at - chunk.start)
