"""mke2fs's own library, for the two sums that are slow in Python: crc32c and the directory hash."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import cache
from typing import Final

Crc = Callable[[int, bytes], int]
Blocks = Callable[["ctypes.Array[ctypes.c_char]", int, int], list[int]]
DirectoryHash = Callable[[bytes], tuple[int, int]]
_NAME: Final = "libext2fs.so.2"
_ONES: Final = 0xFFFFFFFF


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(_NAME)
    except OSError:
        return None


def crc32c() -> Crc | None:
    """Return ``ext2fs_crc32c_le`` (no inversion before or after), or None without the library."""
    try:
        function = getattr(_library(), "ext2fs_crc32c_le")  # noqa: B009 - None has no such name
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t)
    function.restype = ctypes.c_uint32

    def crc(seed: int, data: bytes) -> int:
        return int(function(seed, data, len(data)))

    return crc


def crc32c_of_blocks() -> Blocks | None:
    """Return a function of (buffer, length, block): the CRC-32C (RFC 3720) of each block.

    It does not let other threads run between two blocks, which would take longer than the sums.
    """
    if _library() is None:
        return None
    try:
        function = ctypes.PyDLL(_NAME).ext2fs_crc32c_le
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
    function.restype = ctypes.c_uint32

    def sums(buffer: ctypes.Array[ctypes.c_char], length: int, block: int) -> list[int]:
        begin = ctypes.addressof(buffer)
        return [function(_ONES, at, block) ^ _ONES for at in range(begin, begin + length, block)]

    return sums


def directory_hash(seed: bytes, version: int) -> DirectoryHash | None:
    """Return ``ext2fs_dirhash`` for one filesystem, or None without the library.

    ``seed`` is s_hash_seed (16 bytes, as on disk); ``version`` 1 is half MD4 of signed characters.
    """
    try:
        function = getattr(_library(), "ext2fs_dirhash")  # noqa: B009
    except AttributeError:
        return None
    word = ctypes.c_uint32
    pointer = ctypes.POINTER(word)
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, pointer, pointer, pointer)
    function.restype = ctypes.c_long
    seeds = (word * 4)(*struct.unpack("<4I", seed))  # the library wants this machine's order
    major, minor = word(), word()

    def digest(name: bytes) -> tuple[int, int]:
        function(version, name, len(name), seeds, major, minor)
        return major.value, minor.value

    return digest
