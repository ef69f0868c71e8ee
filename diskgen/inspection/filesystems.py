"""What a partition holds: its filesystem, by the marks that each kind leaves.

Formats: Linux Documentation/filesystems/ext4/; xfs "Algorithms & Data Structures", "Superblocks";
btrfs wiki, "On-disk Format"; LUKS2 specification, 2.1; LVM2's ``label.h``; mkswap(8).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..disk.btrfs.reader import Reader as BtrfsReader
from ..disk.ext4.reader import Reader as Ext4Reader
from ..disk.reading import ReadAt, Reader
from ..disk.xfs.reader import Reader as XfsReader
from ..errors import DiskgenError
from ..formats.reading import Disk, Stream
from ..iso.reading.bounded import Bounded
from ..iso.reading.fatreader import Volume
from ..units import MIB

_FAT_BUDGET: Final = 256 * MIB  # bytes read of one in all
_UNREAD: Final = "diskgen does not read {}: what lies there is not shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A filesystem, or what is in its place; sizes in bytes. ``note`` is what is not shown."""

    type: str
    uuid: str | None = None
    label: str | None = None
    size: int | None = None
    free: int | None = None
    note: str | None = None
    reader: Reader | None = None
    fat: Volume | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    at: int
    mark: bytes


def _btrfs(read_at: ReadAt, start: int) -> Reader:
    reader = BtrfsReader(read_at, start)
    reader.enter(_DEPLOYED)
    return reader


@dataclass(frozen=True, slots=True)
class _Read:
    """A kind that is read; ``pending`` is what holds what was not written to its place yet."""

    name: str
    at: int
    mark: bytes
    pending: str
    open: Callable[[ReadAt, int], Reader]


_READ: Final = (
    _Read("ext4", 1024 + 0x38, b"\x53\xef", "journal", Ext4Reader),
    _Read("xfs", 0, b"XFSB", "log", XfsReader),
    _Read("btrfs", 64 * 1024 + 0x40, b"_BHRfS_M", "log", _btrfs),
)
_KINDS: Final = (
    _Kind("encrypted (LUKS)", 0, b"LUKS\xba\xbe"),
    _Kind("a physical volume of LVM", 512, b"LABELONE"),
    _Kind("swap", 4086, b"SWAPSPACE2"),
    _Kind("squashfs", 0, b"hsqs"),
    _Kind("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
)
_DEPLOYED: Final = "ostree/repo"  # what the subvolume has that is the root
_HEAD: Final = 128 * 1024


def look(disk: Disk, start: int, size: int) -> Found | None:
    """Return what lies in a range of a disk; None for nothing that is known.

    Raises SourceError where the disk cannot be read; damage is a note.
    """
    head = disk.read_at(start, min(size, _HEAD)).ljust(_HEAD, b"\0")
    for kind in _KINDS:
        if head.startswith(kind.mark, kind.at):
            return Found(type=kind.name, note=_UNREAD.format(kind.name))
    for known in _READ:
        if head.startswith(known.mark, known.at):
            return _read(known, disk, start)
    if head[510:512] == b"\x55\xaa" and head[0] in (0xEB, 0xE9):
        return _fat(disk, start, head)
    return None


def _read(kind: _Read, disk: Disk, start: int) -> Found:
    try:
        reader = kind.open(disk.read_at, start)
    except DiskgenError as error:
        return Found(type=kind.name, note=error.message)
    facts = reader.facts
    return Found(
        type=kind.name,
        uuid=str(facts.uuid),
        label=facts.label or None,
        size=facts.size,
        free=facts.free,
        note=f"it was not unmounted cleanly: what its {kind.pending} alone holds is not shown"
        if facts.unclean
        else None,
        reader=reader,
    )


def _fat(disk: Disk, start: int, head: bytes) -> Found:
    file = io.BufferedReader(Stream(disk), buffer_size=64 * 1024)
    try:
        volume = Volume(Bounded(disk.path, file, _FAT_BUDGET), start)
    except DiskgenError as error:
        return Found(type="vfat", note=error.message)
    at = 39 if struct.unpack_from("<H", head, 22)[0] else 67  # volume number: FAT16, FAT32
    serial = f"{struct.unpack_from('<I', head, at)[0]:08X}"
    return Found(
        type="vfat",
        uuid=f"{serial[:4]}-{serial[4:]}",
        label=_label(head[at + 4 : at + 15]),
        free=volume.free(),
        fat=volume,
    )


def _label(raw: bytes) -> str | None:
    return raw.partition(b"\0")[0].rstrip(b" ").decode(errors="replace") or None
