"""The allocation groups of a new xfs: first inodes, then everything else from below upwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..placing.alloc import Allocator, FullError, Run
from . import btree
from .geometry import CHUNK, CHUNK_BLOCKS, PER_BLOCK, Geometry
from .headers import Group

_USUAL_PERCENT: Final = 25  # of the blocks, for inodes


@dataclass(slots=True)
class Region:
    """The chunks of inodes in one AG: ``first`` slot, ``chunks``, their first block in the AG."""

    ag: int
    slot: int
    chunks: int
    block: int
    tree: list[int] = field(default_factory=list)  # blocks of the inode btree beside its root

    @property
    def end(self) -> int:
        """The block after all of it."""
        return self.block + self.chunks * CHUNK_BLOCKS + len(self.tree)


class Space:
    """Hands out the blocks of a filesystem for a known number of inodes. Raises FullError."""

    def __init__(self, geometry: Geometry, inodes: int) -> None:
        self.geometry = geometry
        self.chunks = -(-inodes // CHUNK)
        self.inodes = inodes
        self.regions = list(self._regions())
        self.alloc = Allocator(self._runs())

    @property
    def inode_percent(self) -> int:
        """The share of the blocks that inodes may take, as the superblock says it."""
        percent = -(-self.chunks * CHUNK_BLOCKS * 100 // self.geometry.blocks)
        return min(100, max(_USUAL_PERCENT, percent + 1))

    def numbers(self) -> list[int]:
        """Return the inode numbers of all slots."""
        out: list[int] = []
        for region in self.regions:
            first = self.geometry.inode(region.ag * self.geometry.ag_blocks + region.block)
            out += range(first, first + region.chunks * CHUNK)
        return out

    def _usable(self, ag: int) -> int:
        return self.geometry.length(ag) - self.geometry.reserve(ag)

    def _regions(self) -> Iterator[Region]:
        left, slot = self.chunks, 0
        g = self.geometry
        for ag in range(g.ag_count):
            if ag == g.log_ag or not left:
                continue
            room = self._usable(ag) - g.first
            chunks = min(left, room // CHUNK_BLOCKS)
            while chunks * CHUNK_BLOCKS + btree.inode_blocks(chunks) > room:
                chunks -= 1
            if chunks <= 0:
                raise FullError
            after = g.first + chunks * CHUNK_BLOCKS
            extra = list(range(after, after + btree.inode_blocks(chunks)))
            yield Region(ag, slot, chunks, g.first, extra)
            left -= chunks
            slot += chunks * CHUNK
        if left:
            raise FullError

    def begin(self, ag: int) -> int:
        """Return the first block of an AG that contents can have."""
        g = self.geometry
        if ag == g.log_ag:
            return g.first + g.log_blocks
        return next((region.end for region in self.regions if region.ag == ag), g.first)

    def _runs(self) -> Iterator[Run]:
        for ag in range(self.geometry.ag_count):
            begin, end = self.begin(ag), self._usable(ag)
            if begin < end:
                yield ag * self.geometry.ag_blocks + begin, end - begin

    def groups(self) -> list[Group]:
        """Return what each AG comes to; to be asked when everything is allocated."""
        g = self.geometry
        out: list[Group] = []
        for ag in range(g.ag_count):
            start = ag * g.ag_blocks
            group = Group(ag, g.length(ag))
            gap = g.free_list.stop, g.first
            mark = min(max(self.alloc.mark - start, self.begin(ag)), self._usable(ag))
            mark = max(mark, self.begin(ag))
            for begin, end in (gap, (mark, group.length)):
                if begin < end:
                    group.free.append((begin, end - begin))
            out.append(group)
        for region in self.regions:
            group = out[region.ag]
            group.inodes = region.chunks * CHUNK
            used = min(self.inodes - region.slot, group.inodes)
            group.free_inodes = group.inodes - used
            group.newest = (region.block + (region.chunks - 1) * CHUNK_BLOCKS) * PER_BLOCK
        return out
