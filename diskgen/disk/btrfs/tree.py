"""Trees of btrfs, written from their items in order: full leaves, and the nodes above them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ..placing.alloc import FullError
from .geometry import NODE, Chunk
from .sums import seal

Item = tuple[int, int, int, bytes]  # objectid, type, offset; data

_HEADER: Final = struct.Struct("<16sQQ16sQQIB")  # after the checksum
_ENTRY: Final = struct.Struct("<QBQII")
_POINTER: Final = struct.Struct("<QBQQQ")
_HEADER_SIZE: Final = 101
_FLAGS: Final = 1 | 1 << 56  # written; references of the newer kind
ENTRY: Final = _ENTRY.size  # bytes of an item beside its data
ROOM: Final = NODE - _HEADER_SIZE  # bytes of items and their data in a leaf
LARGEST_ITEM: Final = ROOM - ENTRY
FANOUT: Final = ROOM // _POINTER.size
GENERATION: Final = 1


@dataclass(frozen=True, slots=True)
class Root:
    """Where a tree begins, the level of that node, and how many nodes there are."""

    start: int
    level: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What every node bears."""

    filesystem: UUID
    chunk_tree: UUID
    device: UUID


class Nodes:
    """The nodes of one chunk: handed out one after another, and each told to ``put``."""

    def __init__(self, chunk: Chunk, identity: Identity, put: Callable[[int, bytes], None]) -> None:
        self.start = self.mark = chunk.start
        self._end = chunk.start + chunk.length
        self.kinds: dict[int, tuple[int, int]] = {}  # (level, owner) by place
        self._identity = identity
        self._put = put

    @property
    def used(self) -> int:
        return self.mark - self.start

    def reserve(self, owner: int, levels: Sequence[int]) -> Root:
        """Return a tree whose nodes, of these levels, are written later. Raises FullError."""
        for level in levels:
            self.kinds[self._one()] = level, owner
        return Root(self.mark - NODE, levels[-1], len(levels))

    def _one(self) -> int:
        at = self.mark
        self.mark += NODE
        if self.mark > self._end:
            raise FullError
        return at

    def _write(self, at: int, level: int, owner: int, count: int, body: bytes) -> None:
        self.kinds[at] = level, owner
        ids = self._identity
        raw = _HEADER.pack(
            ids.filesystem.bytes, at, _FLAGS, ids.chunk_tree.bytes, GENERATION,
            owner & 0xFFFFFFFFFFFFFFFF, count, level,
        )  # fmt: skip
        self._put(at, seal(raw + body))

    def tree(self, owner: int, items: Iterable[Item], reserved: Root | None = None) -> Root:
        """Write a tree of items that are in the order of their keys; it may be ``reserved``.

        Raises FullError.
        """
        places = self._fresh() if reserved is None else _following(reserved)
        first: list[tuple[int, int, int, int]] = []  # key and place of each node
        for leaf in _leaves(items):
            at = next(places)
            objectid, kind, offset, _ = leaf[0] if leaf else (0, 0, 0, b"")
            first.append((objectid, kind, offset, at))
            self._write(at, 0, owner, len(leaf), _leaf(leaf))
        level, total = 0, len(first)
        while len(first) > 1:
            level += 1
            above: list[tuple[int, int, int, int]] = []
            for begin in range(0, len(first), FANOUT):
                part = first[begin : begin + FANOUT]
                at = next(places)
                above.append((*part[0][:3], at))
                body = b"".join(_POINTER.pack(*pointer, GENERATION) for pointer in part)
                self._write(at, level, owner, len(part), body.ljust(ROOM, b"\0"))
            first = above
            total += len(first)
        return Root(first[0][3], level, total)

    def _fresh(self) -> Iterator[int]:
        while True:
            yield self._one()


def levels(sizes: Iterable[int]) -> list[int]:
    """Return the level of each node, in their order, of a tree of items with so large data."""
    leaves, room = 1, ROOM
    for size in sizes:
        if size + ENTRY > room:
            leaves += 1
            room = ROOM
        room -= size + ENTRY
    out = [0] * leaves
    nodes, level = leaves, 0
    while nodes > 1:
        nodes, level = -(-nodes // FANOUT), level + 1
        out += [level] * nodes
    return out


def _following(root: Root) -> Iterator[int]:
    yield from range(root.start - (root.nodes - 1) * NODE, root.start + NODE, NODE)


def _leaves(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items of each leaf; a tree without items has an empty one."""
    leaf: list[Item] = []
    room, any_at_all = ROOM, False
    for item in items:
        size = len(item[3]) + ENTRY
        if size > room:
            yield leaf
            leaf, room, any_at_all = [], ROOM, True
        leaf.append(item)
        room -= size
    if leaf or not any_at_all:
        yield leaf


def _leaf(items: list[Item]) -> bytes:
    """Return the body of a leaf: its table grows from the front, data from the end."""
    end = ROOM
    table: list[bytes] = []
    for objectid, kind, offset, data in items:
        end -= len(data)
        table.append(_ENTRY.pack(objectid, kind, offset, end, len(data)))
    head = b"".join(table)
    tail = b"".join([item[3] for item in reversed(items)])
    return b"".join((head, bytes(ROOM - len(head) - len(tail)), tail))
