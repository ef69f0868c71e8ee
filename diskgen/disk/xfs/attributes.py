"""Extended attributes of xfs: in the inode, or in leaf blocks with large values beside them.

Source: "XFS Filesystem Structure", chapter "Extended Attributes"; access control lists as
fs/xfs/xfs_acl.h describes them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from uuid import UUID

from ...tree import Xattrs
from ..placing import acl
from . import dabtree
from .checksum import seal
from .dahash import dahash
from .geometry import BLOCK, daddr
from .inode import ROOM

LARGEST: Final = 64 * 1024  # bytes of a value
_LEAST_DATA: Final = 64  # bytes that the data fork keeps
_OUTSIDE: Final = 96  # bytes of the fork with the extents of attribute blocks
_LEAF: Final = 0x3BEE
_LEAF_HEADER: Final = 80
_REMOTE: Final = 3072  # an entry of this size or more has its value in blocks of its own
_PER_VALUE: Final = BLOCK - 56
# magic, offset, bytes, checksum, uuid, owner, daddr, log sequence number: xfs_attr3_rmt_hdr
_VALUE: Final = struct.Struct(">4sIII16sQQQ")
_NO_LSN: Final = 0xFFFFFFFFFFFFFFFF
_IS_LOCAL: Final = 1

_SPACES: Final = ((b"user.", 0), (b"trusted.", 2), (b"security.", 4))
_ROOT: Final = 2
_ACLS: Final = {
    b"system.posix_acl_access": b"SGI_ACL_FILE", b"system.posix_acl_default": b"SGI_ACL_DEFAULT",
}  # fmt: skip
_NOBODY: Final = 0xFFFFFFFF


class XattrError(ValueError):
    """Attributes that xfs cannot hold; the writer adds the path."""


@dataclass(frozen=True, slots=True)
class Item:
    """One attribute as stored: name without prefix, its space's flag, value."""

    name: bytes
    flag: int
    value: bytes

    @property
    def local(self) -> bool:
        return _padded(3 + len(self.name) + len(self.value)) < _REMOTE

    @property
    def size(self) -> int:
        """Bytes among the names of a leaf."""
        if self.local:
            return _padded(3 + len(self.name) + len(self.value))
        # Three bytes of padding at the end of the structure count, two of them for nothing.
        return _padded(11 + len(self.name))

    @property
    def value_blocks(self) -> int:
        return 0 if self.local else -(-len(self.value) // _PER_VALUE)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Attributes in their form: ``inline`` is the whole fork, else ``leaves`` go to blocks."""

    inline: bytes = b""
    leaves: tuple[tuple[Item, ...], ...] = ()
    blocks: int = 0  # of the attribute fork
    values: tuple[Item, ...] = field(default=())

    @property
    def fork_offset(self) -> int:
        """Where the attribute fork begins, in units of 8 bytes; 0: there is none."""
        if self.leaves:
            return (ROOM - _OUTSIDE) // 8
        return (ROOM - len(self.inline)) // 8 if self.inline else 0

    @property
    def data_room(self) -> int:
        """Bytes that are left for the data fork."""
        return self.fork_offset * 8 or ROOM


_NONE: Final = Encoded()


@lru_cache(maxsize=4096)
def encode(xattrs: Xattrs) -> Encoded:
    """Return attributes in xfs's form. Raises XattrError."""
    if not xattrs:
        return _NONE
    items = [_item(name, value) for name, value in dict(xattrs).items()]
    total = 4 + sum(3 + len(item.name) + len(item.value) for item in items)
    small = all(len(item.value) <= 255 for item in items)
    if small and len(items) <= 255 and total <= ROOM - _LEAST_DATA:
        body = b"".join(
            bytes((len(item.name), len(item.value), item.flag)) + item.name + item.value
            for item in items
        )
        return Encoded(struct.pack(">HBx", total, len(items)) + body)
    items.sort(key=lambda item: (dahash(item.name), item.flag, item.name))
    leaves = _leaves(items)
    values = tuple(item for item in items if not item.local)
    count = len(leaves) + dabtree.node_count(len(leaves))
    return Encoded(b"", leaves, count + sum(item.value_blocks for item in values), values)


def _item(name: bytes, value: bytes) -> Item:
    shown = name.decode(errors="backslashreplace")
    if len(value) > LARGEST:
        raise XattrError(f"'{shown}' has '{len(value)}' bytes, at most '{LARGEST}' can be")
    if name in _ACLS:
        stored = _stored_acl(shown, value)
        if len(stored) > LARGEST:
            raise XattrError(f"'{shown}' has '{len(stored)}' bytes, at most '{LARGEST}' can be")
        return Item(_ACLS[name], _ROOT, stored)
    for prefix, flag in _SPACES:
        rest = name.removeprefix(prefix)
        if rest and rest != name and len(name) <= 255 and b"\0" not in name:
            if flag == _ROOT and rest in _ACLS.values():
                break
            return Item(rest, flag, value)
    raise XattrError(f"xfs cannot hold an extended attribute called '{shown}'")


def _stored_acl(name: str, value: bytes) -> bytes:
    """Turn an access control list from the form of getxattr (version 2) into xfs's."""
    entries = acl.entries(value)
    if entries is None:
        raise XattrError(f"'{name}' is no access control list")
    out = [len(entries).to_bytes(4, "big")]
    for tag, permissions, who in entries:
        out.append(struct.pack(">IIHxx", tag, who if tag in acl.NAMED else _NOBODY, permissions))
    return b"".join(out)


def _padded(size: int) -> int:
    return size + 3 & ~3


def _leaves(items: Sequence[Item]) -> tuple[tuple[Item, ...], ...]:
    out: list[list[Item]] = [[]]
    room = BLOCK - _LEAF_HEADER
    for item in items:
        if item.size + 8 > room:
            out.append([])
            room = BLOCK - _LEAF_HEADER
        out[-1].append(item)
        room -= item.size + 8
    return tuple(map(tuple, out))


def build(
    encoded: Encoded, place: Callable[[int], int], identity: UUID, owner: int
) -> list[tuple[int, bytes]]:
    """Return (logical block, contents) of all blocks of the fork; ``place`` says where they go."""
    out: list[tuple[int, bytes]] = []
    count = len(encoded.leaves)
    base = 0 if count == 1 else 1
    above = base + count
    at = count + dabtree.node_count(count)  # values come last
    starts: dict[Item, int] = {}
    for item in encoded.values:
        starts[item] = at
        for number in range(item.value_blocks):
            piece = item.value[number * _PER_VALUE : (number + 1) * _PER_VALUE]
            raw = bytearray(BLOCK)
            _VALUE.pack_into(
                raw, 0, b"XARM", number * _PER_VALUE, len(piece), 0, identity.bytes, owner,
                daddr(place(at)), _NO_LSN,
            )  # fmt: skip
            raw[_VALUE.size : _VALUE.size + len(piece)] = piece
            out.append((at, seal(raw, 12)))
            at += 1
    greatest: list[int] = []
    for number, items in enumerate(encoded.leaves):
        links = dabtree.siblings(number, count, base)
        raw = dabtree.head(_LEAF, links, place(base + number), identity, owner)
        _fill_leaf(raw, items, starts)
        greatest.append(dahash(items[-1].name))
        out.append((base + number, dabtree.finish(raw)))
    out += dabtree.nodes(greatest, 0, base, above, place, identity, owner)
    return sorted(out)


def _fill_leaf(raw: bytearray, items: Sequence[Item], starts: dict[Item, int]) -> None:
    at = BLOCK
    for number, item in enumerate(items):
        if item.local:
            body = struct.pack(">HB", len(item.value), len(item.name)) + item.name + item.value
        else:
            body = struct.pack(">IIB", starts[item], len(item.value), len(item.name)) + item.name
        at -= item.size
        raw[at : at + len(body)] = body
        flags = item.flag | (_IS_LOCAL if item.local else 0)
        entry = _LEAF_HEADER + 8 * number
        struct.pack_into(">IHBx", raw, entry, dahash(item.name), at, flags)
    used = BLOCK - at
    begin = _LEAF_HEADER + 8 * len(items)
    struct.pack_into(">HHHBx", raw, dabtree.INFO, len(items), used, at, 0)
    if begin < at:
        struct.pack_into(">HH", raw, 64, begin, at - begin)
