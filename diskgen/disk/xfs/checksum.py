"""The checksum of xfs's metadata: CRC-32C, little-endian in structures that are big-endian."""

from __future__ import annotations

from ..placing.crc32c import crc32c

_MASK = 0xFFFFFFFF


def seal(raw: bytearray, at: int) -> bytes:
    """Put the checksum of ``raw`` into the four bytes at ``at`` and return it as bytes."""
    raw[at : at + 4] = bytes(4)
    crc = crc32c(_MASK, bytes(raw)) ^ _MASK
    raw[at : at + 4] = crc.to_bytes(4, "little")
    return bytes(raw)
