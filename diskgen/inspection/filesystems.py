"""What a partition holds: its filesystem, by the marks that each kind leaves.

Formats: Linux Documentation/filesystems/ext4/; xfs "Algorithms & Data Structures", "Superblocks";
btrfs wiki, "On-disk Format"; LUKS2 specification, 2.1; LVM2's ``label.h``; mkswap(8).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from ..disk.btrfs.reader import Reader as BtrfsReader
from ..disk.ext4.reader import Reader as Ext4Reader
from ..disk.reading import Reader
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
    read: Callable[[bytes], Found] | None = None  # from the first 128 KiB


def _xfs(head: bytes) -> Found:
    block, blocks = struct.unpack_from(">IQ", head, 4)
    (free,) = struct.unpack_from(">Q", head, 144)
    return Found(
        type="xfs",
        uuid=str(UUID(bytes=head[32:48])),
        label=_label(head[108:120]),
        size=block * blocks,
        free=block * free,
    )


_KINDS: Final = (
    _Kind("xfs", 0, b"XFSB", _xfs),
    _Kind("encrypted (LUKS)", 0, b"LUKS\xba\xbe"),
    _Kind("a physical volume of LVM", 512, b"LABELONE"),
    _Kind("swap", 4086, b"SWAPSPACE2"),
    _Kind("squashfs", 0, b"hsqs"),
    _Kind("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
)
_BTRFS_MARK: Final = (64 * 1024 + 0x40, b"_BHRfS_M")
_DEPLOYED: Final = "ostree/repo"  # what the subvolume has that is the root
_EXT_MARK: Final = (1024 + 0x38, b"\x53\xef")
_HEAD: Final = 128 * 1024


def look(disk: Disk, start: int, size: int) -> Found | None:
    """Return what lies in a range of a disk; None for nothing that is known.

    Raises SourceError where the disk cannot be read; damage is a note.
    """
    head = disk.read_at(start, min(size, _HEAD)).ljust(_HEAD, b"\0")
    for kind in _KINDS:
        if head.startswith(kind.mark, kind.at):
            found = kind.read(head) if kind.read is not None else Found(type=kind.name)
            return replace(found, note=_UNREAD.format(found.type))
    if head.startswith(_EXT_MARK[1], _EXT_MARK[0]):
        return _ext4(disk, start)
    if head.startswith(_BTRFS_MARK[1], _BTRFS_MARK[0]):
        return _btrfs(disk, start)
    if head[510:512] == b"\x55\xaa" and head[0] in (0xEB, 0xE9):
        return _fat(disk, start, head)
    return None


def _ext4(disk: Disk, start: int) -> Found:
    try:
        reader = Ext4Reader(disk.read_at, start)
    except DiskgenError as error:
        return Found(type="ext4", note=error.message)
    return _found("ext4", "journal", reader)


def _btrfs(disk: Disk, start: int) -> Found:
    try:
        reader = BtrfsReader(disk.read_at, start)
        reader.enter(_DEPLOYED)
    except DiskgenError as error:
        return Found(type="btrfs", note=error.message)
    return _found("btrfs", "log", reader)


def _found(name: str, journal: str, reader: Reader) -> Found:
    """Return what is known of a filesystem that is read; ``journal`` is the word for its own."""
    facts = reader.facts
    unclean = f"it was not unmounted cleanly: what its {journal} alone holds is not shown"
    return Found(
        type=name,
        uuid=str(facts.uuid),
        label=facts.label or None,
        size=facts.size,
        free=facts.free,
        note=unclean if facts.unclean else None,
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
