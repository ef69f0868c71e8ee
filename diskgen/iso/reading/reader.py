"""An existing ISO 9660 image as a tree whose files point into it: nothing is copied.

ECMA-119, 8 (volume descriptors) and 9.1 (directory records); Rock Ridge where there is some.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Packed
from . import rockridge
from .bounded import Bounded, opened, shown
from .eltorito import BootEntry, entries
from .rockridge import SECTOR, Attributes

__all__ = ["BootEntry", "Image", "read", "slice_of"]

_SYSTEM_AREA: Final = 16 * SECTOR
_BUDGET: Final = 512 * 1024 * 1024  # bytes of directories and attributes
_MAX_DIRECTORY: Final = 64 * 1024 * 1024
_MAX_ENTRIES: Final = 250_000
_MAX_DEPTH: Final = 64
_MAX_DESCRIPTORS: Final = 64
_IDENTIFIER: Final = b"CD001"
_BOOT_RECORD, _PRIMARY, _TERMINATOR = 0, 1, 255
_EL_TORITO: Final = b"EL TORITO SPECIFICATION"
_CATALOGUE: Final = 71
_RECORD: Final = struct.Struct("<BBI4xI4x7sBBBHHB")  # 9.1 up to the identifier
_DIRECTORY: Final = 0x02
_ASSOCIATED: Final = 0x04
_GOES_ON: Final = 0x80
_SELF, _PARENT = b"\0", b"\1"
_FILE_TYPES: Final = frozenset(
    (stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image; ``size`` is the volume's, which may be followed by something else.

    Extents of ``root``'s files begin at multiples of 2048, in the image and in the file.
    """

    path: Path
    label: str
    size: int
    root: Directory
    boot: tuple[BootEntry, ...]
    system_area: bytes


def read(path: Path) -> Image:
    """Return what an ISO image holds.

    Raises SourceError for a file that is none, is truncated or is damaged.
    """
    with opened(path, _BUDGET) as source:
        head = source.at(0, min(_SYSTEM_AREA + SECTOR, source.size), "the system area")
        if head[_SYSTEM_AREA + 1 : _SYSTEM_AREA + 6] != _IDENTIFIER:
            raise SourceError(
                f"'{path}' is no ISO 9660 image",
                hint="give an installer's boot.iso or DVD image, not compressed",
            )
        primary: bytes | None = None
        catalogue: int | None = None
        for descriptor in _descriptors(source):
            if descriptor[0] == _PRIMARY and primary is None:
                primary = descriptor
            elif descriptor[0] == _BOOT_RECORD and descriptor[7:39].rstrip(b"\0") == _EL_TORITO:
                catalogue = _u32(descriptor, _CATALOGUE) * SECTOR
        if primary is None:
            raise source.damaged("it has no primary volume descriptor")
        block = struct.unpack_from("<H", primary, 128)[0]
        if block != SECTOR:
            raise source.damaged(f"its blocks have {block} bytes, not {SECTOR}")
        size = _u32(primary, 80) * SECTOR
        if size > source.size:
            raise SourceError(
                f"'{path}' is truncated: it has {source.size} of {size} bytes",
                hint="download it again, to the end",
            )
        return Image(
            path=path,
            label=primary[40:72].decode("ascii", "replace").rstrip(" \0"),
            size=size,
            root=_Tree(source).read(primary[156:190]),
            boot=() if catalogue is None else tuple(entries(source, catalogue)),
            system_area=head[:_SYSTEM_AREA],
        )


def slice_of(path: Path, start: int, size: int) -> Packed:
    """Return a range of a file's bytes as content. Raises SourceError for one it does not have."""
    with opened(path, 0) as source:
        source.check(start, size, f"bytes {start} to {start + size}")
    return Packed(path, size, ((0, size, start),) if size else ())


