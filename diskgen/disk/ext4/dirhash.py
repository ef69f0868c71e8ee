"""The hash that orders a large directory: half of MD4, keyed by the superblock's hash seed."""

from __future__ import annotations

import struct
from typing import Final

from ..placing import native

HALF_MD4: Final = 1  # s_def_hash_version: of signed characters, as x86 has them
_MASK: Final = 0xFFFFFFFF
_END: Final = 0x7FFFFFFF << 1  # means "end of directory" to readers, so no name may have it
_INITIAL: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_ROUNDS: Final = (
    (0x00000000, (3, 7, 11, 19), (0, 1, 2, 3, 4, 5, 6, 7)),
    (0x5A827999, (3, 5, 9, 13), (1, 3, 5, 7, 0, 2, 4, 6)),
    (0x6ED9EBA1, (3, 9, 11, 15), (3, 7, 2, 6, 1, 5, 0, 4)),
)


def hasher(seed: bytes) -> native.DirectoryHash:
    """Return the function name -> (major, minor) of one filesystem.

    ``seed`` is s_hash_seed as on disk. Linux Documentation/filesystems/ext4/directory.rst, "Hash
    tree directories".
    """
    return native.directory_hash(seed, HALF_MD4) or portable(seed)


def portable(seed: bytes) -> native.DirectoryHash:
    """Return the same function in Python, for where libext2fs cannot be loaded."""
    words = struct.unpack("<4I", seed)
    start = words if any(words) else _INITIAL

    def digest(name: bytes) -> tuple[int, int]:
        state = start
        for at in range(0, len(name), 32):
            state = _half_md4(state, _words(name[at:]))
        major = state[1] & ~1
        return (_END - 2 if major == _END else major), state[2]

    return digest


def _words(rest: bytes) -> list[int]:
    """Return the next 32 bytes as 8 words, padded with the length of what is left."""
    pad = len(rest) & 0xFF
    pad |= pad << 8
    pad |= pad << 16
    chunk = rest[:32]
    out: list[int] = []
    for at in range(0, len(chunk), 4):
        word = pad
        for byte in chunk[at : at + 4]:
            value = byte if byte < 128 else byte - 256
            word = (value + (word << 8)) & _MASK
        out.append(word)
    return out + [pad] * (8 - len(out))


def _half_md4(state: tuple[int, ...], words: list[int]) -> tuple[int, ...]:
    a, b, c, d = state
    for number, (constant, shifts, order) in enumerate(_ROUNDS):
        for step, index in enumerate(order):
            if number == 0:
                mixed = d ^ (b & (c ^ d))
            elif number == 1:
                mixed = (b & c) + ((b ^ c) & d)
            else:
                mixed = b ^ c ^ d
            total = (a + mixed + words[index] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True))
