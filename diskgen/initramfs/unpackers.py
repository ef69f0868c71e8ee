"""What kernels decompress an initramfs by: one part each, which is read to its last byte only.

The list is that of Linux's lib/decompress.c. Formats: RFC 1952 (gzip), RFC 8878 (zstd), the .xz
and .lzma file formats, lz4's legacy frame ("LZ4 Frame Format Description") and its blocks.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Final, cast

import zstandard

from ..budgets import ZSTD_WINDOW_BYTES
from ..compression import MEMORY, Damaged
from ..image import gunzip
from ..units import KIB, MIB
from . import lz4

if TYPE_CHECKING:
    from .source import Raw

_PIECE: Final = MIB
_LZ4_BLOCK: Final = 8 * MIB  # of the legacy frame, unpacked
_BLOCK: Final = 128 * KIB  # of zstd, RFC 8878 section 3.1.1.2.4
_DAMAGE: Final[tuple[type[Exception], ...]] = (
    EOFError, OSError, gunzip.DAMAGE, lzma.LZMAError, zstandard.ZstdError,
)  # fmt: skip


class UnknownPacking(Damaged):
    """Compressed by something that kernels know and diskgen does not."""


def of(head: bytes) -> Callable[[Raw], Iterator[bytes]]:
    """Return what unpacks a part that begins so. Raises Damaged."""
    for start, unpack in _KNOWN.items():
        if head.startswith(start):
            return lambda raw: _telling(unpack(raw))
    if head.startswith(_LZO):
        raise UnknownPacking("it is compressed by lzo, which diskgen does not read")
    raise Damaged("it is no cpio archive, and compressed by nothing that kernels unpack")


def _telling(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except _DAMAGE as error:
        raise Damaged(f"its compressed data is damaged ({error})") from error


def _member(make: Callable[[], gunzip.Member]) -> Callable[[Raw], Iterator[bytes]]:
    def unpack(raw: Raw) -> Iterator[bytes]:
        member = make()
        while not member.eof:
            data = raw.take() if member.needs_input else b""
            if member.needs_input and not data:
                raise EOFError("it ends too early")
            yield member.decompress(data, _PIECE)
        raw.put_back(member.unused_data)

    return unpack


def _zstd(raw: Raw) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES.limit).stream_reader(
        cast("IO[bytes]", _Frame(raw)), read_size=_PIECE
    )
    while piece := reader.read(_PIECE):
        yield piece


class _Frame(io.RawIOBase):
    """One zstd frame of a stream, as a file; a decompressor would read into what follows it."""

    def __init__(self, raw: Raw) -> None:
        self._parts = _frame(raw)

    def readable(self) -> bool:
        return True

    def read(self, _size: int = -1) -> bytes:
        return next(self._parts, b"")


def _frame(raw: Raw) -> Iterator[bytes]:
    """Yield a frame as its head, its blocks and its checksum (RFC 8878, section 3.1.1)."""
    head = _all(raw, 5)
    if head[1:4] == b"\x2a\x4d\x18":  # skippable, section 3.1.2
        size = int.from_bytes(head[4:] + _all(raw, 3), "little")
        while size > 0:
            size -= len(_all(raw, min(size, _PIECE)))
        return
    flags = head[4]
    single = flags >> 5 & 1
    sizes = (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6] + (1 - single)
    yield head + _all(raw, sizes)
    last = False
    while not last:
        block = _all(raw, 3)
        value = int.from_bytes(block, "little")
        last, kind, size = bool(value & 1), value >> 1 & 3, value >> 3
        if size > _BLOCK and kind != 1:
            raise EOFError("a block of it is too large")
        yield block + _all(raw, 1 if kind == 1 else size)
    if flags & 4:
        yield _all(raw, 4)


def _lz4(raw: Raw) -> Iterator[bytes]:
    raw.exactly(4)
    while True:
        head = raw.exactly(4)
        size = int.from_bytes(head, "little")
        if head == _LZ4:  # another frame
            continue
        if len(head) < 4 or not size:
            return
        if size > _LZ4_BLOCK + _LZ4_BLOCK // 255 + 16:  # what follows is no block
            raw.put_back(head)
            return
        yield lz4.unpacked(_all(raw, size), _LZ4_BLOCK)


def _all(raw: Raw, count: int) -> bytes:
    data = raw.exactly(count)
    if len(data) != count:
        raise EOFError("it ends too early")
    return data


def _xz() -> gunzip.Member:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)


def _lzma() -> gunzip.Member:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY)


_LZ4: Final = b"\x02\x21\x4c\x18"
_LZO: Final = b"\x89LZO"
_SKIPPABLE: Final = {bytes((0x50 + n,)) + b"\x2a\x4d\x18": _zstd for n in range(16)}
_KNOWN: Final[dict[bytes, Callable[[Raw], Iterator[bytes]]]] = {
    b"\x1f\x8b": _member(gunzip.member),
    b"\xfd7zXZ\0": _member(_xz),
    b"\x28\xb5\x2f\xfd": _zstd,
    **_SKIPPABLE,
    _LZ4: _lz4,
    b"BZh": _member(bz2.BZ2Decompressor),
    b"\x5d\0\0": _member(_lzma),
}