def _descriptors(source: Bounded) -> Iterator[bytes]:
    for number in range(_MAX_DESCRIPTORS):
        found = source.at(_SYSTEM_AREA + number * SECTOR, SECTOR, "a volume descriptor")
        if found[1:6] != _IDENTIFIER:
            break
        if found[0] == _TERMINATOR:
            return
        yield found
    raise source.damaged("its volume descriptors have no end")


@dataclass(frozen=True, slots=True)
class _Record:
    """A directory record; ``extents`` as those of Packed."""

    name: bytes
    flags: int
    mtime_ns: int
    size: int
    extents: tuple[tuple[int, int, int], ...]
    system_use: bytes

    @property
    def start(self) -> int:
        return self.extents[0][2] if self.extents else 0


@dataclass(frozen=True, slots=True)
class _Todo:
    folder: Directory
    path: bytes
    record: _Record
    depth: int


class _Tree:
    def __init__(self, source: Bounded) -> None:
        self._source = source
        self._skip: int | None = None  # bytes before Rock Ridge's; None: there is none
        self._seen: set[int] = set()
        self._count = 0

    def read(self, raw: bytes) -> Directory:
        """Return the tree below the record of the primary volume descriptor."""
        record = self._record(raw)
        if not record.flags & _DIRECTORY:
            raise self._source.damaged("its root is no directory")
        own = self._own(record.start)
        self._skip = rockridge.skipped(own.system_use)
        if self._skip is not None:  # the record with SP has nothing before it
            found = rockridge.attributes(self._source, own.system_use)
        else:
            found = Attributes()
        root = _directory(found, own)
        todo = [_Todo(root, b"", record, 0)]
        while todo:
            item = todo.pop()
            if not self._fill(item, todo) and item.depth == 1:
                del root.entries[item.path]  # held moved directories only: they are in place now
        return root

    def _fill(self, item: _Todo, todo: list[_Todo]) -> bool:
        """Read one directory; False when all it had belongs elsewhere."""
        if item.depth > _MAX_DEPTH:
            raise self._source.damaged(f"more than {_MAX_DEPTH} directories in one another")
        if item.record.size:
            if item.record.start in self._seen:
                raise self._source.damaged(f"directory '/{shown(item.path)}' is in a loop")
            self._seen.add(item.record.start)
        moved = False
        for record in self._files(item.record):
            found = self._attributes(record)
            if found.moved:
                moved = True
                continue
            name = self._name(found, record, item.path)
            path = item.path + b"/" + name if item.path else name
            if name in item.folder.entries:
                raise self._source.damaged(f"'/{shown(path)}' is there twice")
            if found.child is None and not record.flags & _DIRECTORY:
                item.folder.entries[name] = self._file(found, record, path)
                continue
            inner = record
            if found.child is not None:
                inner = self._own(found.child)
                found = self._attributes(inner)
            child = item.folder.entries[name] = _directory(found, inner)
            todo.append(_Todo(child, path, inner, item.depth + 1))
        return bool(item.folder.entries) or not moved

    def _own(self, start: int) -> _Record:
        """Return the record that a directory has of itself (6.8.2.2)."""
        data = self._source.at(start, SECTOR, "a directory")
        record = self._record(data[: data[0]])
        if record.name != _SELF or record.start != start:
            raise self._source.damaged("a directory does not begin with itself")
        return record

    def _files(self, folder: _Record) -> Iterator[_Record]:
        """Yield a directory's records, those of one file's sections as one (6.5.1)."""
        open_: _Record | None = None
        for record in self._records(folder):
            self._count += 1
            if self._count > _MAX_ENTRIES:
                raise self._source.damaged(f"it has more than {_MAX_ENTRIES} files")
            joined = record
            if open_ is not None:
                if record.name != open_.name:
                    raise self._source.damaged("a section of a file is missing")
                joined = self._joined(open_, record)
            if record.flags & _GOES_ON:
                open_ = joined
                continue
            open_ = None
            yield joined
        if open_ is not None:
            raise self._source.damaged("the last section of a file is missing")

    def _records(self, folder: _Record) -> Iterator[_Record]:
        if folder.size > _MAX_DIRECTORY:
            raise self._source.damaged("a directory is too large")
        data = self._source.at(folder.start, folder.size, "a directory")
        at = 0
        while at < len(data):
            length = data[at]
            if not length:  # records do not cross sectors (6.8.1.1)
                at += SECTOR - at % SECTOR
                continue
            if at % SECTOR + length > SECTOR:
                raise self._source.damaged("a directory record crosses sectors")
            record = self._record(data[at : at + length])
            at += length
            if record.name not in (_SELF, _PARENT) and not record.flags & _ASSOCIATED:
                yield record

    def _record(self, raw: bytes) -> _Record:
        if len(raw) < _RECORD.size + 1:
            raise self._source.damaged("a directory record is too short")
        (length, extended, block, size, when, flags, unit, gap, _, _, name_size) = (
            _RECORD.unpack_from(raw)
        )  # fmt: skip
        name = raw[_RECORD.size : _RECORD.size + name_size]
        if length != len(raw) or not name or len(name) != name_size:
            raise self._source.damaged("a directory record does not fit its name")
        if unit or gap:
            raise self._source.damaged("a file is interleaved, which no installer's is")
        start = (block + extended) * SECTOR
        if size:
            self._source.check(start, size, f"'{shown(name)}'")
        use = raw[_RECORD.size + name_size + (name_size + 1) % 2 :]
        extents = ((0, size, start),) if size else ()
        return _Record(name, flags, _time(when), size, extents, use)

    def _joined(self, first: _Record, record: _Record) -> _Record:
        size = first.size + record.size
        if size > self._source.size:
            raise self._source.damaged(f"'{shown(record.name)}' is larger than the image")
        extents = list(first.extents)
        for _, length, start in record.extents:
            at, before, begin = extents[-1] if extents else (0, 0, start)
            if begin + before == start:
                extents[-1:] = [(at, before + length, begin)]
            else:
                extents.append((first.size, length, start))
        return replace(first, size=size, extents=tuple(extents))

    def _attributes(self, record: _Record) -> Attributes:
        if self._skip is None:
            return Attributes()
        return rockridge.attributes(self._source, record.system_use[self._skip :])

    def _name(self, found: Attributes, record: _Record, path: bytes) -> bytes:
        name = found.name
        if name is None:  # ISO 9660's own: NAME.EXT;1
            name = record.name.partition(b";")[0].removesuffix(b".").lower()
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise self._source.damaged(f"a name '{shown(name)}' in '/{shown(path)}' is none")
        return name

    def _file(self, found: Attributes, record: _Record, path: bytes) -> File:
        mode = found.mode if found.mode is not None else stat.S_IFREG | 0o644
        kind = stat.S_IFMT(mode)
        if kind not in _FILE_TYPES or (kind == stat.S_IFLNK) != (found.target is not None):
            raise self._source.damaged(f"'/{shown(path)}' has the wrong type")
        file = File(
            mode=mode & 0o177777,
            uid=found.uid,
            gid=found.gid,
            mtime_ns=record.mtime_ns,
            target=found.target or b"",
            rdev=found.rdev,
        )
        if file.is_regular:
            file.content = Packed(self._source.path, record.size, record.extents)
        return file


def _directory(found: Attributes, record: _Record) -> Directory:
    mode = found.mode if found.mode is not None else 0o755
    return Directory(
        mode=stat.S_IFDIR | stat.S_IMODE(mode),
        uid=found.uid,
        gid=found.gid,
        mtime_ns=record.mtime_ns,
    )


def _time(raw: bytes) -> int:
    """Return nanoseconds since 1970 (9.1.5); 0 for a time that is none."""
    try:
        years, month, day, hour, minute, second, quarters = struct.unpack("6Bb", raw)
        zone = timezone(timedelta(minutes=15 * quarters))
        when = datetime(1900 + years, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return 0
    return max(int(when.timestamp()), 0) * 1_000_000_000


def _u32(data: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", data, at)[0]
    return value
