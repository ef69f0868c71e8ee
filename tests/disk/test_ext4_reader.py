"""Our reader of ext4 against filesystems that mke2fs made, in all the ways that it makes them."""

from __future__ import annotations

import os
import re
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen.disk.ext4.reader import Reader, locate
from diskgen.disk.reading import Node
from diskgen.errors import VerifyError
from diskgen.units import MIB

OFFSET = 3 * MIB
WAYS = {
    "default": [],
    "small blocks": ["-b", "1024"],
    "32 bit, no checksums": ["-O", "^64bit,^metadata_csum"],
    "meta_bg": ["-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "1024"],
    "no file types": ["-O", "^filetype,^64bit"],
    "small inodes": ["-I", "128"],
    "no index": ["-O", "^dir_index,^has_journal"],
}

LINKS = {
    b"a/short": b"b/c/file",
    b"a/long": b"./" * 60 + b"small",
    b"a/absolute": b"/a/b/../small",
    b"a/circle": b"circle",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    many = top / "many"
    many.mkdir()
    for number in range(1500):
        (many / f"a-rather-long-name-of-a-file-{number}").write_bytes(b"")
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/b/c/file").write_bytes(bytes(range(256)) * 300)
    (top / "a/small").write_bytes(b"small")
    (top / "a/hundred").write_bytes(b"x" * 100)
    for name, target in LINKS.items():
        (top / name.decode()).symlink_to(target.decode())
    (top / "a/caf\udce9").write_bytes(b"bytes")
    with (top / "a/holes").open("wb") as file:
        file.seek(5 * 65536)
        file.write(b"end" * 5000)
        file.truncate(MIB)
    with (top / "a/pieces").open("wb") as file:  # more than an inode and a block of extents hold
        for number in range(400):
            file.seek(8192 * number)
            file.write(b"%4d" % number * 1024)
    return top


def walk(reader: Reader, folder: Node, place: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    for name, number in reader.entries(folder).items():
        node = reader.node(number)
        yield place + name, node
        if node.is_dir:
            yield from walk(reader, node, place + name + b"/")


def opened(disk: Path) -> Reader:
    data = disk.read_bytes()
    return Reader(lambda offset, length: data[offset : offset + length], OFFSET)


def make(disk: Path, tree: Path | None, *options: str, kind: str = "ext4") -> Path:
    with disk.open("wb") as file:
        file.truncate(OFFSET + 24 * MIB)
    source = ["-d", str(tree)] if tree is not None else []
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", kind, "-L", "label", *source, *options,
         "-E", f"offset={OFFSET}", disk, "24M"],
        check=True, capture_output=True,
    )  # fmt: skip
    return disk


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_it_finds_what_mke2fs_put_there(tree: Path, tmp_path: Path, options: list[str]) -> None:
    disk = make(tmp_path / "disk", tree, *options)
    reader = opened(disk)
    found = dict(walk(reader, reader.node(2)))
    found.pop(b"lost+found")
    wanted = {
        os.fsencode(path.relative_to(tree)): path for path in tree.rglob("*")
    }  # fmt: skip
    assert found.keys() == wanted.keys()
    for name, node in found.items():
        real = wanted[name].lstat()
        assert stat.S_IFMT(node.mode) == stat.S_IFMT(real.st_mode)
        if node.is_link:
            assert reader.target(node) == LINKS[name]
        elif node.is_file:
            assert reader.read(node, 4 * MIB) == wanted[name].read_bytes()
    for link in ("short", "long", "absolute"):
        followed = reader.find(f"a/{link}")
        assert followed is not None
        assert (
            reader.read(followed, MIB)
            == (tree / "a" / link.replace("absolute", "small")).read_bytes()
        )
    assert reader.find("a/nothing") is None
    assert reader.find("a/small/below") is None
    with pytest.raises(VerifyError, match="circle"):
        reader.find("a/circle")
    # debugfs and dumpe2fs say the same.
    said = said_by("dumpe2fs", "-h", f"{disk}?offset={OFFSET}")
    size, blocks, free = (int(re.search(rf"^{name}: +(\d+)$", said, re.MULTILINE)[1])  # type: ignore[index]
                          for name in ("Block size", "Block count", "Free blocks"))  # fmt: skip
    assert (reader.facts.size, reader.facts.free) == (size * blocks, size * free)
    assert str(reader.facts.uuid) in said
    assert reader.facts.label == "label"
    assert not reader.facts.unclean
    listed = said_by("debugfs", "-R", "ls -p /many", f"{disk}?offset={OFFSET}")
    numbers = {line.split("/")[5]: int(line.split("/")[1]) for line in listed.split("\n") if line}
    many = reader.find("many")
    assert many is not None
    assert {name.decode(): number for name, number in reader.entries(many).items()} == {
        name: number for name, number in numbers.items() if name not in (".", "..")
    }


def said_by(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_what_is_below_a_directory_is_found_as_in_a_chroot(tree: Path, tmp_path: Path) -> None:
    reader = opened(make(tmp_path / "disk", tree))
    base = reader.find("a")
    assert base is not None
    assert reader.find("short", base) == reader.find("a/b/c/file")
    assert reader.find("../../a/small", base) is None
    assert reader.find("../small", base) == reader.find("a/small")
    assert reader.find("absolute", base) is None  # it leads to /a/small of the chroot


def test_as_many_links_are_followed_as_the_kernel_follows(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    (top / "0").touch()
    for number in range(1, 45):
        (top / str(number)).symlink_to(str(number - 1))
    reader = opened(make(tmp_path / "disk", top))
    for number in range(1, 45):
        try:
            (top / str(number)).stat()
        except OSError:
            with pytest.raises(VerifyError, match="circle"):
                reader.find(str(number))
        else:
            assert reader.find(str(number)) == reader.find("0")


def test_extents_that_adjoin_are_one_place(tree: Path, tmp_path: Path) -> None:
    """As those of a file that is longer than an extent can be."""
    disk = make(tmp_path / "disk", tree, "-O", "^metadata_csum")
    whole = locate(disk, OFFSET, "a/b/c/file")
    assert len(whole.runs) == 1
    node = opened(disk).find("a/b/c/file")
    assert node is not None
    _, length, _, start = struct.unpack_from("<IHHI", node.block, 12)
    several = struct.pack("<HHHHI", 0xF30A, 3, 4, 0, 0)
    for begin, end in ((0, 5), (5, 7), (7, length)):
        several += struct.pack("<IHHI", begin, end - begin, 0, start + begin)
    disk.write_bytes(disk.read_bytes().replace(node.block, several.ljust(60, b"\0")))
    said_by("e2fsck", "-fn", f"{disk}?offset={OFFSET}")
    assert locate(disk, OFFSET, "a/b/c/file") == whole


def test_a_journal_that_is_to_be_replayed_is_noticed(tmp_path: Path) -> None:
    disk = make(tmp_path / "disk", None)
    subprocess.run(["debugfs", "-w", "-R", "feature needs_recovery", f"{disk}?offset={OFFSET}"],
                   check=True, capture_output=True)  # fmt: skip
    assert opened(disk).facts.unclean


def test_what_is_not_read_is_named(tree: Path, tmp_path: Path) -> None:
    reader = opened(make(tmp_path / "disk", tree, kind="ext2"))
    with pytest.raises(VerifyError, match="has no extents"):
        reader.find("a/small")
    inline = opened(make(tmp_path / "disk", tree, "-O", "inline_data"))
    small, larger = inline.find("a/small"), inline.find("a/hundred")
    assert small is not None
    assert larger is not None
    with pytest.raises(VerifyError, match="lies in its attributes"):
        inline.read(larger, MIB)
    assert inline.read(small, 9) == b"small"
    with pytest.raises(VerifyError, match="no ext4 filesystem"):
        Reader(lambda _offset, length: bytes(length), 0)


@pytest.mark.parametrize(
    ("length", "size", "name", "said"),
    [
        (16, 4, b"a\0bc", "a name that is none"),
        (16, 4, b"a/bc", "a name that is none"),
        (16, 0, b"abcd", "a name that is none"),
        (16, 9, b"abcdefgh", "is malformed"),
        (15, 4, b"abcd", "is malformed"),
        (4, 4, b"abcd", "is malformed"),
        (0, 4, b"abcd", "is malformed"),
    ],
)
def test_entries_of_directories_that_are_none(
    tree: Path, tmp_path: Path, length: int, size: int, name: bytes, said: str
) -> None:
    disk = make(tmp_path / "disk", tree, "-O", "^metadata_csum")
    data = disk.read_bytes()
    at = data.index(b"\5\1small\0") - 6  # of the entry
    inode = data[at : at + 4]
    entry = struct.pack("<4sHBB", inode, length, size, 1) + name.ljust(8, b"\0")
    disk.write_bytes(data[:at] + entry[:16] + data[at + 16 :])
    with pytest.raises(VerifyError, match=said):
        opened(disk).find("a/nothing")


def test_an_entry_without_a_name_is_room(tree: Path, tmp_path: Path) -> None:
    """Of eight bytes, the least that there may be."""
    disk = make(tmp_path / "disk", tree, "-O", "^metadata_csum")
    data = disk.read_bytes()
    at = data.index(b"\5\1small\0") - 6
    (length,) = struct.unpack_from("<H", data, at + 4)
    halves = struct.pack("<IHBBIHBB", 0, 8, 0, 0, 0, length - 8, 0, 0)
    disk.write_bytes(data[:at] + halves + data[at + 16 :])
    reader = opened(disk)
    assert reader.find("a/small") is None
    assert reader.find("a/hundred") is not None
