"""What is in a compressed file, in pieces and up to a limit: such files may be hostile."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from typing import IO, Final

import zstandard

from .budgets import ZSTD_WINDOW_BYTES

SUFFIXES: Final = ("", ".gz", ".xz", ".zst")
_PIECE: Final = 1024 * 1024
MEMORY: Final = 256 * 1024 * 1024  # for a decompressor of xz; "xz -9" needs 65 MiB
_DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Damaged(Exception):  # noqa: N818 - the caller has the words for the error
    """Compressed data that cannot be read; the text continues "FILE cannot be used: "."""


def inflate(file: IO[bytes], suffix: str, limit: int) -> Iterator[bytes]:
    """Yield the content of a file with one of SUFFIXES. Raises Damaged, also past the limit.

    A .zst that is cut short just ends; whoever reads it knows its end, or its checksum.
    """
    left = limit
    try:
        for piece in _pieces(file, suffix):
            left -= len(piece)
            if left < 0:
                raise Damaged(f"it holds more than {limit // (1024 * 1024)} MiB")
            yield piece
    except _DAMAGE as error:
        raise Damaged(f"its compressed data is damaged ({error})") from error


def _pieces(file: IO[bytes], suffix: str) -> Iterator[bytes]:
    if suffix == ".xz":
        yield from _xz(file)
        return
    reader: IO[bytes] | gzip.GzipFile | zstandard.ZstdDecompressionReader = file
    if suffix == ".gz":
        reader = gzip.GzipFile(fileobj=file)
    elif suffix == ".zst":
        reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES.limit).stream_reader(
            file, read_across_frames=True, closefd=False
        )
    while piece := reader.read(_PIECE):
        yield piece


def _xz(file: IO[bytes]) -> Iterator[bytes]:
    data = file.read(_PIECE)
    while data:  # one round per stream
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        while not stream.eof:
            if stream.needs_input and not data:
                data = file.read(_PIECE)
                if not data:
                    raise EOFError("it ends too early")
            yield stream.decompress(data, _PIECE)
            data = b""
        data = stream.unused_data.lstrip(b"\0")
        while not data and (more := file.read(_PIECE)):
            data = more.lstrip(b"\0")
