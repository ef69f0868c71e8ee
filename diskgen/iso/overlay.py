"""An archive of files that an installer or an initramfs unpacks over its root: ``product.img``.

Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst, "newc", compressed by xz
with the check that the kernel's own decompressor knows.
"""

from __future__ import annotations

import lzma
import stat
from typing import Final

import zstandard

from ..errors import SourceError
from ..tree import Directory, File, read

_MAGIC: Final = b"070701"
_TRAILER: Final = b"TRAILER!!!"
_ALIGN: Final = 512  # of the whole archive
_MAX_SIZE: Final = (1 << 32) - 1  # a size has eight hex digits


def archive(root: Directory, timestamp: int) -> bytes:
    """Return a tree as cpio, everything owned by root; times are ``timestamp``.

    Raises SourceError for a file that the format cannot hold.
    """
    out = bytearray()
    for number, (path, node) in enumerate(root.walk(), 1):
        if isinstance(node, Directory):
            data, mode = b"", stat.S_IFDIR | stat.S_IMODE(node.mode)
        elif node.is_symlink:
            data, mode = node.target, node.mode
        else:
            data, mode = _content(path, node), node.mode
        out += _entry(number, path, mode, data, timestamp)
    out += _entry(0, _TRAILER, 0, b"", 0)
    return bytes(out + bytes(-len(out) % _ALIGN))


def compressed(root: Directory, timestamp: int) -> bytes:
    """Return :func:`archive` compressed."""
    return lzma.compress(archive(root, timestamp), check=lzma.CHECK_CRC32, preset=6)


def initramfs(root: Directory, timestamp: int) -> bytes:
    """Return :func:`archive` as kernels since 5.9 unpack it: compressed by zstd."""
    return zstandard.ZstdCompressor(level=12).compress(archive(root, timestamp))


def _content(path: bytes, node: File) -> bytes:
    if node.content is None or node.size > _MAX_SIZE:
        raise SourceError(f"'{path.decode(errors='backslashreplace')}' cannot be in an overlay")
    return read(node.content)


def _entry(number: int, path: bytes, mode: int, data: bytes, timestamp: int) -> bytes:
    name = path + b"\0"
    fields = (
        number, mode, 0, 0, 1, timestamp & 0xFFFF_FFFF, len(data), 0, 0, 0, 0, len(name), 0,
    )  # fmt: skip
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
