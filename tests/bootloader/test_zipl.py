"""Boot maps for s390x, loaded again by an independent reader; files found by debugfs too."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.bootloader import zipl, zipl_loader
from diskgen.bootloader.zipl import Program
from diskgen.disk import ext4
from diskgen.disk.ext4.reader import Located, locate
from diskgen.errors import SourceError, VerifyError
from diskgen.tree import Data, Directory, File, Packed, regular
from diskgen.units import MIB

from ..fixtures.ext4_disks import OFFSET, WHEN, empty
from ..oracles.bootmap import load

STAGE3 = bytes(range(256)) * 60


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def dense(data: bytes) -> File:
    return File(mode=0o100644, content=Data(data), dense=True)


KERNELS = {f"vmlinuz-{number}": noise(3 * MIB + 77 * number, number) for number in (1, 2)}
INITRDS = {f"initramfs-{number}": noise(MIB + 5000 + number, 10 + number) for number in (1, 2)}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with an ext4 that has two kernels and room for a map."""
    root = Directory()
    for name, data in (KERNELS | INITRDS).items():
        root.add(f"ostree/{name}", dense(data))
    root.add("bootmap", dense(b"\xff" * zipl.MAP_SIZE))
    made = empty(tmp_path / "disk", 64 * MIB)
    ext4.populate(made, offset=OFFSET, root=root, timestamp=WHEN)
    return made


def program(disk: Path, number: int) -> Program:
    return Program(
        kernel=locate(disk, OFFSET, f"ostree/vmlinuz-{number}"),
        initrd=locate(disk, OFFSET, f"ostree/initramfs-{number}"),
        command_line=f"root=UUID=1 rw entry={number}",
    )


def write(disk: Path, programs: list[Program], sector_size: int) -> None:
    place = locate(disk, OFFSET, "bootmap")
    with disk.open("r+b") as file:
        for item in zipl.boot_map(programs, STAGE3, place, sector_size=sector_size):
            file.seek(item.at)
            file.write(item.data)


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_what_the_firmware_loads(disk: Path, sector_size: int) -> None:
    write(disk, [program(disk, 1), program(disk, 2)], sector_size)
    for chosen, number in ((0, 1), (1, 1), (2, 2)):
        loaded = load(disk, chosen, sector_size=sector_size)
        assert loaded.psw == 0x000800008000A000
        assert loaded.at(0xA000, len(STAGE3)) == STAGE3
        line, initrd, initrd_size, psw, extra, flags, size, kernel, block, length = struct.unpack(
            ">10Q", loaded.at(0x9000, 80)
        )
        assert (kernel, psw, flags) == (0x10000, 0x0008000080010000, 1 << 48)
        assert extra == block == length == 0
        assert loaded.at(kernel, size) == KERNELS[f"vmlinuz-{number}"]
        assert loaded.at(initrd, initrd_size) == INITRDS[f"initramfs-{number}"]
        text = f"root=UUID=1 rw entry={number}".encode()
        assert loaded.at(line, len(text) + 1) == text + b"\0"
        assert line % 0x1000 == initrd % 0x10000 == 0
        assert kernel + size <= line < initrd


def test_the_filesystem_stays_whole(disk: Path) -> None:
    write(disk, [program(disk, 1)], 512)
    ext4.check(disk, offset=OFFSET, size=64 * MIB)


def test_the_partition_table_stays(disk: Path) -> None:
    items = zipl.boot_map([program(disk, 1)], STAGE3, locate(disk, OFFSET, "bootmap"),
                          sector_size=512)  # fmt: skip
    last = items[-1]
    assert last.at == 0
    assert len(last.data) == 152  # boot code alone; the table begins at 446
    assert all(item.at >= OFFSET for item in items[:-1])


