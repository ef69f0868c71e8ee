"""Extended attributes: behind the fields of the inode while they fit, then in one block more."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ...tree import Xattrs
from ..placing import acl
from ..placing.crc32c import crc32c
from .superblock import BLOCK

MAX_SHARING: Final = 1024  # inodes per block; the kernel takes more for damage
_MAGIC: Final = 0xEA020000
_IN_INODE: Final = 96  # bytes from the end of the inode's fields
_HEADER: Final = struct.Struct("<5I12x")  # magic, references, blocks, hash, checksum
# name length, index, value offset, value inode, value size, hash
_ENTRY: Final = struct.Struct("<BBHIII")
_END: Final = bytes(4)
_ROOM: Final = BLOCK - _HEADER.size - len(_END)
_MASK: Final = 0xFFFFFFFF

# Linux Documentation/filesystems/ext4/attributes.rst, "Attribute Name Indices".
_PREFIXES: Final = ((b"user.", 1), (b"trusted.", 4), (b"security.", 6), (b"system.", 7))
_ACLS: Final = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
_INLINE_DATA: Final = b"system.data"  # would make the kernel look for the file's content here

_ACL_FORM: Final = struct.Struct("<I")
_ACL_ENTRY: Final = struct.Struct("<HHI")
_ACL_SHORT: Final = struct.Struct("<HH")

_Item = tuple[int, bytes, bytes]  # index, rest of the name, value as stored


class XattrError(ValueError):
    """Attributes that ext4 cannot hold; the writer adds the path."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Attributes as bytes. ``inline`` goes in the inode; ``entries`` and ``values`` in a block."""

    inline: bytes = b""
    entries: bytes = b""
    values: bytes = b""

    @property
    def needs_block(self) -> bool:
        return bool(self.entries)


_NONE: Final = Encoded()


@lru_cache(maxsize=4096)
def encode(xattrs: Xattrs) -> Encoded:
    """Return attributes in ext4's form. Raises XattrError.

    The label of SELinux is read with every inode, so it comes first into the inode; then the small
    ones, so that as many as possible need no block.
    """
    if not xattrs:
        return _NONE
    items = [_item(name, value) for name, value in dict(xattrs).items()]
    items.sort(key=lambda i: (i[:2] != (6, b"selinux"), _size(i), i))
    room = _IN_INODE - 2 * len(_END)
    inside: list[_Item] = []
    outside: list[_Item] = []
    for item in items:
        if _size(item) <= room:
            room -= _size(item)
            inside.append(item)
        else:
            outside.append(item)
    total = sum(map(_size, outside))
    if total > _ROOM:
        text = f"its extended attributes take '{total}' bytes, ext4 holds at most '{_ROOM}'"
        raise XattrError(text)
    inline = b""
    if inside:
        entries, values = _lay_out(inside, end=_IN_INODE - 4, hashed=False)
        inline = _MAGIC.to_bytes(4, "little") + entries + values.rjust(92 - len(entries), b"\0")
    if not outside:
        return Encoded(inline)
    outside.sort(key=lambda i: (i[0], len(i[1]), i[1]))  # the order the kernel searches by
    return Encoded(inline, *_lay_out(outside, end=BLOCK, hashed=True))


def block(encoded: Encoded, number: int, references: int, checksum_seed: int) -> bytes:
    """Return the contents of an attribute block at disk block ``number``."""
    total = 0
    for at in _entry_offsets(encoded.entries):
        total = (total << 16 | total >> 16) & _MASK
        total ^= _ENTRY.unpack_from(encoded.entries, at)[5]
    gap = BLOCK - _HEADER.size - len(encoded.entries)
    body = encoded.entries + encoded.values.rjust(gap, b"\0")
    seed = crc32c(checksum_seed, number.to_bytes(8, "little"))
    checksum = crc32c(seed, _HEADER.pack(_MAGIC, references, 1, total, 0) + body)
    return _HEADER.pack(_MAGIC, references, 1, total, checksum) + body


def _entry_offsets(entries: bytes) -> list[int]:
    at = 0
    out: list[int] = []
    while at < len(entries):
        out.append(at)
        at += _ENTRY.size + _padded(entries[at])
    return out


def _item(name: bytes, value: bytes) -> _Item:
    """Return (index, rest of the name, value as stored) of an attribute."""
    shown = name.decode(errors="backslashreplace")
    if name in _ACLS:
        return _ACLS[name], b"", _stored_acl(shown, value)
    for prefix, index in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest and rest != name and len(name) <= 255 and b"\0" not in name:
            if name == _INLINE_DATA:
                break
            return index, rest, value
    raise XattrError(f"ext4 cannot hold an extended attribute called '{shown}'")


def _stored_acl(name: str, value: bytes) -> bytes:
    """Turn an ACL from the form of getxattr (version 2) into ext4's (version 1).

    Numbers are left out where they mean nothing; fs/ext4/acl.h.
    """
    entries = acl.entries(value)
    if entries is None:
        raise XattrError(f"'{name}' is no access control list")
    out = [_ACL_FORM.pack(1)]
    for tag, permissions, who in entries:
        named = tag in acl.NAMED
        out.append((_ACL_ENTRY if named else _ACL_SHORT).pack(tag, permissions, *[who] * named))
    return b"".join(out)


def _padded(size: int) -> int:
    return size + 3 & ~3


def _size(item: _Item) -> int:
    return _ENTRY.size + _padded(len(item[1])) + _padded(len(item[2]))


def _lay_out(items: list[_Item], *, end: int, hashed: bool) -> tuple[bytes, bytes]:
    """Return (entries, values) where the values grow downwards from ``end``."""
    entries: list[bytes] = []
    values: list[bytes] = []
    at = end
    for index, name, value in items:
        padded = value.ljust(_padded(len(value)), b"\0")
        at -= len(padded)
        where = at if value else 0
        digest = _hash(name, padded) if hashed else 0
        entries.append(_ENTRY.pack(len(name), index, where, 0, len(value), digest))
        entries.append(name.ljust(_padded(len(name)), b"\0"))
        values.append(padded)
    return b"".join(entries), b"".join(reversed(values))


def _hash(name: bytes, padded: bytes) -> int:
    """Return e_hash, which e2fsck compares and the kernel uses to find equal blocks."""
    digest = 0
    for byte in name:
        digest = (digest << 5 & _MASK | digest >> 27) ^ byte
    for (word,) in struct.iter_unpack("<I", padded):
        digest = (digest << 16 & _MASK | digest >> 16) ^ word
    return digest
