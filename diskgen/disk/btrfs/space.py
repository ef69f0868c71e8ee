"""The trees that say what lies where: extents, sums, free space, chunks and the device."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Final
from uuid import UUID

from ..placing.alloc import Extent
from . import items
from .geometry import DATA, SECTOR, Chunk
from .inventory import Inventory
from .sums import pack
from .tree import Identity, Item, levels

SUMS: Final = 3900  # in one item, as many as Linux makes
_SUM: Final = 4


def split(extents: dict[int, list[Extent]], chunks: Sequence[Chunk]) -> None:
    """Cut all extents where one chunk follows another."""
    ends = [(chunk.start + chunk.length) // SECTOR for chunk in chunks]
    for parts in extents.values():
        if all(_cut(part, ends) is None for part in parts):
            continue
        out: list[Extent] = []
        for part in parts:
            logical, length, disk = part
            while (end := _cut((logical, length, disk), ends)) is not None:
                out.append((logical, end - disk, disk))
                logical, length, disk = logical + end - disk, length - (end - disk), end
            out.append((logical, length, disk))
        parts[:] = out


def _cut(extent: Extent, ends: Sequence[int]) -> int | None:
    """Return the end of a chunk that is inside of an extent."""
    _, length, disk = extent
    at = bisect_right(ends, disk)
    return ends[at] if at < len(ends) and ends[at] < disk + length else None


def of_contents(found: Inventory, placed: Mapping[int, Sequence[Extent]]) -> Iterator[Item]:
    """Yield the items of contents' extents; files are in the order in which they were placed."""
    by_base = sorted(found.subvolumes, key=lambda each: each.base)
    bases = [each.base for each in by_base]
    for slot, extents in placed.items():
        own = by_base[bisect_right(bases, slot) - 1]
        number = items.FIRST_INODE + slot - own.base
        for logical, length, disk in extents:
            data = items.of_file(own.tree, number, logical * SECTOR)
            yield disk * SECTOR, items.EXTENT, length * SECTOR, data


def of_nodes(kinds: Mapping[int, tuple[int, int]]) -> list[Item]:
    """Return the items of the extents of nodes, of which (level, owner) are known by place."""
    return [
        (at, items.EXTENT_OF_TREE, level, items.of_tree(owner))
        for at, (level, owner) in sorted(kinds.items())
    ]


def extent_tree(
    chunks: Sequence[Chunk], contents: Iterator[Item], nodes: Sequence[Item]
) -> Iterator[Item]:
    """Yield what is in use, in the order of addresses; each chunk's own item after its first."""
    starts = [at for at, *_ in nodes]
    following = next(contents, None)
    for chunk in chunks:
        group = (chunk.start, items.GROUP, chunk.length, items.group(chunk))
        end = chunk.start + chunk.length
        if chunk.type == DATA:
            first = True
            while following is not None and following[0] < end:
                yield following
                if first:
                    yield group
                    first = False
                following = next(contents, None)
        else:
            own = nodes[bisect_left(starts, chunk.start) : bisect_left(starts, end)]
            yield own[0]
            yield group
            yield from own[1:]


def own_levels(chunks: Sequence[Chunk], numbers: Mapping[int, int], metadata: int) -> list[int]:
    """Return the levels of the nodes of an extent tree, which describes itself, too.

    ``numbers`` are those of the extents in each chunk, by its start; the tree's own nodes come in
    addition to those of the chunk at ``metadata``.
    """
    own: list[int] = []
    while True:
        more = {**numbers, metadata: numbers[metadata] + len(own)}
        taken = levels(_extent_sizes(chunks, more))
        if len(taken) == len(own):
            return own
        own = taken


def _extent_sizes(chunks: Sequence[Chunk], numbers: Mapping[int, int]) -> Iterator[int]:
    for chunk in chunks:
        size = items.OF_FILE_SIZE if chunk.type == DATA else items.OF_TREE_SIZE
        yield from chain((size, items.GROUP_SIZE), repeat(size, numbers[chunk.start] - 1))


def numbers_of(chunks: Sequence[Chunk], extents: Iterable[int]) -> dict[int, int]:
    """Return how many of the extents, given by their places, each chunk has, by its start."""
    starts = [chunk.start for chunk in chunks]
    out = dict.fromkeys(starts, 0)
    for at in extents:
        out[starts[bisect_right(starts, at) - 1]] += 1
    return out


def sums_tree(chunks: Iterable[Chunk], sums: array[int]) -> Iterator[Item]:
    """Yield the sums of all contents; ``sums`` has those of each chunk after another's."""
    at = 0
    for chunk in chunks:
        for first, number in _pieces(chunk):
            yield items.ALL_SUMS, items.SUM, first, pack(sums[at : at + number])
            at += number


def sums_sizes(chunks: Iterable[Chunk]) -> Iterator[int]:
    """Yield the sizes of a sums tree's items."""
    for chunk in chunks:
        for _, number in _pieces(chunk):
            yield number * _SUM


def _pieces(chunk: Chunk) -> Iterator[tuple[int, int]]:
    """Yield the place and the number of sectors of each item of a chunk's sums."""
    for at in range(0, chunk.used, SUMS * SECTOR):
        yield chunk.start + at, min(SUMS, (chunk.used - at) // SECTOR)


def free_space(chunks: Iterable[Chunk]) -> Iterator[Item]:
    """Yield what is free in each chunk: its end, if anything."""
    for chunk in chunks:
        free = chunk.length - chunk.used
        number = (1 if free else 0).to_bytes(4, "little")
        yield chunk.start, items.SPACE, chunk.length, number + bytes(4)
        if free:
            yield chunk.start + chunk.used, items.FREE, free, b""


def free_sizes(chunks: Iterable[Chunk]) -> list[int]:
    """Return the sizes of a free space tree's items, where only chunks of contents are full."""
    return [
        size
        for chunk in chunks
        for size in ((8, 0) if chunk.type != DATA or chunk.used < chunk.length else (8,))
    ]


def device_tree(chunks: Iterable[Chunk], chunk_tree: UUID) -> list[Item]:
    """Return what lies where on the device."""
    places = [(at, chunk) for chunk in chunks for at in chunk.places]
    return [
        (0, items.PERSISTENT, 1, bytes(40)),
        *(
            (1, items.DEVICE_EXTENT, at, items.device_extent(chunk, chunk_tree))
            for at, chunk in sorted(places, key=lambda place: place[0])
        ),
    ]


def chunk_tree(chunks: Iterable[Chunk], size: int, held: int, identity: Identity) -> list[Item]:
    """Return the device, of which ``held`` bytes are in chunks, and where these are."""
    device = items.device(size, held, identity.device, identity.filesystem)
    return [
        (1, items.DEVICE, 1, device),
        *((*items.chunk_key(chunk), items.chunk(chunk, identity.device)) for chunk in chunks),
    ]