def test_files_are_where_debugfs_says(disk: Path) -> None:
    for name, data in (KERNELS | INITRDS).items():
        found = locate(disk, OFFSET, f"ostree/{name}")
        assert found.size == len(data)
        argv = ["debugfs", "-R", f"blocks /ostree/{name}", f"{disk}?offset={OFFSET}"]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        blocks = [int(word) for word in re.findall(r"\d+", said)]
        mine = [
            (begin - OFFSET) // 4096 + number
            for begin, length in found.runs
            for number in range(length // 4096)
        ]
        assert mine == blocks
        with disk.open("rb") as file:
            read = b""
            for begin, length in found.runs:
                file.seek(begin)
                read += file.read(length)
        assert read[: len(data)] == data


def test_files_of_many_extents_are_found(tmp_path: Path) -> None:
    """Small files take turns with a large directory: the extents need a tree of their own."""
    root = Directory()
    large = root.make_dirs("many")
    for number in range(3000):
        large.entries[f"file-{number:04}-{'x' * 80}".encode()] = regular(b"")
    root.add("many/last", regular(b"found"))
    made = empty(tmp_path / "disk", 64 * MIB)
    ext4.populate(made, offset=OFFSET, root=root, timestamp=WHEN)
    assert locate(made, OFFSET, "many/last").size == 5


@pytest.mark.parametrize(
    ("path", "words"),
    [("nothing", "is not on the disk"), ("ostree", "is no file"), ("holes", "has a hole"),
     ("ostree/vmlinuz-1/below", "is not on the disk")],
)  # fmt: skip
def test_what_cannot_be_located(tmp_path: Path, path: str, words: str) -> None:
    pack = tmp_path / "pack"
    pack.write_bytes(bytes(range(256)) * 64)
    holes = Packed(pack, 5 * 4096, ((0, 4096, 0), (4 * 4096, 4096, 4096)))
    root = Directory(entries={b"holes": File(mode=0o100644, content=holes)})
    root.add("ostree/vmlinuz-1", dense(b"kernel"))
    made = empty(tmp_path / "disk", 64 * MIB)
    ext4.populate(made, offset=OFFSET, root=root, timestamp=WHEN)
    with pytest.raises(VerifyError, match=words):
        locate(made, OFFSET, path)


def kernel(room: int) -> bytes:
    head = bytearray(0x20000)
    head[0x10008:0x1000E] = b"S390EP"
    struct.pack_into(">Q", head, 0x10430, room)
    return bytes(head)


@pytest.mark.parametrize("path", ["usr/lib/s390-tools/stage3.bin", "usr/sbin/zipl"])
def test_an_image_without_a_part_of_zipl(path: str) -> None:
    root = Directory()
    for name in ("usr/lib/s390-tools/stage3.bin", "usr/sbin/zipl"):
        root.add(name, regular(b"x"))
    whole = zipl_loader.inspect(root, MACHINES["s390x"], 512)
    assert (whole.name, whole.hook, whole.ways[0].works) == ("zipl", "zipl", True)
    root.add(path, Directory())
    with pytest.raises(SourceError) as caught:
        zipl_loader.inspect(root, MACHINES["s390x"], 512)
    assert f"there is no '/{path}'" in str(caught.value)
    assert "and no" not in str(caught.value)


def test_kernels_are_checked() -> None:
    zipl.check_kernel(kernel(4096), "x" * 4095)
    zipl.check_kernel(kernel(0), "x" * 895)
    with pytest.raises(SourceError, match="'4097' bytes"):
        zipl.check_kernel(kernel(4096), "x" * 4096)
    with pytest.raises(SourceError, match="'897' bytes"):
        zipl.check_kernel(kernel(0), "x" * 896)
    with pytest.raises(SourceError, match="no bootable image"):
        zipl.check_kernel(bytes(0x20000), "x")


def test_a_map_that_does_not_fit() -> None:
    small = Located(4096, ((MIB, 4096),))
    files = Located(MIB, ((2 * MIB, MIB),))
    with pytest.raises(VerifyError, match="too small"):
        zipl.boot_map(
            [Program(kernel=files, initrd=None, command_line="x")], STAGE3, small, sector_size=512
        )


def test_long_files_take_several_segment_tables(tmp_path: Path) -> None:
    """A file in a thousand pieces: the tables form a chain."""
    disk = tmp_path / "disk"
    pieces = [(MIB + 8192 * number, 4096) for number in range(1000)]
    data = noise(4096 * 1000, 7)
    with disk.open("wb") as file:
        for number, (at, length) in enumerate(pieces):
            file.seek(at)
            file.write(data[4096 * number :][:length])
        file.truncate(16 * MIB)
    scattered = Located(len(data), tuple(pieces))
    place = Located(zipl.MAP_SIZE, ((12 * MIB, zipl.MAP_SIZE),))
    items = zipl.boot_map(
        [Program(kernel=scattered, initrd=None, command_line="x")], STAGE3, place, sector_size=512
    )
    with disk.open("r+b") as file:
        for item in items:
            file.seek(item.at)
            file.write(item.data)
    assert load(disk).at(0x10000, len(data)) == data
