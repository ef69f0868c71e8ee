"""Unpacks lz4, which Python has not.

Format: "LZ4 Block Format Description": sequences of literals and of a match, which is a distance
back into what was unpacked and a length.
"""

from __future__ import annotations

from typing import Final

_LEAST: Final = 4  # bytes of a match


def unpacked(block: bytes, limit: int) -> bytes:
    """Return what a block holds. Raises EOFError for a damaged one, or for more than a limit."""
    out = bytearray()
    at, end = 0, len(block)
    try:
        while True:
            token = block[at]
            at += 1
            count = token >> 4
            if count == 15:
                more, at = _length(block, at)
                count += more
            if at + count > end:
                raise EOFError("it ends too early")
            out += block[at : at + count]
            at += count
            if at == end:
                break
            distance = block[at] | block[at + 1] << 8
            at += 2
            count = (token & 15) + _LEAST
            if token & 15 == 15:
                more, at = _length(block, at)
                count += more
            begin = len(out) - distance
            if distance == 0 or begin < 0 or len(out) + count > limit:
                raise EOFError("a match of it is impossible")
            if distance >= count:
                out += out[begin : begin + count]
            else:  # it repeats what it makes
                out += (out[begin:] * (count // distance + 1))[:count]
    except IndexError:
        raise EOFError("it ends too early") from None
    if len(out) > limit:
        raise EOFError("a block of it is too large")
    return bytes(out)


def _length(block: bytes, at: int) -> tuple[int, int]:
    """Return a length that goes on from byte to byte, and where it ends."""
    value = 0
    while True:
        byte = block[at]
        at += 1
        value += byte
        if byte != 255:
            return value, at
