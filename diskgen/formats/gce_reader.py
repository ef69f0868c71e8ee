"""The first part of the disk in an archive for Google: what lies at its beginning, unpacked.

Formats: GNU tar's manual, "Storing Sparse Files", the old GNU format, and "Basic Tar Format"; RFC
1952. A compressed archive can only be read forwards, so what was unpacked is kept, up to a limit.
Hostile archives get an error.
"""

from __future__ import annotations

import os
import zlib
from typing import Final

from ..errors import SourceError
from ..units import MIB, TIB, format_size
from . import ustar

_LARGEST: Final = 64 * TIB
_MOST: Final = 128 * MIB  # that are unpacked
_READ: Final = 256 * 1024  # of the file at once
_NAMES: Final = (b"disk.raw", b"./disk.raw")
_PLAIN: Final = (b"0", b"\0", b"7")
_SPARSE: Final = b"S"
_GZIP: Final = 31  # zlib's: a header of gzip, and the largest window


class GceBeginning:
    """An open archive; ``size`` of the disk in bytes, of which the first part can be read."""

    compression: str | None = None

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._at = 0  # in the file
        self._stream = zlib.decompressobj(_GZIP)
        self._held = bytearray()  # the archive as far as it was unpacked
        head = self._block(0)
        kind = head[156:157]
        if head[257:262] != b"ustar" or head[:100].rstrip(b"\0") not in _NAMES:
            raise self._bad("its first member is not 'disk.raw'")
        if kind not in (*_PLAIN, _SPARSE):
            raise self._bad("'disk.raw' in it is no file, or not of the old GNU format")
        self.size = self._number(head[483:495] if kind == _SPARSE else head[124:136])
        if not 0 < self.size <= _LARGEST:
            raise self._bad(f"its disk would have {format_size(self.size)}")
        self._extents, self._data = (
            self._map(head) if kind == _SPARSE else ([(0, self.size, 0)], ustar.BLOCK)
        )

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk. Raises SourceError for what lies too far in."""
        if not 0 <= offset <= offset + length <= self.size:
            raise self._bad("a place outside of the disk was asked for")
        found = bytearray(length)
        for start, size, packed in self._extents:
            first, end = max(offset, start), min(offset + length, start + size)
            if first < end:
                at = self._data + packed + first - start
                found[first - offset : end - offset] = self._unpacked(at, end - first)
        return bytes(found)

    def _map(self, head: bytes) -> tuple[list[tuple[int, int, int]], int]:
        """Return extents, each with the place of its data behind the map, and where that ends."""
        extents: list[tuple[int, int, int]] = []
        packed, block, entries, more = 0, 1, head[386:482], head[482]
        last = 0
        while True:
            for at in range(0, len(entries), 24):
                if not entries[at]:
                    break
                start, size = (self._number(entries[at + n : at + n + 12]) for n in (0, 12))
                if not last <= start <= start + size <= self.size:
                    raise self._bad("the map of its data contradicts itself")
                last = start + size
                if size:
                    extents.append((start, size, packed))
                    packed += size
            if not more:
                return extents, block * ustar.BLOCK
            head = self._block(block)
            entries, more = head[:504], head[504]
            block += 1

    def _number(self, text: bytes) -> int:
        if text[:1] == b"\x80":
            return int.from_bytes(text[1:], "big")
        digits = text.strip(b" \0")
        try:
            return int(digits or b"0", 8)
        except ValueError:
            raise self._bad("a number in it is none") from None

    def _block(self, number: int) -> bytes:
        return self._unpacked(number * ustar.BLOCK, ustar.BLOCK)

    def _unpacked(self, at: int, length: int) -> bytes:
        """Return bytes of the archive, which is unpacked as far as that. Raises SourceError."""
        end = at + length
        if end > _MOST:
            raise self._bad(f"what is asked for lies behind its first {format_size(_MOST)}")
        try:
            while len(self._held) < end:
                data = self._stream.unconsumed_tail or self._more()
                self._held += self._stream.decompress(data, _MOST - len(self._held))
        except zlib.error as error:
            raise self._bad(f"it is damaged ({error})") from error
        return bytes(self._held[at:end])

    def _more(self) -> bytes:
        try:
            data = os.pread(self._fd, _READ, self._at)
        except OSError as error:
            raise SourceError(f"'{self._name}' cannot be read: {error.strerror}") from error
        if not data or self._stream.eof:
            raise self._bad("it ends too early")
        self._at += len(data)
        return data

    def _bad(self, reason: str) -> SourceError:
        return SourceError(f"'{self._name}' is no archive that Google makes a disk of: {reason}")
