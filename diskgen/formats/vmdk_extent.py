"""What the files of a VMDK share: the header of an extent, and the text that describes the disk.

Format: VMware, "Virtual Disk Format 5.0": "The Descriptor", "Hosted Sparse Extent Header".
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID

SECTOR: Final = 512
GRAIN: Final = 64 * 1024
GRAIN_SECTORS: Final = GRAIN // SECTOR
TABLE_ENTRIES: Final = 512  # grains of one grain table
TABLE_SIZE: Final = TABLE_ENTRIES * 4
DESCRIPTOR_AT: Final = 1
DESCRIPTOR_SECTORS: Final = 20
HEADER: Final = struct.Struct("<4sIIQQQQIQQQB4sH433x")


def descriptor(
    capacity: int,
    name: str,
    identity: UUID,
    *,
    kind: str,
    access: str,
) -> str:
    """Return the text that describes the disk, ``capacity`` in sectors."""
    # The content's identifier changes with the content; all ones means that there is no parent.
    content = identity.int >> 96 & 0x7FFFFFFF
    heads, sectors = 255, 63
    lines = (
        "# Disk DescriptorFile",
        "version=1",
        f"CID={content:08x}",
        "parentCID=ffffffff",
        f'createType="{kind}"',
        "",
        "# Extent description",
        f'{access} {capacity} SPARSE "{_quoted(name)}"',
        "",
        "# The Disk Data Base",
        "#DDB",
        "",
        'ddb.adapterType = "lsilogic"',
        f'ddb.geometry.cylinders = "{min(capacity // (heads * sectors), 65535)}"',
        f'ddb.geometry.heads = "{heads}"',
        f'ddb.geometry.sectors = "{sectors}"',
        'ddb.toolsInstallType = "4"',
        'ddb.toolsVersion = "2147483647"',  # of a guest that brings its own
        'ddb.virtualHWVersion = "15"',
    )
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    """Return a file's name as the descriptor can hold it."""
    return "".join(char if char.isprintable() and char != '"' else "_" for char in name)[:255]
