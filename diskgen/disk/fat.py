"""The EFI system partition: made by mkfs.vfat, filled by mtools, right inside the disk file.

Both write times of their own; the ones that matter are set again afterwards, so that the same
files give the same bytes on any day. Format: "Microsoft Extensible Firmware Initiative FAT32 File
System Specification" 1.03.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from ..run import run
from ..units import KIB, format_size


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
    """Make a FAT32 filesystem at byte ``offset``, a multiple of the sector size, with files.

    ``files`` maps paths such as ``EFI/BOOT/BOOTX64.EFI`` to contents. Raises UsageError when they
    do not fit, ToolError when a tool fails.
    """
    need = sum(len(data) + 4 * KIB for data in files.values())
    if need > size * 9 // 10:
        raise UsageError(
            f"the boot files need {format_size(need)}, the ESP has {format_size(size)}"
        )
    # FAT32 is what has at least 65,525 clusters, whatever a label says (specification, page 15).
    per_cluster = 8 if size // (8 * sector_size) > 66_000 else 1
    run(
        [
            "mkfs.vfat", "-F", "32", "-S", str(sector_size), "-s", str(per_cluster), "--invariant",
            "-i", f"{volume_id:08x}",
            "-n", label, "--offset", str(offset // sector_size), disk, str(size // KIB),
        ]
    )  # fmt: skip
    image = f"{disk}@@{offset}"
    folders = sorted(
        {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."},
        key=lambda path: (path.count("/"), path),
    )
    # mtools knows no time but its own; the zone must not matter.
    env = {"MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null", "TZ": "UTC"}
    if folders:
        run(["mmd", "-i", image, *(f"::/{folder}" for folder in folders)], env=env)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "file"
        for path in sorted(files):
            source.write_bytes(files[path])
            os.utime(source, (timestamp, timestamp))
            run(["mcopy", "-m", "-i", image, source, f"::/{path}"], env=env)
    _set_times(disk, offset, timestamp)


def _set_times(disk: Path, offset: int, timestamp: int) -> None:
    """Give every directory entry the same times: creation, access, modification."""
    when = time.gmtime(max(timestamp, 315532800))  # FAT's time begins in 1980
    date = (when.tm_year - 1980) << 9 | when.tm_mon << 5 | when.tm_mday
    clock = when.tm_hour << 11 | when.tm_min << 5 | when.tm_sec // 2
    with disk.open("r+b") as file:
        file.seek(offset)
        boot = file.read(512)
        sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", boot, 11)
        fat_sectors, root = struct.unpack_from("<I4xI", boot, 36)
        file.seek(offset + reserved * sector)
        fat = memoryview(file.read(fat_sectors * sector)).cast("I")
        data = offset + (reserved + fats * fat_sectors) * sector
        cluster_size = per_cluster * sector
        pending = [root]
        while pending:
            cluster = pending.pop()
            while 2 <= cluster < 0x0FFFFFF8:
                at = data + (cluster - 2) * cluster_size
                file.seek(at)
                block = bytearray(file.read(cluster_size))
                for entry in range(0, cluster_size, 32):
                    first, attributes = block[entry], block[entry + 11]
                    if first == 0:
                        break
                    if first == 0xE5 or attributes == 0x0F:  # deleted, or part of a long name
                        continue
                    block[entry + 13] = 0
                    struct.pack_into("<HHH", block, entry + 14, clock, date, date)
                    struct.pack_into("<HH", block, entry + 22, clock, date)
                    if attributes & 0x10 and block[entry] != ord("."):
                        high, low = (
                            struct.unpack_from("<H", block, entry + at_)[0] for at_ in (20, 26)
                        )
                        pending.append(high << 16 | low)
                file.seek(at)
                file.write(block)
                cluster = fat[cluster] & 0x0FFFFFFF
