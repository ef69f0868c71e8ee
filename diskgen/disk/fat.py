"""The EFI system partition: made by mkfs.vfat, filled by mtools, right inside the disk file.

Both write times of their own; the ones that matter are set again afterwards, so that the same
files give the same bytes on any day. Format: "Microsoft Extensible Firmware Initiative FAT32 File
System Specification" 1.03.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final

from .. import scratch
from ..budgets import TOOL_SECONDS
from ..errors import UsageError
from ..run import run
from ..units import KIB, MIB, format_size
from ..workspace import neutral
from . import fatnames

_SMALL: Final = 64 * MIB  # such filesystems are FAT16
_ENTRY: Final = 32  # bytes of a directory entry
_AT_ONCE: Final = 500  # files that one program copies
_END: Final = {True: 0x0FFF_FFF8, False: 0xFFF8}  # of a chain, in FAT32 or FAT16


def make(
    disk: Path,
    *,
    offset: int,
    size: int,
    label: str,
    volume_id: int,
    timestamp: int,
    sector_size: int = 512,
    files: Mapping[str, bytes],
) -> None:
    """Make a FAT filesystem at byte ``offset``, a multiple of the sector size, with files.

    It is FAT32, or FAT16 below 64 MiB. ``files`` maps paths such as ``EFI/BOOT/BOOTX64.EFI`` to
    contents. Raises UsageError when they do not fit, SourceError for what ``fatnames.check``
    refuses, ToolError when a tool fails.
    """
    fatnames.check(files)
    need = required(files)
    if need > size * 9 // 10:
        raise UsageError(
            f"the boot files need {format_size(need)}, the ESP has {format_size(size)}"
        )
    # FAT32 is what has at least 65,525 clusters, FAT16 at least 4085, whatever a label says
    # (specification, page 15).
    bits, per_cluster = "32", 8 if size // (8 * sector_size) > 66_000 else 1
    if size < _SMALL:
        bits, per_cluster = "16", 4 if size > _SMALL // 4 else 1
    with neutral(disk) as name:
        argv: list[str | Path] = [
            "mkfs.vfat", "-I", "-F", bits, "-S", str(sector_size), "-s", str(per_cluster),
            "--invariant", "-i", f"{volume_id:08x}", "-n", label,
            "--offset", str(offset // sector_size), name, str(size // KIB),
        ]  # fmt: skip
        run(argv, timeout=TOOL_SECONDS.limit)
        _fill(f"{name}@@{offset}", files, timestamp)
    _set_times(disk, offset, timestamp)


def _fill(image: str, files: Mapping[str, bytes], timestamp: int) -> None:
    """Put files into a filesystem, named as mtools name images."""
    folders = sorted(fatnames.folders(files), key=lambda path: (path.count("/"), path))
    # mtools knows no time but its own; the zone must not matter. It reads ~/.mtoolsrc, always.
    env = {"MTOOLS_SKIP_CHECK": "1", "HOME": "/nonexistent", "TZ": "UTC"}
    # mcopy goes round in circles with a question that it asks; a slow disk is no such thing.
    seconds = TOOL_SECONDS.limit + required(files) // MIB
    if folders:
        made = (f"::/{folder}" for folder in folders)
        run(["mmd", "-i", image, *made], env=env, timeout=seconds)
    with scratch.directory() as top:
        for number, paths in enumerate(_copies(files)):
            place = top / str(number)
            place.mkdir()
            sources: list[Path] = []
            for path in paths:
                source = place / path.rpartition("/")[2]
                source.write_bytes(files[path])
                os.utime(source, (timestamp, timestamp))
                sources.append(source)
            folder = paths[0].rpartition("/")[0]
            target = f"::/{folder.replace('[', '[[]')}"  # a pattern, to mtools
            run(["mcopy", "-m", "-i", image, *sources, target], env=env, timeout=seconds)
            shutil.rmtree(place)


def _copies(files: Iterable[str]) -> Iterator[list[str]]:
    """Yield what one call copies: files of a directory, in the order of all paths."""
    for _folder, group in groupby(sorted(files), key=lambda path: path.rpartition("/")[0]):
        paths = list(group)
        for at in range(0, len(paths), _AT_ONCE):
            yield paths[at : at + _AT_ONCE]


def required(files: Mapping[str, bytes]) -> int:
    """Return the bytes of a filesystem that files take, each in whole clusters."""
    return sum(len(data) + 4 * KIB for data in files.values())


def _set_times(disk: Path, offset: int, timestamp: int) -> None:
    """Give every directory entry the same times: creation, access, modification."""
    when = time.gmtime(max(timestamp, 315532800))  # FAT's time begins in 1980
    date = (when.tm_year - 1980) << 9 | when.tm_mon << 5 | when.tm_mday
    clock = when.tm_hour << 11 | when.tm_min << 5 | when.tm_sec // 2
    with disk.open("r+b") as file:
        file.seek(offset)
        boot = file.read(512)
        sector, per_cluster, reserved, fats, slots = struct.unpack_from("<HBHBH", boot, 11)
        fat_sectors = struct.unpack_from("<H", boot, 22)[0]
        wide = fat_sectors == 0  # FAT32 has its number elsewhere
        if wide:
            fat_sectors = struct.unpack_from("<I", boot, 36)[0]
        file.seek(offset + reserved * sector)
        fat = memoryview(file.read(fat_sectors * sector)).cast("I" if wide else "H")
        top = offset + (reserved + fats * fat_sectors) * sector
        data = top + slots * _ENTRY  # FAT16 has a root directory of its own
        size = per_cluster * sector
        pending = [struct.unpack_from("<I", boot, 44)[0]] if wide else []
        if not wide:
            pending += _stamp(file, top, slots * _ENTRY, date, clock)
        while pending:
            cluster = pending.pop()
            while 2 <= cluster < _END[wide]:
                pending += _stamp(file, data + (cluster - 2) * size, size, date, clock)
                cluster = fat[cluster] & 0x0FFF_FFFF


def _stamp(file: BinaryIO, at: int, size: int, date: int, clock: int) -> list[int]:
    """Set the times in a piece of a directory; return the first clusters of directories in it."""
    file.seek(at)
    block = bytearray(file.read(size))
    found: list[int] = []
    for entry in range(0, size, _ENTRY):
        first, attributes = block[entry], block[entry + 11]
        if first == 0:
            break
        if first == 0xE5 or attributes == 0x0F:  # deleted, or part of a long name
            continue
        block[entry + 13] = 0
        struct.pack_into("<HHH", block, entry + 14, clock, date, date)
        struct.pack_into("<HH", block, entry + 22, clock, date)
        if attributes & 0x10 and block[entry] != ord("."):
            high, low = (struct.unpack_from("<H", block, entry + at_)[0] for at_ in (20, 26))
            found.append(high << 16 | low)
    file.seek(at)
    file.write(block)
    return found
