"""The GUID partition table as bytes: read back, verified, identifiers set.

Format: UEFI specification 2.11, section 5.3 ("GUID Partition Table (GPT) Disk Layout").
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from ..errors import VerifyError
from ..layout import Layout

_HEADER: Final = struct.Struct("<8s4sIIIQQQQ16sQIII")  # section 5.3.2, table 5.5
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")  # section 5.3.3, table 5.6
LEGACY_BOOTABLE: Final = 1 << 2

ReadAt = Callable[[int, int], bytes]  # (offset, length), both in bytes


class _Header(NamedTuple):
    signature: bytes
    revision: bytes
    header_size: int
    header_crc: int
    reserved: int
    own_lba: int
    other_lba: int
    first_usable: int
    last_usable: int
    disk_guid: bytes
    entries_lba: int
    entry_count: int
    entry_size: int
    entries_crc: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One used entry; ``start`` and ``size`` in bytes."""

    number: int
    type: UUID
    uuid: UUID
    start: int
    size: int
    attributes: int
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """A disk's table; ``size`` of the disk in bytes as its headers have it."""

    disk_guid: UUID
    sector_size: int
    size: int
    entries: tuple[Entry, ...]


def read(disk: Path, *, sector_size: int = 512) -> Table:
    """Return the table of a raw disk after checking both copies. Raises VerifyError."""
    with disk.open("rb") as file:

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, offset)

        return parse(read_at, file.seek(0, os.SEEK_END), sector_size=sector_size)


def parse(read_at: ReadAt, size: int, *, sector_size: int = 512) -> Table:
    """Return the table of any disk of ``size`` bytes, as :func:`read` does."""
    primary, entries = _read_copy(read_at, sector_size, sector_size)
    backup, backup_entries = _read_copy(read_at, size - sector_size, sector_size)
    if entries != backup_entries:
        raise VerifyError("the two partition tables differ")
    if (
        primary.other_lba != size // sector_size - 1
        or backup.other_lba != 1
        or primary.disk_guid != backup.disk_guid
    ):
        raise VerifyError("the headers of the partition tables contradict each other")
    return _table(primary, entries, sector_size, size)


def parse_first(read_at: ReadAt, size: int, *, sector_size: int = 512) -> Table:
    """Return the table by its first copy alone, as a disk has it that was made larger.

    Raises VerifyError.
    """
    primary, entries = _read_copy(read_at, sector_size, sector_size)
    return _table(primary, entries, sector_size, size)


def _table(primary: _Header, entries: bytes, sector_size: int, size: int) -> Table:
    found: list[Entry] = []
    for number in range(1, primary.entry_count + 1):
        raw = entries[(number - 1) * primary.entry_size :][: _ENTRY.size]
        kind, unique, first, last, attributes, name = _ENTRY.unpack(raw)
        if kind != bytes(16):
            found.append(
                Entry(
                    number,
                    UUID(bytes_le=kind),
                    UUID(bytes_le=unique),
                    first * sector_size,
                    (last - first + 1) * sector_size,  # the last block belongs to it
                    attributes,
                    name.decode("utf-16-le", "surrogatepass").partition("\0")[0],
                )
            )
    return Table(UUID(bytes_le=primary.disk_guid), sector_size, size, tuple(found))


def set_identifiers(disk: Path, layout: Layout) -> None:
    """Give the disk and its partitions the identifiers, types and attributes of the layout.

    Both copies of the table are rewritten with their checksums. Raises VerifyError when the disk
    has no sound table.
    """
    sector = layout.sector_size
    with disk.open("r+b", buffering=0) as file:

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, offset)

        for at in (sector, layout.size - sector):
            header, raw = _read_copy(read_at, at, sector)
            entries = bytearray(raw)
            for part in layout.partitions:
                offset = (part.number - 1) * header.entry_size
                _kind, _unique, first, last, _attributes, name = _ENTRY.unpack_from(entries, offset)
                attributes = LEGACY_BOOTABLE if part.legacy_bootable else 0
                ids = (part.type.bytes_le, part.uuid.bytes_le)
                _ENTRY.pack_into(entries, offset, *ids, first, last, attributes, name)
            header = header._replace(
                disk_guid=layout.disk_guid.bytes_le, header_crc=0, entries_crc=zlib.crc32(entries)
            )
            header = header._replace(header_crc=zlib.crc32(_HEADER.pack(*header)))
            file.seek(header.entries_lba * sector)
            file.write(entries)
            file.seek(at)
            file.write(_HEADER.pack(*header))


def _read_copy(read_at: ReadAt, at: int, sector: int) -> tuple[_Header, bytes]:
    """Return one copy's header and entries, both checked. Raises VerifyError."""
    raw = read_at(at, _HEADER.size)
    if len(raw) != _HEADER.size or raw[:8] != b"EFI PART":
        raise VerifyError(f"there is no partition table at byte {at}")
    header = _Header(*_HEADER.unpack(raw))
    unsigned = _HEADER.pack(*header._replace(header_crc=0))
    if (
        header.header_size != _HEADER.size
        or zlib.crc32(unsigned) != header.header_crc
        or header.own_lba * sector != at
        or header.entry_size < _ENTRY.size
        or not 0 < header.entry_count * header.entry_size <= 1024 * 1024
    ):
        raise VerifyError(f"the partition table at byte {at} is damaged")
    entries = read_at(header.entries_lba * sector, header.entry_count * header.entry_size)
    if zlib.crc32(entries) != header.entries_crc:
        raise VerifyError(f"the partition entries of the table at byte {at} are damaged")
    return header, entries
