"""The files of a FAT12, FAT16 or FAT32 filesystem that lies anywhere in a file: read, checked.

Microsoft Extensible Firmware Initiative FAT32 File System Specification 1.03 (FAT types: 3.5;
directories: 6; long names: 7).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .bounded import Bounded, opened, shown

_MAX_CONTENT: Final = 256 * 1024 * 1024
_MAX_FILES: Final = 10_000  # and directories
_MAX_TABLE: Final = 16 * 1024 * 1024
_MAX_DEPTH: Final = 32
_MAX_DIRECTORY: Final = 65536 * 32
_BUDGET: Final = _MAX_CONTENT + _MAX_TABLE + 1024 * 1024
_BOOT: Final = struct.Struct("<11xHBHBHHxH8xII4xI")  # 3.1 and 3.3, to the root's cluster
_MAX_FAT12: Final = 4084  # clusters
_MAX_FAT16: Final = 65524
_ENTRY: Final = 32
_DELETED: Final = 0xE5
_VOLUME: Final = 0x08
_DIRECTORY: Final = 0x10
_LONG: Final = 0x0F
_LAST_LONG: Final = 0x40
_ENDS: Final = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFF_FFF8}  # of a chain, by bits of an entry
_MAX_LONG: Final = 20  # entries of one name


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a directory of it; ``size`` in bytes."""

    name: str
    folder: bool
    cluster: int
    size: int


def fat_files(path: Path, start: int) -> dict[str, bytes]:
    """Return all files of the filesystem at a byte offset: content by path.

    Raises SourceError for what is no FAT, is damaged, or is larger than boot programs are.
    """
    with opened(path, _BUDGET) as source:
        volume = Volume(source, start)
        found: dict[str, bytes] = {}
        total = 0
        for name, entry in volume.walk():
            total += entry.size
            if total > _MAX_CONTENT:
                raise source.damaged("its EFI image holds more than boot programs need")
            found[name] = volume.content(entry)
        return found


