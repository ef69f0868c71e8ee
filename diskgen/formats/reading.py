"""Disks of every format read through one interface: so many bytes from here on.

A format that is to be looked into needs one row in the table, and ``read_at``.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from ..budgets import INSPECTED_BYTES, Tally
from ..errors import SourceError
from . import gce_reader, qcow2_reader, vhdx_reader, vmdk_reader
from .vhd import FIXED, FOOTER_SIZE

_PIECE: Final = 64 * 1024  # bytes that are read and kept together
_LEAST: Final = 512  # that the smallest read counts as, so that their number is limited too
_KEPT: Final = 256  # pieces


class Source(Protocol):
    """What a format's reader offers."""

    @property
    def size(self) -> int:
        """The disk's bytes."""
        ...

    @property
    def compression(self) -> str | None:
        """The name of what its contents are compressed by."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk. Raises SourceError."""
        ...


class Disk:
    """An open disk. What is read of it in all is limited; what was read lately is kept."""

    def __init__(self, path: Path, format_name: str, source: Source) -> None:
        self.path = path
        self.format = format_name
        self.size = source.size
        self.compression = source.compression
        self._source = source
        self._tally = Tally(INSPECTED_BYTES, self._refused, "it holds")
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk, fewer at its end.

        Raises SourceError for what cannot be read, and beyond the budget.
        """
        end = min(offset + length, self.size)
        if not 0 <= offset < end:
            return b""
        self._tally.add(max(length, _LEAST))
        first = offset - offset % _PIECE
        data = b"".join(self._piece(at) for at in range(first, end, _PIECE))
        return data[offset - first : end - first]

    def _piece(self, at: int) -> bytes:
        found = self._kept.get(at)
        if found is None:
            self._tally.add(_PIECE)
            found = self._source.read_at(at, min(_PIECE, self.size - at))
            self._kept[at] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(at)
        return found

    def _refused(self, reason: str) -> SourceError:
        return SourceError(f"'{self.path}' is not looked into any further: {reason}")


class Stream(io.RawIOBase):
    """A disk as a file that is open for reading."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte of the disk."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._disk.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the disk goes."""
        data = self._disk.read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Raw:
    """A file or device that is the disk itself."""

    compression: str | None = None

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self.size = os.lseek(fd, 0, os.SEEK_END)

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise SourceError(f"'{self._path}' cannot be read: {error.strerror}") from error


class _Vhd(_Raw):
    """A fixed VHD: the disk itself, and a footer that says how large it is."""

    def __init__(self, fd: int, path: Path) -> None:
        super().__init__(fd, path)
        footer = self.read_at(max(self.size - FOOTER_SIZE, 0), FOOTER_SIZE)
        size, kind = (int.from_bytes(footer[at : at + n], "big") for at, n in ((48, 8), (60, 4)))
        if kind != FIXED or size > self.size:
            raise SourceError(
                f"'{path}' is a VHD that grows as it is written, which is not read",
                hint=f"qemu-img convert -O raw '{path}' disk.raw, and inspect that",
            )
        self.size = size


def _archive(_fd: int, path: Path) -> Source:
    raise SourceError(
        f"'{path}' is a compressed archive, which can only be read from its beginning",
        hint=f"tar -xzSf '{path}', and inspect the disk.raw in it",
    )


_Opener = Callable[[int, Path], Source]
# By the bytes that a file has, at an offset from its beginning or its end; what has none of them is
# the disk itself.
_FORMATS: Final[tuple[tuple[str, int, bytes, _Opener], ...]] = (
    ("qcow2", 0, qcow2_reader.MAGIC, lambda fd, path: qcow2_reader.Qcow2File(fd, str(path))),
    ("vmdk", 0, vmdk_reader.MAGIC, lambda fd, path: vmdk_reader.VmdkFile(fd, str(path))),
    ("vhdx", 0, vhdx_reader.MAGIC, lambda fd, path: vhdx_reader.VhdxFile(fd, str(path))),
    ("ova", 257, b"ustar", lambda fd, path: vmdk_reader.in_ova(fd, str(path))),
    ("gce", 0, b"\x1f\x8b", _archive),
    ("vhd", -FOOTER_SIZE, b"conectix", _Vhd),
    ("raw", 0, b"", _Raw),
)


# What can be read from its beginning alone.
BEGINNINGS: Final[Mapping[str, _Opener]] = MappingProxyType(
    {"gce": lambda fd, path: gce_reader.GceBeginning(fd, str(path))}
)


def _has(fd: int, at: int, mark: bytes) -> bool:
    if at < 0:
        at += os.lseek(fd, 0, os.SEEK_END)
    return at >= 0 and os.pread(fd, len(mark), at) == mark


def format_of(path: Path) -> str:
    """Return the name of the format that a disk file has. Raises SourceError."""
    with _file(path) as fd:
        return _row(fd)[0]


@contextmanager
def opened(path: Path, *, beginning: bool = False) -> Generator[Disk]:
    """Open a disk of any format that is known. Raises SourceError.

    With ``beginning`` its first part is enough, which is all that archives show.
    """
    with _file(path) as fd:
        name, _at, _mark, opener = _row(fd)
        if beginning:
            opener = BEGINNINGS.get(name, opener)
        yield Disk(path, name, opener(fd, path))


def _row(fd: int) -> tuple[str, int, bytes, _Opener]:
    return next(row for row in _FORMATS if _has(fd, *row[1:3]))


@contextmanager
def _file(path: Path) -> Generator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(
            f"'{path}' cannot be read: {error.strerror}", hint="check who may read it"
        ) from error
    try:
        yield fd
    finally:
        os.close(fd)
