"""What the firmware may start from an ISO 9660 image: its boot catalogue.

"El Torito" Bootable CD-ROM Format Specification 1.0, 2; UEFI specification 2.11, 13.3.2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .bounded import Bounded
from .rockridge import SECTOR

_SIZE: Final = 64 * 32  # of catalogues that we read, in bytes
_EFI: Final = 0xEF
_BIOS: Final = 0
_BOOTABLE: Final = 0x88
_SECTION, _LAST_SECTION, _EXTENSION = 0x90, 0x91, 0x44


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """One bootable entry of the boot catalogue; ``start`` in bytes."""

    efi: bool  # platform 0xEF, else 0x00
    start: int
    load_size: int  # 512-byte sectors, as the catalogue says


def entries(source: Bounded, start: int) -> Iterator[BootEntry]:
    """Yield the bootable entries for BIOS and UEFI (El Torito 1.0, 2.1 to 2.4)."""
    source.check(start, SECTOR, "the boot catalogue")
    data = source.at(start, min(_SIZE, source.size - start), "the boot catalogue")
    words = struct.unpack_from("<16H", data)
    if data[0] != 1 or words[15] != 0xAA55 or sum(words) & 0xFFFF:
        raise source.damaged("its boot catalogue is none")
    platform, left, last = data[1], 1, False
    for at in range(32, len(data), 32):
        kind = data[at]
        if left and kind == _EXTENSION:
            continue
        if left:
            left -= 1
            sectors, where = struct.unpack_from("<HI", data, at + 6)
            if kind == _BOOTABLE and platform in (_BIOS, _EFI):
                source.check(where * SECTOR, SECTOR, "a boot image")
                yield BootEntry(efi=platform == _EFI, start=where * SECTOR, load_size=sectors)
        elif kind in (_SECTION, _LAST_SECTION) and not last:
            platform, left = data[at + 1], struct.unpack_from("<H", data, at + 2)[0]
            last = kind == _LAST_SECTION
        elif kind != _EXTENSION:
            return
