"""What makes an ISO image start from a USB stick too: MBR code, GPT, GRUB's places in both.

UEFI specification 2.11, 5.2.3 and 5.3 (protective MBR, GPT); GRUB's ``boot_hybrid.img`` and
``cdboot.S``: the core image's sector lies at 0x1B0 of the MBR and at 2548 of the core image itself;
SYSLINUX's ``mbr/isohdpfx.S``, which has isolinux's at the same place; mkisofs(8), "boot information
table".
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from ...arch import TYPE_ESP
from ...identifiers import derive_uuid
from ...units import MIB, align_up
from .master import SECTOR

_BLOCK: Final = 512
_PER_SECTOR: Final = SECTOR // _BLOCK
_BOOT_CODE: Final = 440
_CORE_POINTER: Final = 0x1B0
_CORE_SELF: Final = 2548
_NEXT: Final = {"grub": _PER_SECTOR, "isolinux": 0}  # blocks from an image to where code goes on
LOADERS: Final = frozenset(_NEXT)
_INFO_CHECKSUM: Final = 20
_INFO_FROM: Final = 64
_ENTRIES: Final = 128
_ENTRY_SIZE: Final = 128
_TABLE_BLOCKS: Final = _ENTRIES * _ENTRY_SIZE // _BLOCK
_HEADER: Final = struct.Struct("<8s4sIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")
_REVISION: Final = b"\0\0\1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bios:
    """GRUB or isolinux; ``core`` is the byte offset of its El Torito image in the medium."""

    mbr: bytes  # boot_hybrid.img or isohdpfx.bin; empty: none
    core: int
    core_size: int
    loader: str = "grub"  # one of LOADERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Esp:
    """The EFI system partition: the FAT image that the boot catalogue names, in bytes."""

    start: int
    size: int


def make(iso: Path, *, seed: str, bios: Bios | None, esp: Esp | None) -> None:
    """Give a mastered image a system area; its file grows to whole MiB for the second table.

    ``seed`` gives the identifiers. The medium's checksum comes after this.
    """
    with iso.open("r+b") as file:
        # Room for the backup table behind the volume.
        size = align_up(file.seek(0, io.SEEK_END), MIB) + MIB
        file.truncate(size)
        if bios is not None and bios.loader == "grub":
            _patch_core(file, bios)
        _write_mbr(file, size, bios)
        if esp is not None:
            _write_gpt(file, size, seed, esp)


def _patch_core(file: io.BufferedRandom, bios: Bios) -> None:
    """Tell the core image where it lies, and sum it up again."""
    file.seek(bios.core)
    core = bytearray(file.read(bios.core_size))
    struct.pack_into("<Q", core, _CORE_SELF, bios.core // _BLOCK + _PER_SECTOR + 1)
    words = core[_INFO_FROM:] + bytes(-len(core) % 4)
    total = sum(struct.unpack(f"<{len(words) // 4}I", words)) & 0xFFFF_FFFF
    struct.pack_into("<I", core, _INFO_CHECKSUM, total)
    file.seek(bios.core)
    file.write(core)


def _write_mbr(file: io.BufferedRandom, size: int, bios: Bios | None) -> None:
    block = bytearray(_BLOCK)
    if bios is not None and bios.mbr:
        block[:_BOOT_CODE] = bios.mbr[:_BOOT_CODE].ljust(_BOOT_CODE, b"\0")
        struct.pack_into("<Q", block, _CORE_POINTER, bios.core // _BLOCK + _NEXT[bios.loader])
    length = min(size // _BLOCK - 1, 0xFFFF_FFFF)
    struct.pack_into("<B3sB3sII", block, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, length)
    block[510:] = b"\x55\xaa"
    file.seek(0)
    file.write(block)


def _write_gpt(file: io.BufferedRandom, size: int, seed: str, esp: Esp) -> None:
    blocks = size // _BLOCK
    first = esp.start // _BLOCK
    name = "EFI-SYSTEM".encode("utf-16-le")
    identity = derive_uuid(seed, "iso partition esp").bytes_le
    entry = _ENTRY.pack(
        TYPE_ESP.bytes_le, identity, first, first + -(-esp.size // _BLOCK) - 1, 0, name
    )
    table = entry.ljust(_ENTRIES * _ENTRY_SIZE, b"\0")
    guid: UUID = derive_uuid(seed, "iso")
    last = blocks - 1
    for own, other, entries in ((1, last, 2), (last, 1, last - _TABLE_BLOCKS)):
        fields = (
            b"EFI PART", _REVISION, _HEADER.size, 0, 0, own, other, 2 + _TABLE_BLOCKS,
            last - _TABLE_BLOCKS - 1, guid.bytes_le, entries, _ENTRIES, _ENTRY_SIZE,
            zlib.crc32(table),
        )  # fmt: skip
        header = bytearray(_HEADER.pack(*fields))
        struct.pack_into("<I", header, 16, zlib.crc32(header))
        file.seek(entries * _BLOCK)
        file.write(table)
        file.seek(own * _BLOCK)
        file.write(header)
