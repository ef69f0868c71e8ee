"""Where contents go: each file's extents, and the fewest moves that bring the bytes there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...packsums import PackSums
from ...tree import BLOCK, Data, File, Packed
from ...units import MIB
from .alloc import Allocator, Extent, append

Segment = tuple[int, int, int]  # (first block in the file, number of blocks, offset in pack or -1)
_HOLE: Final = -1
_GATHER: Final = MIB  # small contents in memory are written together up to this size


@dataclass(slots=True)
class Copy:
    """``length`` bytes at ``source`` of a pack go to ``target``; all are multiples of 4096."""

    pack: Path
    source: int
    target: int
    length: int
    sums: PackSums | None = None


@dataclass(slots=True)
class Write:
    """Bytes from memory go to ``target``; ``pieces`` come to ``length`` with their padding."""

    target: int
    length: int = 0
    pieces: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Zero:
    """``length`` zeros go to ``target``."""

    target: int
    length: int


@dataclass(slots=True)
class Made:
    """``length`` bytes, which ``make`` returns when their time comes, go to ``target``."""

    target: int
    length: int
    make: Callable[[], Sequence[bytes]]


Move = Copy | Write | Zero | Made


@dataclass(slots=True)
class Placed:
    """The outcome: extents by inode number, and the moves in the order of their targets."""

    extents: dict[int, list[Extent]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)


def segments(node: File) -> list[Segment]:
    """Return what of a file needs blocks, in file order; the holes of a dense file do too.

    Raises ValueError for a Packed content that is not as its description promises.
    """
    content = _content(node)
    if isinstance(content, Data):
        return [(0, _blocks(content.size), _HOLE)] if content.size else []
    out: list[Segment] = []
    end = 0
    for at, length, source in content.extents:
        if (at | source) % BLOCK or at < end or length <= 0 or at + length > content.size:
            raise ValueError(f"the extents of a content in '{content.pack}' are malformed")
        if node.dense and at > end:
            out.append((end // BLOCK, (at - end) // BLOCK, _HOLE))
        out.append((at // BLOCK, _blocks(length), source))
        end = at + _blocks(length) * BLOCK
    if node.dense and content.size > end:
        out.append((end // BLOCK, _blocks(content.size - end), _HOLE))
    return out


def place(
    files: Iterable[tuple[int, File]], allocator: Allocator, offset: int, longest: int
) -> Placed:
    """Give blocks to the contents of (number, file); ``offset`` is the filesystem's.

    ``longest`` are the blocks that an extent may have.
    What lies together in a pack comes to lie together on the disk, so that it moves in one piece.
    Contents in memory come first. Raises FullError.
    """
    memory: list[tuple[int, File]] = []
    packed: list[tuple[int, int, int, File]] = []
    order: dict[Path, int] = {}  # by first appearance: where the cache lies must not matter
    for number, node in files:
        content = node.content
        if isinstance(content, Packed):
            first = content.extents[0][2] if content.extents else 0
            packed.append((order.setdefault(content.pack, len(order)), first, number, node))
        elif node.size:
            memory.append((number, node))
    packed.sort(key=lambda item: item[:3])
    out = Placed()
    for number, node in memory:
        out.extents[number] = _place_memory(node, allocator, offset, longest, out.moves)
    for _, _, number, node in packed:
        assert isinstance(node.content, Packed)
        extents: list[Extent] = []
        for logical, count, source in segments(node):
            runs = allocator.take(count)
            append(extents, logical, runs, longest)
            at = source
            for start, blocks in runs:
                if source == _HOLE:
                    out.moves.append(Zero(offset + start * BLOCK, blocks * BLOCK))
                    continue
                _copy(out.moves, node.content, at, offset + start * BLOCK, blocks * BLOCK)
                at += blocks * BLOCK
        out.extents[number] = extents
    return out


def _content(node: File) -> Data | Packed:
    if node.is_symlink:
        return Data(node.target)
    return node.content if node.content is not None else Data(b"")


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _copy(moves: list[Move], content: Packed, source: int, target: int, length: int) -> None:
    """Append a copy, as part of the last one where both ends continue it."""
    last = moves[-1] if moves else None
    if (
        isinstance(last, Copy)
        and last.target + last.length == target
        and last.source + last.length == source
        and (last.pack is content.pack or last.pack == content.pack)
    ):
        last.length += length
    else:
        moves.append(Copy(content.pack, source, target, length, content.sums))


def _place_memory(
    node: File, allocator: Allocator, offset: int, longest: int, moves: list[Move]
) -> list[Extent]:
    content = _content(node)
    assert isinstance(content, Data)
    extents: list[Extent] = []
    runs = allocator.take(_blocks(content.size))
    append(extents, 0, runs, longest)
    for (start, blocks), piece in zip(runs, _cut(content.data, runs), strict=True):
        target, length = offset + start * BLOCK, blocks * BLOCK
        last = moves[-1] if moves else None
        if (
            not isinstance(last, Write)
            or last.target + last.length != target
            or last.length + length > _GATHER
        ):
            last = Write(target)
            moves.append(last)
        last.pieces.append(piece)
        if len(piece) < length:
            last.pieces.append(bytes(length - len(piece)))
        last.length += length
    return extents


def _cut(data: bytes, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the part of data that goes to each run; the usual one is not copied."""
    at = 0
    for _, blocks in runs:
        yield data[at : at + blocks * BLOCK]
        at += blocks * BLOCK
