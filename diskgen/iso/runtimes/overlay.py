"""An archive of files that an installer or an initramfs unpacks over its root: ``product.img``.

Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst, "newc", compressed by xz
with the check that the kernel's own decompressor knows.
"""

from __future__ import annotations

import io
import lzma
import stat
from typing import Final

import zstandard

from ...compression import Damaged, inflate
from ...errors import SourceError
from ...initramfs import cpio
from ...tree import Directory, File, read, regular, symlink
from ...units import MIB, align_up

_MAGIC: Final = b"070701"
_ALIGN: Final = 512  # of the whole archive
_MAX_SIZE: Final = (1 << 32) - 1  # a size has eight hex digits
_COMPRESSED: Final = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
_MAX_UNPACKED: Final = 256 * MIB


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
    out += _entry(0, cpio.TRAILER, 0, b"", 0)
    return bytes(out + bytes(-len(out) % _ALIGN))


def compressed(root: Directory, timestamp: int) -> bytes:
    """Return :func:`archive` compressed."""
    return lzma.compress(archive(root, timestamp), check=lzma.CHECK_CRC32, preset=6)


def initramfs(root: Directory, timestamp: int) -> bytes:
    """Return :func:`archive` as kernels since 5.9 unpack it: compressed by zstd."""
    return zstandard.ZstdCompressor(level=12).compress(archive(root, timestamp))


def unpacked(file: File) -> Directory:
    """Return what a vendor's archive holds, compressed or not: files, directories, symlinks.

    Raises SourceError for what is no archive of this kind, or is damaged.
    """
    try:
        if file.content is None or file.size > _MAX_UNPACKED:
            raise Damaged("it is too large")
        data = read(file.content)
        suffix = next((s for head, s in _COMPRESSED.items() if data.startswith(head)), "")
        data = b"".join(inflate(io.BytesIO(data), suffix, _MAX_UNPACKED))
        return _tree(data)
    except (Damaged, ValueError, NotADirectoryError) as error:
        what = error if isinstance(error, Damaged) else "it is no cpio archive, or damaged"
        raise SourceError(
            f"the medium's 'product.img' cannot be used: {what}",
            hint="diskgen adds its own files to it; use a medium with a plain one, or none",
            setting="installer",
        ) from error


def _tree(data: bytes) -> Directory:
    root = Directory()
    linked: dict[tuple[int, int, int], File] = {}
    at = 0
    while True:
        found = cpio.entry(data[at : at + cpio.HEAD])
        name = data[at + cpio.HEAD : at + cpio.HEAD + found.name_size].rstrip(b"\0")
        begin = align_up(at + cpio.HEAD + found.name_size, 4)
        body = data[begin : begin + found.size]
        if len(body) != found.size:
            raise Damaged("it ends too early")
        if name == cpio.TRAILER:
            return root
        at = align_up(begin + found.size, 4)
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        path = b"/".join(parts)
        if b".." in parts or b"\0" in path:
            raise Damaged("it has a path that leads out of it")
        if not path:
            continue
        if stat.S_ISDIR(found.mode):
            root.make_dirs(path).mode = stat.S_IFDIR | stat.S_IMODE(found.mode)
        elif stat.S_ISLNK(found.mode):
            root.add(path, symlink(body))
        elif stat.S_ISREG(found.mode):
            file = regular(body, mode=stat.S_IMODE(found.mode))
            if found.links > 1:  # only the last one of an inode's names has its content
                file = linked.setdefault(found.inode, file)
                file.content = regular(body).content if body else file.content
            root.add(path, file)
        else:
            raise Damaged(f"it has '{path.decode(errors='backslashreplace')}', which is no file")


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
