"""CRC-32C as ext4 uses it: the running value goes in and comes out, never inverted."""

from __future__ import annotations

from typing import Final

from . import native

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli, bits reversed (RFC 3720, appendix B.4)


def _table() -> tuple[int, ...]:
    out: list[int] = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        out.append(crc)
    return tuple(out)


_TABLE: Final = _table()


def portable(crc: int, data: bytes) -> int:
    """Return the running checksum after data: what is used where libext2fs cannot be loaded."""
    table = _TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


crc32c: Final[native.Crc] = native.crc32c() or portable
