"""Where everything of a btrfs lies: chunks, whose logical place is their first physical one.

Source: btrfs documentation, "On-disk Format"; Linux fs/btrfs/volumes.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...units import GIB, MIB, align_down, align_up
from ..placing.alloc import FullError

SECTOR: Final = 4096
NODE: Final = 16384
STRIPE: Final = 64 * 1024
LEAST_SIZE: Final = 256 * MIB
SUPERBLOCKS: Final = (64 * 1024, 64 * MIB, 256 * GIB)

DATA: Final = 1  # what a chunk is for
SYSTEM: Final = 2
METADATA: Final = 4
_TWICE: Final = 0x20

_SYSTEM_START: Final = MIB  # nothing of a chunk is below
_SYSTEM_LENGTH: Final = 4 * MIB
_LONGEST: Final = GIB  # bytes of a chunk with contents
_METADATA_AT_LEAST: Final = 256 * MIB  # or a twentieth of the filesystem, if that is less
_FIXED: Final = 10 * MIB  # first MiB, chunk tree twice, second superblock

Range = tuple[int, int]  # begin and end, bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of logical addresses; ``places`` are where on the disk its copies lie."""

    start: int
    length: int
    type: int
    used: int = 0

    @property
    def flags(self) -> int:
        return self.type if self.type == DATA else self.type | _TWICE

    @property
    def places(self) -> tuple[int, ...]:
        return (self.start,) if self.type == DATA else (self.start, self.start + self.length)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A filesystem of ``size`` bytes; ``ranges`` are where contents can lie, in order."""

    size: int
    system: Chunk
    metadata: Chunk
    ranges: tuple[Range, ...]

    @property
    def room(self) -> int:
        """Bytes that contents can have."""
        return sum(end - begin for begin, end in self.ranges)

    @property
    def superblocks(self) -> tuple[int, ...]:
        """Where the superblock and its copies lie."""
        return tuple(at for at in SUPERBLOCKS if at + SECTOR <= self.size)


def of_size(size: int, metadata: int) -> Geometry:
    """Return the shape of a filesystem whose nodes take ``metadata`` bytes at most.

    Chunks leave out the places of superblocks. Raises FullError for a size that is too small.
    """
    size = align_down(size, SECTOR)
    length = metadata_length(size, metadata)
    begin = SUPERBLOCKS[1] + MIB
    after = begin + 2 * length
    end = align_down(size, STRIPE)
    if size < LEAST_SIZE or after > end or begin < SUPERBLOCKS[2] < after:
        raise FullError
    third = SUPERBLOCKS[2]
    ranges = [(_SYSTEM_START + 2 * _SYSTEM_LENGTH, SUPERBLOCKS[1]), (after, min(end, third))]
    if end > third + MIB:
        ranges.append((third + MIB, end))
    return Geometry(
        size=size,
        system=Chunk(_SYSTEM_START, _SYSTEM_LENGTH, SYSTEM),
        metadata=Chunk(begin, length, METADATA),
        ranges=tuple(part for part in ranges if part[0] < part[1]),
    )


def metadata_length(size: int, metadata: int) -> int:
    """Return the bytes of each copy of the metadata: half more than they are at first."""
    return align_up(max(metadata + metadata // 2, min(_METADATA_AT_LEAST, size // 20)), MIB)


def whole(size: int, metadata: int) -> int:
    """Return what of a filesystem is not for contents, in bytes."""
    return _FIXED + 2 * metadata_length(size, metadata)


def pieces(ranges: Sequence[Range]) -> list[Range]:
    """Return ranges cut into the places of chunks."""
    return [
        (at, min(at + _LONGEST, end)) for begin, end in ranges for at in range(begin, end, _LONGEST)
    ]


def data_chunks(ranges: Sequence[Range], mark: int) -> list[Chunk]:
    """Return the chunks of contents that end below ``mark``; none is empty.

    What is in no chunk stays free for either kind, which the kernel needs to move things about.
    """
    out: list[Chunk] = []
    for begin, end in pieces(ranges):
        if begin >= mark:
            break
        used = min(mark, end) - begin
        out.append(Chunk(begin, min(align_up(used, MIB), end - begin), DATA, used))
    return out
