"""Extended attributes as EROFS has them: entries with prefixes by number, and a filter of names.

Formats: Linux ``fs/erofs/erofs_fs.h``, ``fs/erofs/xattr.c``; xxHash: its ``xxhash_spec.md``.
"""

from __future__ import annotations

import struct
from typing import Final

_PREFIXES: Final = (
    (1, b"user."), (2, b"system.posix_acl_access"), (3, b"system.posix_acl_default"),
    (4, b"trusted."), (6, b"security."),
)  # fmt: skip
_FILTER_SEED: Final = 0x25BBE08F

Pair = tuple[bytes, bytes]  # name and value


def prefix(name: bytes) -> tuple[int, bytes]:
    """Return the number of a name's prefix and the rest."""
    for number, prefix in _PREFIXES:
        if name.startswith(prefix):
            return number, name[len(prefix) :]
    return 0, name


def attribute(pair: Pair) -> bytes:
    """Return an attribute as it stands behind an inode, or among those that are shared."""
    number, suffix = prefix(pair[0])
    data = struct.pack("<BBH", len(suffix), number, len(pair[1])) + suffix + pair[1]
    return data + bytes(-len(data) % 4)


_bits: Final[dict[bytes, int]] = {}


def filter_bit(name: bytes) -> int:
    """Return the bit by which the kernel knows early that an inode lacks an attribute."""
    bit = _bits.get(name)
    if bit is None:
        number, suffix = prefix(name)
        bit = _bits[name] = 1 << (xxh32(suffix, _FILTER_SEED + number) & 31)
    return bit


def xxh32(data: bytes, seed: int) -> int:
    """Return the 32-bit xxHash (github.com/Cyan4973/xxHash, xxhash_spec.md) of short data."""
    p1, p2, p3, p4, p5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    mask = 0xFFFFFFFF

    def rotate(value: int, bits: int) -> int:
        return (value << bits | value >> 32 - bits) & mask

    at = 0
    if len(data) >= 16:
        lanes = [seed + p1 + p2 & mask, seed + p2 & mask, seed & mask, seed - p1 & mask]
        while at + 16 <= len(data):
            for number, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[number] = rotate(lanes[number] + word * p2 & mask, 13) * p1 & mask
            at += 16
        turned = (rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True))
        value = sum(turned) & mask
    else:
        value = seed + p5 & mask
    value = value + len(data) & mask
    while at + 4 <= len(data):
        (word,) = struct.unpack_from("<I", data, at)
        value = rotate(value + word * p3 & mask, 17) * p4 & mask
        at += 4
    for byte in data[at:]:
        value = rotate(value + byte * p5 & mask, 11) * p1 & mask
    value = (value ^ value >> 15) * p2 & mask
    value = (value ^ value >> 13) * p3 & mask
    return value ^ value >> 16
