"""Makes a squashfs image independent of who wrote it and when.

mksquashfs gives the root of a tree that it reads as a tar to whoever runs it, and the time of day
(4.5; its options for the root count for directories alone). Format: Linux
Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h, version 4.0.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import VerifyError
from ..tree import Directory
from ..units import KIB, align_up

# Ids are trimmed and their table is read where it is, so neither it nor inodes may be compressed.
OPTIONS: Final = ("-noI", "-noId")
_MAGIC: Final = 0x73717368
_SUPERBLOCK: Final = struct.Struct("<5I6H8Q")
_IDS, _ROOT, _USED, _ID_TABLE, _XATTR_TABLE, _INODES = 8, 11, 12, 13, 14, 15  # fields of it
_INODE: Final = struct.Struct("<4HI")  # what all inodes begin with
_BLOCK: Final = 8 * KIB  # of metadata, behind two bytes of its size
_PLAIN: Final = 0x8000  # in that size: not compressed
_NONE: Final = (1 << 64) - 1
_XATTR_HEADER: Final = struct.Struct("<QII")
_XATTR_IDS: Final = _BLOCK // 16  # in a block
_ALIGN: Final = 4 * KIB


def settle(image: Path, root: Directory, timestamp: int) -> None:
    """Set owner and time of an image's root, and forget who wrote it. Raises VerifyError.

    The image was made with OPTIONS, of the tree ``root``.
    """
    wanted = {number for _path, node in root.walk() for number in (node.uid, node.gid)}
    try:
        _settle(image, root, timestamp, wanted)
    except (struct.error, ValueError, IndexError, OverflowError):
        raise VerifyError(f"'{image}' is not as mksquashfs writes it") from None


def _settle(image: Path, root: Directory, timestamp: int, wanted: set[int]) -> None:
    with image.open("r+b") as file:
        fields = list(_SUPERBLOCK.unpack(file.read(_SUPERBLOCK.size)))
        end = file.seek(0, os.SEEK_END)
        ids = _ids(file, fields) if _is_within(fields, end) else None
        if fields[0] != _MAGIC or ids is None:
            raise ValueError("another format")
        kept = list(ids)
        while kept and kept[-1] not in wanted:  # the root is written last, its owner comes last
            kept.pop()
        kept += [number for number in dict.fromkeys((root.uid, root.gid)) if number not in kept]
        _set_root(file, fields, kept.index(root.uid), kept.index(root.gid), timestamp)
        _set_ids(file, fields, ids, kept)


def _is_within(fields: list[int], end: int) -> bool:
    """Say whether all that is looked at lies in the image, which has ``end`` bytes."""
    used, inodes, attributes = fields[_USED], fields[_INODES], fields[_XATTR_TABLE]
    return (
        used <= end
        and inodes + (fields[_ROOT] >> 16) < fields[_ID_TABLE]
        and fields[_ID_TABLE] + 8 <= used
        and (attributes == _NONE or fields[_ID_TABLE] + 8 <= attributes < used)
    )


def _ids(file: BinaryIO, fields: list[int]) -> list[int] | None:
    """Return the owners of an image, None for a table that is larger than one block."""
    count = fields[_IDS]
    if count * 4 > _BLOCK:
        return None
    file.seek(fields[_ID_TABLE])
    (at,) = struct.unpack("<Q", file.read(8))
    if at >= fields[_ID_TABLE]:
        return None
    file.seek(at)
    (size,) = struct.unpack("<H", file.read(2))
    if size != _PLAIN | count * 4:
        return None
    return list(struct.unpack(f"<{count}I", file.read(count * 4)))


def _set_root(file: BinaryIO, fields: list[int], uid: int, gid: int, timestamp: int) -> None:
    block, offset = fields[_ROOT] >> 16, fields[_ROOT] & 0xFFFF
    # An inode may begin in one block and end in the next.
    places = [fields[_INODES] + block + 2 + at + (2 if at >= _BLOCK else 0)
              for at in range(offset, offset + _INODE.size)]  # fmt: skip
    old = bytearray()
    for place in places:
        file.seek(place)
        old += file.read(1)
    kind, mode, _uid, _gid, _time = _INODE.unpack(old)
    new = _INODE.pack(kind, mode, uid, gid, max(timestamp, 0))
    for place, byte in zip(places, new, strict=True):
        file.seek(place)
        file.write(bytes([byte]))


def _set_ids(file: BinaryIO, fields: list[int], ids: list[int], kept: list[int]) -> None:
    """Write another table of owners and move what follows it."""
    end = fields[_ID_TABLE] + 8
    file.seek(fields[_ID_TABLE])
    (at,) = struct.unpack("<Q", file.read(8))
    shift = 4 * (len(ids) - len(kept))
    file.seek(end)
    rest = bytearray(file.read(fields[_USED] - end))
    if fields[_XATTR_TABLE] != _NONE:
        header = fields[_XATTR_TABLE] - end
        start, count, unused = _XATTR_HEADER.unpack_from(rest, header)
        _XATTR_HEADER.pack_into(rest, header, start - shift, count, unused)
        blocks = -(-count // _XATTR_IDS)
        form = f"<{blocks}Q"
        places = struct.unpack_from(form, rest, header + _XATTR_HEADER.size)
        struct.pack_into(
            form, rest, header + _XATTR_HEADER.size, *(place - shift for place in places)
        )
        fields[_XATTR_TABLE] -= shift
    file.seek(at)
    file.write(struct.pack(f"<H{len(kept)}I", _PLAIN | len(kept) * 4, *kept))
    file.write(struct.pack("<Q", at) + rest)
    fields[_IDS] = len(kept)
    fields[_ID_TABLE] -= shift
    fields[_USED] -= shift
    file.truncate(fields[_USED])
    file.seek(0, os.SEEK_END)
    file.write(bytes(align_up(fields[_USED], _ALIGN) - fields[_USED]))
    file.seek(0)
    file.write(_SUPERBLOCK.pack(*fields))
