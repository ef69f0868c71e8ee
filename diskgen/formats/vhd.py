"""vhd: Azure's and Hyper-V's fixed disk, the raw disk with a footer behind it.

Format: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0: "Hard Disk Footer Format" and
its appendix "CHS Calculation". Azure wants a fixed disk whose size is a whole number of MiB.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final
from uuid import UUID

from ..config import Request
from ..events import Emit, step
from ..units import MIB, format_size

FOOTER_SIZE: Final = 512
_SECTOR: Final = 512
_FOOTER: Final = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_RESERVED: Final = 0x00000002  # the feature bit that is always set
_VERSION: Final = 0x00010000
_NO_HEADER: Final = 0xFFFFFFFFFFFFFFFF  # a fixed disk has nothing but this footer
FIXED: Final = 2
_CREATOR: Final = b"dskg"
_WINDOWS: Final = b"Wi2k"


class Vhd:
    """A fixed VHD."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,  # noqa: ARG002 - nothing to choose
        identity: UUID,
        emit: Emit,
    ) -> None:
        """Append the footer and make the disk file the output: no copy. Raises OSError."""
        with step(emit, "convert", "Adding the VHD's footer") as phase:
            size = disk.stat().st_size
            assert size % MIB == 0
            with disk.open("ab") as file:
                file.write(footer(size, identity))
            disk.rename(output)
            phase.detail = format_size(size)


FORMAT: Final = Vhd()


def footer(size: int, identity: UUID) -> bytes:
    """Return the footer of a disk of ``size`` bytes. Its time is the format's epoch."""
    cylinders, heads, sectors = geometry(size)

    def packed(checksum: int) -> bytes:
        return _FOOTER.pack(
            b"conectix", _RESERVED, _VERSION, _NO_HEADER, 0, _CREATOR, _VERSION, _WINDOWS,
            size, size, cylinders, heads, sectors, FIXED, checksum, identity.bytes, 0,
        )  # fmt: skip

    return packed(~sum(packed(0)) & 0xFFFFFFFF)


def geometry(size: int) -> tuple[int, int, int]:
    """Return cylinders, heads and sectors of a track, as the appendix computes them."""
    total = min(size // _SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        tracks = total // sectors
    else:
        sectors = 17
        tracks = total // sectors
        heads = max(4, (tracks + 1023) // 1024)
        if tracks >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            tracks = total // sectors
        if tracks >= heads * 1024:
            sectors, heads = 63, 16
            tracks = total // sectors
    return tracks // heads, heads, sectors
