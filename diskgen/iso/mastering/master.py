"""A tree becomes an ISO 9660 image with Rock Ridge, Joliet and El Torito, by pycdlib.

The same tree gives the same bytes: pycdlib's clock and time zone are ours while it works.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import IO, BinaryIO, Final, cast

import pycdlib
from pycdlib import dates, headervd, pycdlibexception
from pycdlib import pycdlib as implementation

from ...errors import HostError, VerifyError
from ...tree import Content, Data, Directory, Packed
from ...units import MIB, align_up
from .names import MAX_LABEL, check_label, iso_names, joliet_names

SECTOR: Final = 2048
_JOLIET_LABEL: Final = 16
_JOLIET_TEXT: Final = 64
_DESCRIPTOR: Final = 16 * SECTOR  # the primary volume descriptor (ECMA-119, 8.4)
_TEXTS: Final = ((40, MAX_LABEL), (318, 128), (574, 128))  # label, publisher, application
_SPACE: Final = 80  # bytes into a descriptor: the sectors of the volume, both byte orders (8.4.8)
_DESCRIPTORS: Final = {1, 2}  # primary, and Joliet's
_TERMINATOR: Final = 255
# Sectors behind the last file, as many as mkisofs gives: reading ahead stays on the medium, and
# what tests a medium leaves the last ones of a volume out, which are then no one's.
_PADDING: Final = 150
_CATALOG: Final = "boot.cat"
_MAX_OPEN: Final = 64
_SECTION: Final = 0xFFFF_F800  # bytes that one section of a file holds at most


@dataclass(frozen=True, slots=True, kw_only=True)
class BootImage:
    """One entry of the boot catalogue (El Torito 1.0, 2.0)."""

    path: str  # of the image in the tree
    efi: bool  # platform 0xEF, else 0x00
    load_size: int | None = None  # 512-byte sectors the firmware loads; None: the whole image
    info_table: bool = False  # write mkisofs's boot information table into it


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """What to master. ``timestamp`` in seconds since 1970; modes below ``root`` are kept."""

    root: Directory
    label: str
    timestamp: int
    application: str
    publisher: str = ""
    boot: tuple[BootImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Mastered:
    """Where files came to lie: byte offsets by path, for those of the boot catalogue."""

    size: int
    places: Mapping[str, int] = field(default_factory=dict[str, int])


def master(output: Path, medium: Medium) -> Mastered:
    """Write a new image file. Raises UsageError for a bad label, HostError when this machine fails.

    Holes are written as zeros. Files of one content have the same extents, linked or not.
    """
    check_label(medium.label)
    with _frozen(medium.timestamp), ExitStack() as opened:
        iso = pycdlib.PyCdlib()
        iso.new(
            interchange_level=3,
            sys_ident="LINUX",
            vol_ident=medium.label[:_JOLIET_LABEL],
            pub_ident_str=medium.publisher[:_JOLIET_TEXT],
            app_ident_str=medium.application[:_JOLIET_TEXT],
            rock_ridge="1.09",
            joliet=3,
        )
        opened.callback(iso.close)
        packs = _Packs()
        opened.callback(packs.close)
        paths: dict[str, str] = {}
        try:
            _add(iso, medium.root, "", "", "", paths, packs, {})
            for image in medium.boot:
                _add_boot(iso, image, paths)
            with output.open("wb") as file:
                iso.write_fp(file, blocksize=MIB)
        except OSError as error:
            raise HostError(f"'{output}' cannot be written: {error.strerror}") from error
        except pycdlibexception.PyCdlibException as error:
            raise VerifyError(f"the image cannot be mastered: {error}") from error
        places = {
            image.path: iso.get_record(iso_path=paths[image.path]).extent_location() * SECTOR
            for image in medium.boot
        }
    with output.open("r+b") as file:
        # pycdlib takes no more than Joliet can hold.
        for text, (at, size) in zip(
            (medium.label, medium.publisher, medium.application), _TEXTS, strict=True
        ):
            file.seek(_DESCRIPTOR + at)
            file.write(text.encode().ljust(size))
        size = _pad(file)
    return Mastered(size, places)


def _pad(file: BinaryIO) -> int:
    """Let the volume end behind its last file; return its bytes."""
    size = align_up(file.seek(0, io.SEEK_END), SECTOR) + _PADDING * SECTOR
    file.truncate(size)
    at = _DESCRIPTOR
    while True:
        file.seek(at)
        kind = file.read(1)[0]
        if kind == _TERMINATOR:
            return size
        if kind in _DESCRIPTORS:
            file.seek(at + _SPACE)
            file.write(struct.pack("<I", size // SECTOR) + struct.pack(">I", size // SECTOR))
        at += SECTOR


def _add(
    iso: pycdlib.PyCdlib,
    folder: Directory,
    path: str,
    iso_path: str,
    joliet_path: str,
    paths: dict[str, str],
    packs: _Packs,
    links: dict[tuple[Content, int], str],
) -> None:
    """Add all that is below a directory; ``paths`` gets the ISO 9660 name of every file.

    ``links`` are the names of contents: one that is there under several lies there once.
    """
    names = {raw.decode("utf-8", "surrogateescape"): node for raw, node in folder.entries.items()}
    folders = frozenset(name for name, node in names.items() if isinstance(node, Directory))
    short, joliet = iso_names(names, directories=folders), joliet_names(names)
    for name in sorted(names):
        node = names[name]
        here, there = f"{iso_path}/{short[name]}", f"{joliet_path}/{joliet[name]}"
        full = f"{path}/{name}" if path else name
        if isinstance(node, Directory):
            iso.add_directory(here, rr_name=name, joliet_path=there, file_mode=node.mode)
            _add(iso, node, full, here, there, paths, packs, links)
        elif node.is_symlink:
            target = node.target.decode("utf-8", "surrogateescape")
            iso.add_symlink(here, rr_symlink_name=name, rr_path=target)
        elif node.content is not None:
            once = 0 < node.size < _SECTION  # what has several sections pycdlib does not link
            known = links.setdefault((node.content, node.mode), here) if once else here
            if known != here:
                # Of its keywords pycdlib tells no types.
                link = cast(
                    "Callable[..., None]",
                    iso.add_hard_link,  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
                )
                link(iso_old_path=known, iso_new_path=here, rr_name=name)
                link(iso_old_path=known, joliet_new_path=there)
            else:
                iso.add_fp(
                    cast("BinaryIO", _Stream(node.content, packs)),
                    node.size,
                    here,
                    rr_name=name,
                    joliet_path=there,
                    file_mode=node.mode,
                )
            paths[full] = here


def _add_boot(iso: pycdlib.PyCdlib, image: BootImage, paths: Mapping[str, str]) -> None:
    iso.add_eltorito(
        paths[image.path],
        bootcatfile="/BOOT.CAT;1",
        rr_bootcatname=_CATALOG,
        joliet_bootcatfile=f"/{_CATALOG}",
        efi=image.efi,
        platform_id=0xEF if image.efi else 0,
        boot_info_table=image.info_table,
        boot_load_size=image.load_size,
    )


class _Packs:
    """The pack files that were read last: a medium has more files than a process may open."""

    def __init__(self) -> None:
        self._open: dict[Path, IO[bytes]] = {}

    def read(self, content: Packed, offset: int, length: int) -> bytes:
        path = content.pack
        file = self._open.pop(path, None)
        if file is None:
            if len(self._open) >= _MAX_OPEN:
                self._open.pop(next(iter(self._open))).close()
            file = path.open("rb")
        self._open[path] = file  # the last one is the latest
        if content.sums is not None:
            content.sums.check(file.fileno(), offset, length)
        file.seek(offset)
        data = file.read(length)
        if len(data) != length:
            raise HostError(f"'{path}' is shorter than its index says")
        return data

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()


class _Stream(io.RawIOBase):
    """A content as a file."""

    def __init__(self, content: Content, packs: _Packs) -> None:
        self._content = content
        self._packs = packs
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._content.size - self._at, 0)
        data = self._bytes(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _bytes(self, at: int, size: int) -> bytes:
        if isinstance(self._content, Data):
            return self._content.data[at : at + size]
        for begin, length, offset in self._content.extents:
            if begin <= at and at + size <= begin + length:  # nearly always: not copied again
                return self._packs.read(self._content, offset + at - begin, size)
        out = bytearray(size)
        for begin, length, offset in self._content.extents:
            low, high = max(begin, at), min(begin + length, at + size)
            if low < high:
                out[low - at : high - at] = self._packs.read(
                    self._content, offset + low - begin, high - low
                )
        return bytes(out)


@contextmanager
def _frozen(timestamp: int) -> Generator[None]:
    """Let pycdlib know no time but this one, in UTC."""
    clock = SimpleNamespace(**{name: getattr(time, name) for name in dir(time)})
    clock.time = lambda: float(timestamp)
    clock.localtime = time.gmtime
    modules = (dates, headervd, implementation)
    for module in modules:
        vars(module)["time"] = clock
    try:
        yield
    finally:
        for module in modules:
            vars(module)["time"] = time
