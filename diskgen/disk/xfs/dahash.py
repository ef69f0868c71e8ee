"""The hash by which directories and attributes are searched."""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF


def dahash(name: bytes) -> int:
    """Return the 32-bit hash of a name ("XFS Filesystem Structure", "Directory Hash")."""
    value = 0
    whole = len(name) & ~3
    for at in range(0, whole, 4):
        value = (
            name[at] << 21
            ^ name[at + 1] << 14
            ^ name[at + 2] << 7
            ^ name[at + 3]
            ^ (value << 28 & _MASK | value >> 4)
        )
    rest = name[whole:]
    match len(rest):
        case 3:
            return rest[0] << 14 ^ rest[1] << 7 ^ rest[2] ^ (value << 21 & _MASK | value >> 11)
        case 2:
            return rest[0] << 7 ^ rest[1] ^ (value << 14 & _MASK | value >> 18)
        case 1:
            return rest[0] ^ (value << 7 & _MASK | value >> 25)
        case _:
            return value
