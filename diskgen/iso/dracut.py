"""Which dracut modules an initramfs was made with; dracut leaves their names in it.

An initramfs is archives one after the other, of which the last is compressed.
Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst; the list: dracut(8).
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..tree import File, pieces
from ..units import GIB, MIB, align_up
from . import overlay
from .compression import Damaged, inflate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LISTS: Final = (b"usr/lib/dracut/modules.txt", b"lib/dracut/modules.txt")
_MAX_UNPACKED: Final = 2 * GIB
_MAX_LIST: Final = MIB
_MAX_NAME: Final = 4096  # PATH_MAX of linux/limits.h
_MAGIC: Final = 6  # bytes that tell what follows


def modules(image: File) -> frozenset[str] | None:
    """Return the names of the modules; None where the initramfs does not say."""
    assert image.content is not None
    try:
        for name, data in _files(_stream(pieces(image.content))):
            if name in _LISTS:
                return frozenset(data.decode("utf-8", "replace").split())
    except (Damaged, ValueError):
        return None
    return None


class _Pieces(io.RawIOBase):
    """What an iterator yields, as a file."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        room = memoryview(buffer).cast("B")
        while not self._left:
            found = next(self._source, None)
            if found is None:
                return 0
            self._left = found
        count = min(len(room), len(self._left))
        room[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _stream(source: Iterator[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Pieces(source), MIB)


def _files(stream: io.BufferedReader, *, inside: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and, of the lists alone, contents; ``inside`` of what is compressed no further.

    Raises Damaged or ValueError.
    """
    while _pass_zeros(stream):
        head = stream.read(_MAGIC)
        rest = itertools.chain((head,), iter(lambda: stream.read(MIB), b""))
        if head in overlay.KNOWN:
            yield from _archive(stream, head)
            continue
        suffix = next((s for start, s in overlay.COMPRESSED.items() if head.startswith(start)),
                      None)  # fmt: skip
        if suffix is not None and not inside:
            unpacked = inflate(_stream(rest), suffix, _MAX_UNPACKED)
            yield from _files(_stream(unpacked), inside=True)
        return


def _pass_zeros(stream: io.BufferedReader) -> bool:
    """Pass what is between two archives; say whether there is more."""
    while seen := stream.peek():
        zeros = len(seen) - len(seen.lstrip(b"\0"))
        stream.read(zeros)
        if zeros < len(seen):
            return True
    return False


def _archive(stream: io.BufferedReader, head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield what an archive has; ``head`` was read of it."""
    while True:
        entry = overlay.entry(head + stream.read(overlay.HEAD - len(head)))
        head = b""
        if entry.name_size > _MAX_NAME:
            raise Damaged("a name in it is too long")
        length = align_up(overlay.HEAD + entry.name_size, 4) - overlay.HEAD
        name = stream.read(length)[: entry.name_size].rstrip(b"\0")
        if name == overlay.TRAILER:
            return
        wanted = name in _LISTS and entry.size <= _MAX_LIST
        body = stream.read(entry.size) if wanted else b""
        _skip(stream, align_up(entry.size, 4) - len(body))
        yield name, body


def _skip(stream: io.BufferedReader, count: int) -> None:
    while count > 0:
        passed = len(stream.read(min(count, MIB)))
        if not passed:
            raise Damaged("it ends too early")
        count -= passed
