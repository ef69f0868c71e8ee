"""The heads of a cpio archive's entries.

Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst, "newc" and "crc".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ..compression import Damaged

TRAILER: Final = b"TRAILER!!!"
HEAD: Final = 110  # bytes of an entry's
KNOWN: Final = (b"070701", b"070702")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the head of an entry says; sizes in bytes."""

    inode: tuple[int, int, int]  # number, and the device's
    mode: int
    links: int
    size: int
    name_size: int


def entry(head: bytes) -> Entry:
    """Return what HEAD bytes say. Raises Damaged or ValueError."""
    if head[:6] not in KNOWN:
        raise Damaged("it is no cpio archive")
    numbers = bytes.fromhex(head[6:].decode("ascii"))
    if len(numbers) != HEAD // 2 - 3:
        raise Damaged("it ends too early")
    (number, mode, _, _, links, _, size, major, minor, _, _, name_size, _) = struct.unpack(
        ">13I", numbers
    )
    return Entry(inode=(number, major, minor), mode=mode, links=links, size=size,
                 name_size=name_size)  # fmt: skip