class Volume:
    """One filesystem at byte ``start`` of a file. Raises SourceError for one that is none."""

    def __init__(self, source: Bounded, start: int) -> None:
        self._source = source
        boot = source.at(start, 512, "the EFI image")
        (
            sector, per_cluster, reserved, copies, root_entries, small, table_small, total,
            table_large, root,
        ) = _BOOT.unpack_from(boot)  # fmt: skip
        sectors = small or total
        table = table_small or table_large
        if (
            boot[510:] != b"\x55\xaa"
            or sector not in (512, 1024, 2048, 4096)
            or per_cluster not in (1, 2, 4, 8, 16, 32, 64, 128)
            or not (reserved and copies and table and sectors)
        ):
            raise source.damaged("its EFI image is no FAT filesystem")
        root_sectors = -(-root_entries * _ENTRY // sector)
        data = reserved + copies * table + root_sectors
        self._clusters = (sectors - data) // per_cluster
        if self._clusters < 1:
            raise source.damaged("its EFI image has no room for files")
        self._bits = 12 if self._clusters <= _MAX_FAT12 else 16
        if not table_small:  # as the kernel and firmware tell it, whatever the size
            self._bits = 32
        elif self._clusters > _MAX_FAT16:
            raise source.damaged("the table of its EFI image does not fit its size")
        self._cluster_size = sector * per_cluster
        self._data = start + data * sector
        source.check(start, sectors * sector, "the EFI image")
        need = (self._clusters + 2) * self._bits // 8 + 1
        if need > min(_MAX_TABLE, table * sector + 1):
            raise source.damaged("the table of its EFI image does not fit its size")
        self._table = source.at(start + reserved * sector, need, "the EFI image's table")
        self._root = root
        self._root_start = start + (reserved + copies * table) * sector
        self._root_size = root_entries * _ENTRY

    def walk(self) -> Iterator[tuple[str, Entry]]:
        """Yield the path and the entry of every file; directories alone have none.

        Raises SourceError for what is damaged or has more files than boot programs need.
        """
        source = self._source
        names: set[str] = set()
        seen: set[int] = set()
        todo = [("", self._top(), 0)]
        count = 0
        while todo:
            parent, entries, depth = todo.pop()
            for entry in entries:
                name = parent + entry.name
                count += 1
                if count > _MAX_FILES or depth > _MAX_DEPTH:
                    raise source.damaged("its EFI image has more files than boot programs need")
                if name in names:
                    raise source.damaged(f"'{_shown(name)}' is in its EFI image twice")
                if not entry.folder:
                    names.add(name)
                    yield name, entry
                    continue
                if entry.cluster in seen:
                    raise source.damaged(f"'{_shown(name)}' of its EFI image is in a loop")
                seen.add(entry.cluster)
                todo.append((f"{name}/", self._folder(entry), depth + 1))

    def free(self) -> int:
        """Return the bytes that are free."""
        used = sum(1 for number in range(2, self._clusters + 2) if self._raw(number))
        return int((self._clusters - used) * self._cluster_size)

    def _top(self) -> Iterator[Entry]:
        if self._bits == 32:
            return self._entries(self._read(self._root, None))
        return self._entries(self._source.at(self._root_start, self._root_size, "the EFI image"))

    def _folder(self, entry: Entry) -> Iterator[Entry]:
        return self._entries(self._read(entry.cluster, None))

    def content(self, entry: Entry) -> bytes:
        """Return what a file holds. Raises SourceError where it is damaged."""
        return self._read(entry.cluster, entry.size) if entry.size else b""

    def _read(self, cluster: int, size: int | None) -> bytes:
        """Return what a chain of clusters holds, a directory's whole where size is None."""
        limit = _MAX_DIRECTORY if size is None else size
        out = bytearray()
        for first, count in self._runs(cluster, -(-limit // self._cluster_size)):
            at = self._data + (first - 2) * self._cluster_size
            out += self._source.at(at, count * self._cluster_size, "a file of the EFI image")
        if size is not None and len(out) < size:
            raise self._source.damaged("a file of its EFI image ends early")
        return bytes(out[:size])

    def _runs(self, cluster: int, most: int) -> Iterator[tuple[int, int]]:
        """Yield (first cluster, number) of a chain's parts that lie together."""
        first, count = cluster, 0
        for _ in range(most):
            if not 2 <= cluster < self._clusters + 2:
                raise self._source.damaged("a chain of clusters of its EFI image is broken")
            count += 1
            following = self._next(cluster)
            if following is None:
                break
            if following != cluster + 1:
                yield first, count
                first, count = following, 0
            cluster = following
        if count:
            yield first, count

    def _next(self, cluster: int) -> int | None:
        """Return the cluster that follows in a chain; None at its end."""
        value = self._raw(cluster)
        return None if value >= _ENDS[self._bits] else value

    def _raw(self, cluster: int) -> int:
        """Return a cluster's entry of the table (4)."""
        if self._bits == 12:
            pair = int(struct.unpack_from("<H", self._table, cluster * 3 // 2)[0])
            return pair >> 4 if cluster % 2 else pair & 0xFFF
        if self._bits == 16:
            return int(struct.unpack_from("<H", self._table, cluster * 2)[0])
        return int.from_bytes(self._table[cluster * 4 : cluster * 4 + 4], "little") & 0x0FFF_FFFF

    def _entries(self, data: bytes) -> Iterator[Entry]:
        long: dict[int, bytes] = {}
        checksum = -1
        for at in range(0, len(data) - _ENTRY + 1, _ENTRY):
            raw = data[at : at + _ENTRY]
            if not raw[0]:
                return
            if raw[0] == _DELETED:
                long = {}
                continue
            if raw[11] & 0x3F == _LONG:
                if raw[0] & _LAST_LONG:
                    long, checksum = {}, raw[13]
                if raw[13] == checksum:
                    long[raw[0] & 0x3F] = raw[1:11] + raw[14:26] + raw[28:32]
                continue
            name = _short(raw)
            if long and _checksum(raw) == checksum:
                name = _long(long) or name
            long = {}
            if raw[11] & _VOLUME or raw[:11].rstrip() in (b".", b".."):
                continue
            if not name or "/" in name or "\0" in name or name in (".", ".."):
                raise self._source.damaged(f"a name '{_shown(name)}' in its EFI image is none")
            high = struct.unpack_from("<H", raw, 20)[0] if self._bits == 32 else 0
            low, size = struct.unpack_from("<HI", raw, 26)
            yield Entry(name, bool(raw[11] & _DIRECTORY), high << 16 | low, size)


def _short(raw: bytes) -> str:
    """Return a name of 8 and 3 characters (6.1)."""
    first = b"\xe5" if raw[0] == 5 else raw[:1]
    stem, extension = (first + raw[1:8]).rstrip(b" "), raw[8:11].rstrip(b" ")
    return (stem + (b"." + extension if extension else b"")).decode("cp437").upper()


def _long(parts: dict[int, bytes]) -> str | None:
    """Return a long name, None when a part of it is missing."""
    if len(parts) > _MAX_LONG or set(parts) != set(range(1, len(parts) + 1)):
        return None
    text = b"".join(parts[number] for number in sorted(parts)).decode("utf-16-le", "replace")
    return text.partition("\0")[0]


def _checksum(raw: bytes) -> int:
    """Return the sum of a short name by which long ones belong to it (7.2)."""
    total = 0
    for byte in raw[:11]:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total


def _shown(name: str) -> str:
    return shown(name.encode(errors="replace"))
