"""The xfs reader on what we and others wrote, and on what somebody made to harm it."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
import tracemalloc
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.disk import xfs
from diskgen.disk.xfs import reader
from diskgen.disk.xfs.inode import BTREE
from diskgen.disk.xfs.reader import Reader
from diskgen.errors import VerifyError
from diskgen.tree import Directory, File, regular, symlink
from diskgen.units import MIB

from ..fixtures.torture import Pack, mounted, same, torture

SIZE = 400 * MIB
BLOCK = 4096


def reader_of(image: Path, offset: int = 0) -> Reader:
    def read_at(at: int, length: int) -> bytes:
        with image.open("rb") as file:
            return os.pread(file.fileno(), length, at)

    return Reader(read_at, offset)


def write(image: Path, root: Directory, *, sector: int = 512, offset: int = 0) -> None:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(offset + SIZE)
    xfs.populate(
        image, offset=offset, size=SIZE, root=root, timestamp=1, uuid=uuid.UUID(int=9), label="l",
        sector_size=sector, features=xfs.Features(),
    )  # fmt: skip


def made_by_linux(image: Path, *options: str) -> None:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.xfs", "-q", *options, image], check=True)


@pytest.mark.parametrize("sector", [512, 4096])
def test_it_reads_what_we_write(tmp_path: Path, sector: int) -> None:
    """Directories, extents and targets at the boundaries of each form."""
    root = torture(Pack(tmp_path / "pack"), values=(30000, 65536))
    write(tmp_path / "image", root, sector=sector, offset=sector)
    reader = reader_of(tmp_path / "image", sector)
    assert same(reader, reader.top, root, 64 * MIB) > 16_000
    facts = reader.facts
    assert (facts.uuid, facts.label, facts.unclean) == (uuid.UUID(int=9), "l", False)
    with pytest.raises(VerifyError, match="more than are read"):
        reader.read(reader.node(reader.entries(reader.find("size") or reader.top)[b"8192"]), 4096)


def fill(place: Path) -> Directory:
    """Write by the kernel what has every form; return the tree that it is."""
    tree = Directory()
    for count in (3, 60, 170, 600, 3000):
        (place / f"d{count}").mkdir()
        below = tree.make_dirs(f"d{count}")
        for number in range(count):
            name = f"{number:04}-{'n' * (number % 50)}"
            (place / f"d{count}" / name).touch()
            below.entries[name.encode()] = regular(b"")
    for number in range(0, 3000, 2):  # blocks become empty, and are given back
        name = f"{number:04}-{'n' * (number % 50)}"
        (place / "d3000" / name).unlink()
        del tree.make_dirs("d3000").entries[name.encode()]
    for size in (1, 100, 300, 400, 1023):
        (place / f"link{size}").symlink_to("t" * size)
        tree.entries[b"link%d" % size] = symlink("t" * size)
    for pieces in (1, 10, 1000):
        data = bytearray()
        with (place / f"pieces{pieces}").open("wb") as file:
            for number in range(pieces):
                file.seek(number * 2 * BLOCK)
                file.write(bytes([number % 255 + 1]) * BLOCK)
                data[number * 2 * BLOCK :] = bytes([number % 255 + 1]) * BLOCK + bytes(BLOCK)
                os.fsync(file.fileno())
        tree.entries[b"pieces%d" % pieces] = regular(bytes(data[:-BLOCK]))
    with (place / "unwritten").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 100_000)
        file.seek(50_000)
        file.write(b"here")
    tree.entries[b"unwritten"] = regular(bytes(50_000) + b"here" + bytes(49_996))
    return tree


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("options", [
    (), ("-b", "size=1024"), ("-i", "size=2048", "-n", "size=16384"), ("-i", "nrext64=1"),
    ("-m", "bigtime=0,inobtcount=0,reflink=0"), ("-s", "size=4096"),
], ids=" ".join)  # fmt: skip
def test_it_reads_what_linux_writes(tmp_path: Path, options: tuple[str, ...]) -> None:
    image = tmp_path / "image"
    made_by_linux(image, *options)
    with mounted(
        "xfs", image, tmp_path / "m", options="rw", sector=4096 if "-s" in options else 512
    ) as place:
        tree = fill(place)
    reader = reader_of(image)
    expected = Directory(entries=_modes(reader, tree))
    assert same(reader, reader.top, expected, 64 * MIB, unknown=True) > 2000
    assert not reader.facts.unclean
    text = db(image, "sb 0", "p fdblocks blocksize dblocks")
    free, size, blocks = (int(word) for word in re.findall(r"= (\d+)", text))
    assert (reader.facts.free, reader.facts.size) == (free * size, blocks * size)


def _modes(reader: Reader, tree: Directory) -> dict[bytes, Directory | File]:
    """Return a tree's entries with the modes that the kernel gave them."""
    found = reader.entries(reader.top)
    for name, node in tree.entries.items():
        node.mode = reader.node(found[name]).mode
        if isinstance(node, Directory):
            for child in node.entries.values():
                child.mode = 0o100644
    return dict(tree.entries)


