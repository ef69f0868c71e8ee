"""Headers of a tar archive's members: no times, no names of people.

Format: POSIX ustar; GNU tar's manual, "Basic Tar Format", for what does not fit into octal digits.
"""

from __future__ import annotations

from typing import Final

from ..units import align_up

BLOCK: Final = 512
_RECORD: Final = 20 * BLOCK  # what an archive is filled up to
_SMALL: Final = 8**11  # numbers from here on are base 256
_LONGEST: Final = 100  # bytes of a name
FILE: Final = b"0"
DIRECTORY: Final = b"5"


def member(name: str, size: int, *, mode: int = 0o644, owner: int = 0, kind: bytes = FILE) -> bytes:
    """Return the header of a member of ``size`` bytes, whose user and group is ``owner``."""
    fields = bytearray(BLOCK)
    encoded = name.encode()
    assert len(encoded) <= _LONGEST
    for at, value in (
        (0, encoded),
        (100, b"%07o\0" % mode),
        (108, b"%07o\0" % owner * 2),
        (124, number(size)),
        (136, number(0)),  # time
        (156, kind),
        (257, b"ustar\0" + b"00"),
        (329, b"0000000\0" * 2),  # device
    ):
        fields[at : at + len(value)] = value
    return summed(fields)


def summed(fields: bytearray) -> bytes:
    """Return a header with its checksum."""
    fields[148:156] = b" " * 8
    fields[148:156] = b"%06o\0 " % sum(fields)
    return bytes(fields)


def number(value: int) -> bytes:
    """Return a field of 12 bytes: octal digits, or base 256 where they do not suffice."""
    return b"%011o\0" % value if value < _SMALL else b"\x80" + value.to_bytes(11, "big")


def small_file(name: str, data: bytes) -> bytes:
    """Return a whole member."""
    return member(name, len(data)) + data.ljust(align_up(len(data), BLOCK), b"\0")


def filling(size: int) -> int:
    """Return how many zeros follow a member's data of so many bytes."""
    return -size % BLOCK


def ending(written: int) -> bytes:
    """Return what ends an archive of so many bytes."""
    return bytes(align_up(align_up(written, BLOCK) + 2 * BLOCK, _RECORD) - written)


def plain(name: str) -> str:
    """Return a name for members, and for what else is called like the disk; empty for none."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept.lstrip(".-")[:80]
