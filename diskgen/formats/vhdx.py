"""vhdx: Hyper-V's disk, which grows with what is written to it.

Format: Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format" 8.0. Numbers are
little-endian. Blocks are of 1 MiB, as Microsoft's advice for Linux has it; what is zero is left
out, and the others follow the tables in their order.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID, uuid5

from ..config import Request
from ..events import Emit, step
from ..units import KIB, MIB, align_up, format_size
from .pieces import bytes_read, made_of

_BLOCK: Final = MIB
_SECTOR: Final = 512
_PHYSICAL: Final = 4096  # bytes that a write takes at least
PRESENT: Final = 6  # a block's state
_CREATOR: Final = "diskgen"
HEADERS: Final = ((64 * KIB, 0), (128 * KIB, 1))  # where each is, and its number in sequence
REGIONS: Final = (192 * KIB, 256 * KIB)
_REGION_TABLE: Final = 64 * KIB
_LOG_AT: Final = MIB
_METADATA_AT: Final = 2 * MIB
_TABLE_AT: Final = 3 * MIB  # of the blocks
_REGION: Final = struct.Struct("<16sQII")
_HEADER: Final = struct.Struct("<4sIQ16s16s16sHHIQ")
_HEADER_SIZE: Final = 4 * KIB
_ITEM: Final = struct.Struct("<16sIII4x")
_ITEMS_AT: Final = 64 * KIB  # of the metadata
_REQUIRED: Final = 1 << 2
_OF_DISK: Final = 1 << 1
BLOCKS_ID: Final = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_ID: Final = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
PARAMETERS_ID: Final = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
SIZE_ID: Final = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_DISK_ID: Final = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_ID: Final = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PHYSICAL_ID: Final = UUID("cda348c7-445d-4471-9cc9-e9885251c556")


class Vhdx:
    """A dynamic VHDX."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,  # noqa: ARG002 - nothing to choose
        identity: UUID,
        emit: Emit,
    ) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        size = disk.stat().st_size
        with step(emit, "convert", "Writing the VHDX", unit="bytes") as phase:
            with disk.open("rb") as source, output.open("xb") as file:
                fd = source.fileno()
                phase.total = bytes_read(disk, _BLOCK)
                count = -(-size // _BLOCK)
                chunk = chunk_of(_BLOCK, _SECTOR)
                entries = count + (count - 1) // chunk
                room = align_up(8 * entries, MIB)
                table = [0] * entries
                file.seek(_TABLE_AT + room)
                for number, data in made_of(fd, size, _BLOCK, _as_it_is, phase.advance):
                    table[number + number // chunk] = file.tell() | PRESENT
                    file.write(data)
                file.truncate(file.tell())
                _write_head(file, size, room, identity)
                file.seek(_TABLE_AT)
                file.write(struct.pack(f"<{entries}Q", *table))
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Vhdx()


def chunk_of(block: int, sector: int) -> int:
    """Return behind how many blocks the table has an entry of another kind."""
    return 2**23 * sector // block


def _as_it_is(data: bytes) -> bytes:
    return data


def _write_head(file: BinaryIO, size: int, room: int, identity: UUID) -> None:
    """Write all that comes before the table of blocks, which takes ``room`` bytes."""
    file.seek(0)
    file.write(b"vhdxfile" + _CREATOR.encode("utf-16-le"))
    for at, sequence in HEADERS:
        file.seek(at)
        file.write(_header(sequence, identity))
    for at in REGIONS:
        file.seek(at)
        file.write(_regions(room))
    file.seek(_METADATA_AT)
    file.write(_metadata(size, identity))


def _header(sequence: int, identity: UUID) -> bytes:
    """Return a header; the log, which nothing is in, has no identifier."""
    file_id, data_id = (uuid5(identity, f"vhdx {name}").bytes_le for name in ("file", "data"))
    fields = _HEADER.pack(
        b"head", 0, sequence, file_id, data_id, bytes(16), 0, 1, MIB, _LOG_AT
    ).ljust(_HEADER_SIZE, b"\0")
    return _summed(fields)


def _regions(room: int) -> bytes:
    """Return the table of regions: the blocks' table and the metadata."""
    head = struct.pack("<4sIII", b"regi", 0, 2, 0)
    rows = ((BLOCKS_ID, _TABLE_AT, room), (METADATA_ID, _METADATA_AT, MIB))
    entries = b"".join(_REGION.pack(name.bytes_le, at, length, 1) for name, at, length in rows)
    return _summed((head + entries).ljust(_REGION_TABLE, b"\0"))


def _metadata(size: int, identity: UUID) -> bytes:
    """Return the metadata: a table, and its items behind it."""
    rows = (
        (PARAMETERS_ID, struct.pack("<II", _BLOCK, 0), _REQUIRED),
        (SIZE_ID, struct.pack("<Q", size), _REQUIRED | _OF_DISK),
        (_DISK_ID, identity.bytes_le, _REQUIRED | _OF_DISK),
        (LOGICAL_ID, struct.pack("<I", _SECTOR), _REQUIRED | _OF_DISK),
        (_PHYSICAL_ID, struct.pack("<I", _PHYSICAL), _REQUIRED | _OF_DISK),
    )
    table = struct.pack("<8s2xH20x", b"metadata", len(rows))
    items = b""
    for name, data, flags in rows:
        table += _ITEM.pack(name.bytes_le, _ITEMS_AT + len(items), len(data), flags)
        items += data
    return table.ljust(_ITEMS_AT, b"\0") + items


def _summed(block: bytes) -> bytes:
    """Return a structure with the checksum of it in its second word."""
    from ..disk.placing.crc32c import crc32c  # it loads a library of the host

    return block[:4] + struct.pack("<I", crc32c(0xFFFFFFFF, block) ^ 0xFFFFFFFF) + block[8:]