def db(image: Path, *commands: str) -> str:
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(["xfs_db", *words, image], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize(("writes", "pending"), [(0, False), (40, True), (3000, True)])
def test_a_log_that_is_to_be_replayed_is_told(tmp_path: Path, writes: int, pending: bool) -> None:
    """Copied while it is mounted; xfs_repair says the same. Then as it is when it is unmounted."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    made_by_linux(image)
    with mounted("xfs", image, tmp_path / "m", options="rw") as place:
        for number in range(writes):
            (place / f"file{number}").write_bytes(b"x" * number)
        os.sync()
        shutil.copyfile(image, copy)
    for path, unclean in ((copy, pending), (image, False)):
        judged = subprocess.run(
            ["xfs_repair", "-n", path], capture_output=True, text=True, check=False
        )
        assert ("valuable metadata changes in a log" in judged.stdout + judged.stderr) is unclean
        assert reader_of(path).facts.unclean is unclean


@pytest.mark.extended
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_log_in_its_second_round(tmp_path: Path) -> None:
    """Its end is in its middle: what comes behind is of the round before."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    made_by_linux(image)
    with mounted("xfs", image, tmp_path / "m", options="rw") as place:
        for number in range(20_000):
            (place / f"file{number}").touch()
            os.setxattr(place / f"file{number}", "user.x", b"v" * 3000)
        os.sync()
        shutil.copyfile(image, copy)
    raw = image.read_bytes()
    (start,), (each,) = struct.unpack_from(">Q", raw, 48), struct.unpack_from(">I", raw, 84)
    log = ((start >> raw[124]) * each + (start & (1 << raw[124]) - 1)) * BLOCK
    magic, second = struct.unpack_from(">II", raw, log)
    assert (second if magic == 0xFEEDBABE else magic) > 1
    assert reader_of(copy).facts.unclean
    assert not reader_of(image).facts.unclean


def test_versions_that_are_not_read_are_said(tmp_path: Path) -> None:
    image = tmp_path / "image"
    made_by_linux(image, "-m", "crc=0")
    with pytest.raises(VerifyError, match="of before version 5"):
        reader_of(image)
    write(image, Directory())
    with image.open("r+b") as file:
        file.seek(216)
        file.write(struct.pack(">I", 0x4003))
    with pytest.raises(VerifyError, match=r"does not know \(0x4000\)"):
        reader_of(image)
    with pytest.raises(VerifyError, match="no xfs"):
        Reader(lambda _at, length: bytes(length), 0)
    with pytest.raises(VerifyError, match="no xfs"):
        Reader(lambda _at, _length: b"XFSB", 0)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filesystem with a file of 600 extents, a large directory and a long symlink."""
    image = tmp_path_factory.mktemp("ours") / "image"
    root = Directory()
    root.make_dirs("d").entries.update({b"f%05d" % n: regular(b"") for n in range(700)})
    root.make_dirs("short").entries.update({b"f%d" % n: regular(b"x" * n * 40) for n in range(9)})
    root.add("link", symlink("d"))
    root.add("long", symlink("t" * 1000))
    pack = Pack(image.with_suffix(".pack"))
    root.add("pieces", File(mode=0o100644, content=pack.pieces(600)))
    root.add("sub/ostree/repo/file", regular(b"x"))
    write(image, root)
    return image


@pytest.fixture
def image(ours: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    subprocess.run(["cp", "--sparse=always", ours, tmp_path / "image"], check=True)
    return tmp_path / "image"


_PATHS = ("", "d", "short", "sub/ostree/repo", "long", "link/f00007", "pieces", "short/f8")


def look(reader: Reader, path: str) -> None:
    node = reader.find(path)
    if node is not None and node.is_dir:
        reader.entries(node)
    elif node is not None:
        reader.read(node, 64 * MIB)


def test_changed_bytes_are_survived(ours: Path) -> None:
    blocks: dict[int, bytearray] = {}
    with ours.open("rb") as file:
        at = 0
        while at < SIZE:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:
                break
            data = os.pread(file.fileno(), BLOCK, at)
            if any(data) and data[:8] != data[8:16]:  # no contents of files
                blocks[at] = bytearray(data)
            at += BLOCK

    def read_at(at: int, length: int) -> bytes:
        out = b""
        while length > 0:
            base = at // BLOCK * BLOCK
            piece = bytes(blocks.get(base, bytes(BLOCK)))[at - base :][:length]
            out, at, length = out + piece, at + len(piece), length - len(piece)
        return out

    places = [(base, at) for base, block in blocks.items() for at in range(BLOCK) if block[at]]
    chance = random.Random(5)
    answers = errors = 0
    for _ in range(100):
        changed: dict[tuple[int, int], int] = {}
        for _ in range(chance.choice((1, 40, 1000, 20_000))):
            base, at = chance.choice(places)
            changed.setdefault((base, at), blocks[base][at])
            blocks[base][at] = chance.choice((0, 255, chance.randrange(256)))
        try:
            reader = Reader(read_at, 0)
        except VerifyError:
            errors += 1
        else:
            for path in _PATHS:
                try:
                    look(reader, path)
                    answers += 1
                except VerifyError:
                    errors += 1
        for (base, at), byte in changed.items():
            blocks[base][at] = byte
    assert answers > 100
    assert errors > 100


def patched(image: Path, number: int, change: Callable[[bytearray], object]) -> Reader:
    """Change an inode of a filesystem of ours."""
    reader = reader_of(image)
    raw = bytearray(reader.node(number).block)
    with image.open("r+b") as file:
        text = db(image, f"convert inode {number} fsbyte")
        file.seek(int(re.findall(r"\((\d+)\)", text)[0]))
        change(raw)
        file.write(raw)
    return reader_of(image)


def _put(at: int, code: str, *values: int) -> Callable[[bytearray], object]:
    return lambda raw: struct.pack_into(code, raw, at, *values)


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("pieces", _put(176, ">H", 9), "malformed extent tree"),
        ("pieces", _put(176, ">H", 0), "malformed extent tree"),
        ("pieces", _put(178, ">H", 60), "malformed extent tree"),
        ("pieces", _put(56, ">Q", 1 << 62), "more than are read"),
        ("pieces", _put(5, ">B", 5), "stored in a way that it cannot be"),
        ("pieces", _put(90, ">H", 1), "realtime"),
        ("pieces", _put(82, ">B", 1), "malformed extent tree"),
        ("short/f8", _put(76, ">I", 1 << 31), "more extents than room"),
        ("short/f8", _put(176, ">QQ", 0, 1 << 40 << 21 | 1), "outside of it"),
        ("d", _put(56, ">Q", 1 << 40), "a directory has more than"),
        ("short", _put(176, ">B", 250), "a directory on the disk"),
        ("short", _put(5, ">B", 3), "malformed extent tree"),
    ],
)
def test_each_lie_of_an_inode_is_told(
    image: Path, path: str, change: Callable[[bytearray], object], said: str
) -> None:
    node = reader_of(image).find(path)
    assert node is not None
    reader = patched(image, node.number, change)
    found = reader.node(node.number)
    with pytest.raises(VerifyError, match=said):
        reader.entries(found) if found.is_dir else reader.read(found, 64 * MIB)


@pytest.mark.parametrize(
    ("size", "block"),
    [
        (66, b"XDD3".ljust(64, b"\0") + b"\xff\xff"),
        (5, b"XDB3\0"),
        (BLOCK, b"XDB3".ljust(BLOCK - 8, b"\0") + b"\xff\xff\xff\xff"),
        (BLOCK, b"XDB3".ljust(BLOCK - 8, b"\0") + struct.pack(">I", BLOCK // 8 - 8)),
        (BLOCK, b"XDD3".ljust(BLOCK - 8, b"\xff")),
    ],
)
def test_each_lie_of_a_directory_s_block_is_told(ours: Path, size: int, block: bytes) -> None:
    with ours.open("rb") as file:

        def read_at(at: int, length: int) -> bytes:
            data = os.pread(file.fileno(), length, at)
            return block.ljust(length, b"\0")[:length] if data.startswith(b"XDD3") else data

        reader = Reader(read_at, 0)
        node = reader.find("d")
        assert node is not None
        with pytest.raises(VerifyError, match="a directory on the disk is malformed"):
            reader.entries(replace(node, size=size))


def test_holes_of_a_directory_are_passed_over(ours: Path) -> None:
    reader = reader_of(ours)
    node = reader.find("d")
    assert node is not None
    counted = len(reader.entries(node))
    tracemalloc.start()
    try:
        assert len(reader.entries(replace(node, size=64 * MIB))) == counted
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_tree_that_names_itself_has_an_end(image: Path) -> None:
    """Nodes of eight levels, each of which names the one below many times: 251 ** 8 leaves."""
    node = reader_of(image).find("pieces")
    assert node is not None
    assert node.flags == BTREE
    first = SIZE // BLOCK // 4 - 20  # free blocks at the end of the first group
    with image.open("r+b") as file:
        for level in range(8):
            block = struct.pack(">4sHH", b"BMA3", level, 251).ljust(72, b"\0")
            keys = struct.pack(">251Q", *range(251))
            below = struct.pack(">251Q", *[first + level - 1] * 251) if level else bytes(8 * 251)
            file.seek((first + level) * BLOCK)
            file.write((block + keys + below).ljust(BLOCK, b"\0"))
    room = (512 - 176 - 4) // 16

    def change(raw: bytearray) -> None:
        struct.pack_into(">HH", raw, 176, 8, 1)
        struct.pack_into(">Q", raw, 180 + 8 * room, first + 7)

    reader = patched(image, node.number, change)
    with pytest.raises(VerifyError, match=r"no end|malformed extent|too many extents"):
        reader.read(reader.node(node.number), 64 * MIB)


def test_names_end_before_the_table_that_follows_them() -> None:
    """A block of a directory: what is free, an entry, and the hashes of the names."""
    for room, length, fits in ((24, 5, True), (24, 20, False), (8, 1, False)):
        block = bytearray(4096)
        block[:4] = b"XDB3"
        block[-8:] = struct.pack(">II", 1, 0)
        end = len(block) - 16
        free = end - room - 64
        block[64:68] = struct.pack(">HH", 0xFFFF, free)
        entry = struct.pack(">QB", 131, length) + b"n" * length
        block[64 + free : 64 + free + len(entry)] = entry
        found: dict[bytes, int] = {}
        if fits:
            reader._take_block(bytes(block), found)
            assert found == {b"nnnnn": 131}
        else:
            with pytest.raises(VerifyError, match="malformed"):
                reader._take_block(bytes(block), found)
