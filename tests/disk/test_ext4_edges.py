"""The ext4 writer where something is in its way: edges, damage, hosts that are full, signals."""

from __future__ import annotations

import os
import random
import re
import resource
import stat
import struct
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diskgen.disk import ext4
from diskgen.disk.ext4 import extents, superblock
from diskgen.disk.placing.alloc import Extent
from diskgen.disk.placing.crc32c import crc32c
from diskgen.errors import HostError, SourceError, UsageError, VerifyError
from diskgen.tree import Data, Directory, File, Packed, read, regular, symlink
from diskgen.units import MIB

from ..fixtures.ext4_disks import (
    BLOCK,
    OFFSET,
    SIZE,
    WHEN,
    Pack,
    debugfs,
    digest,
    empty,
    fill,
)


def test_characters_are_signed_on_every_machine(tmp_path: Path) -> None:
    """On aarch64 and s390x mke2fs writes down that theirs are unsigned."""
    root = Directory()
    for number in range(400):
        root.add(f"größe-{number:03}-ÿþýüûú-{number * 7919:020}", regular(b""))
    usual, theirs = tmp_path / "usual", tmp_path / "theirs"
    fill(usual, root)
    empty(theirs)
    with theirs.open("r+b") as file:
        for block in superblock.copies(superblock.read(file.fileno(), OFFSET)):
            at = OFFSET + (block * 4096 or 1024)
            raw = bytearray(os.pread(file.fileno(), 1024, at))
            assert raw[0x160] & 3 == 1
            raw[0x160] ^= 3
            struct.pack_into("<I", raw, 0x3FC, crc32c(0xFFFFFFFF, bytes(raw[:0x3FC])))
            os.pwrite(file.fileno(), raw, at)
    ext4.populate(theirs, offset=OFFSET, root=root, timestamp=WHEN)
    assert digest(theirs) == digest(usual)


def test_features_are_ours_and_not_the_hosts(tmp_path: Path) -> None:
    disk = empty(tmp_path / "disk", verity=True, inodes=5000, label="a name of 16 b.")
    ext4.populate(disk, offset=OFFSET, root=Directory(), timestamp=WHEN)
    ext4.check(disk, offset=OFFSET, size=SIZE)
    text = debugfs(disk, "stats")
    features = re.findall(r"Filesystem features: +(.*)", text)[0].split()
    assert set(features) == {
        "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit",
        "flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize",
        "metadata_csum", "verity",
    }  # fmt: skip
    assert re.search(r"volume name: +a name of 16 b\.", text)
    assert 5000 <= int(re.findall(r"Inode count: +(\d+)", text)[0]) < 5200
    assert disk.stat().st_blocks * 512 < 2 * MIB, "an empty filesystem is a sparse file"


@pytest.mark.parametrize("name", ["what?offset=5", "blank space", "-n", "größe"])
def test_any_name_of_the_disk_file(tmp_path: Path, name: str) -> None:
    fill(tmp_path / name, Directory(entries={b"f": regular(b"x")}), 32 * MIB)


@pytest.mark.parametrize("when", [0, -62_135_596_800, 1 << 32, 5_000_000_000, 1 << 50])
def test_any_time(tmp_path: Path, when: int) -> None:
    disk = empty(tmp_path / "disk", 16 * MIB, timestamp=when)
    root = Directory(entries={b"f": regular(b"x")})
    ext4.populate(disk, offset=OFFSET, root=root, timestamp=when)
    ext4.check(disk, offset=OFFSET, size=16 * MIB)
    low = min(max(when, 0), (1 << 34) - (1 << 31) - 1) & 0xFFFFFFFF
    assert f"crtime: 0x{low:08x}:" in debugfs(disk, "stat /f")


def test_contents_go_around_what_is_in_their_way(tmp_path: Path) -> None:
    """Copies of the superblock lie in the middle, at 128 MiB and at 384 MiB."""
    pack = Pack(tmp_path / "pack")
    os.truncate(pack.path, 160 * MIB)
    packed = pack.content(110 * MIB + 1)
    hollow = Packed(pack.path, 160 * MIB, ((0, 160 * MIB, 0),))
    data = random.Random(9).randbytes(130 * MIB + 1)
    root = Directory(entries={b"memory": regular(data)})
    root.add("a", File(mode=stat.S_IFREG, content=hollow))
    root.add("packed", File(mode=stat.S_IFREG, content=packed))
    disk = tmp_path / "disk"
    usage = fill(disk, root)
    assert usage.blocks == 400 * 256 + 2
    for name, content in (("memory", Data(data)), ("packed", packed)):
        assert len(debugfs(disk, f"ex /{name}").splitlines()) == 4  # two extents
        debugfs(disk, f"dump /{name} {tmp_path}/{name}")
        assert (tmp_path / name).read_bytes() == read(content)


@pytest.mark.parametrize("size", [4 * MIB, 16 * MIB, 129 * MIB, 2048 * MIB, 9000 * MIB])
def test_sizes(tmp_path: Path, size: int) -> None:
    fill(tmp_path / "disk", Directory(entries={b"f": regular(b"x")}), size)


def test_hard_links_up_to_the_limit_and_many_directories(tmp_path: Path) -> None:
    root = Directory()
    links = root.make_dirs("links").entries
    one = regular(b"1")
    for number in range(65000):
        links[b"%x" % number] = one
    many = root.make_dirs("many").entries
    for number in range(65100):
        many[b"%x" % number] = Directory()
    disk = tmp_path / "disk"
    fill(disk, root, SIZE, inodes=70000)
    assert "Links: 65000 " in debugfs(disk, "stat /links/0")
    assert "Links: 1 " in debugfs(disk, "stat /many")
    for number in range(65000, 70000):
        links[b"%x" % number] = one
    with pytest.raises(SourceError, match=r"'/links/0' .* '70000' hard links, at most '65000'"):
        ext4.required(root)


def test_lost_and_found_of_the_image(tmp_path: Path) -> None:
    root = Directory()
    found = root.make_dirs("lost+found", mode=0o750)
    for number in range(300):
        found.entries[b"%050d" % number] = regular(b"")
    found.make_dirs("below").entries[b"f"] = regular(b"f")
    disk = tmp_path / "disk"
    fill(disk, root, 64 * MIB)
    said = debugfs(disk, "stat /lost+found", "cat /lost+found/below/f")
    assert "Inode: 11 " in said
    assert "Mode:  0750" in said
    assert "Links: 3 " in said
    assert said.rstrip().endswith("f")
    with pytest.raises(SourceError, match=r"lost\+found"):
        ext4.required(Directory(entries={b"lost+found": regular(b"")}))


def test_a_very_deep_tree(tmp_path: Path) -> None:
    root = Directory()
    node = root
    for _ in range(5000):
        node.entries[b"deeper"] = node = Directory()
    node.entries[b"bad"] = File(mode=0)
    with pytest.raises(
        SourceError, match="bad' of the image does not fit in ext4: its mode is '0'"
    ):
        ext4.required(root)
    del node.entries[b"bad"]
    fill(tmp_path / "disk", root, 64 * MIB, inodes=6000)


BAD: dict[str, tuple[bytes, File | Directory, str]] = {
    "slash": (b"a/b", regular(b""), "called 'a/b'"),
    "nul": (b"a\0b", regular(b""), "an entry called"),
    "empty": (b"", regular(b""), "called ''"),
    "dot": (b".", regular(b""), "called '.'"),
    "dots": (b"..", Directory(), "called '..'"),
    "long": (b"n" * 256, regular(b""), "called 'nnn"),
    "owner": (b"f", File(mode=stat.S_IFREG, uid=1 << 32), "its owner is '4294967296:0'"),
    "group": (b"f", Directory(gid=-1), "its owner is '0:-1'"),
    "mode": (b"f", File(mode=0o644), "its mode is '644'"),
    "target": (b"f", symlink(""), "its target has '0' bytes"),
    "targets": (b"f", symlink("x" * 4096), "its target has '4096' bytes"),
    "nul target": (b"f", symlink("x\0y"), "without NUL"),
    "device": (b"f", File(mode=stat.S_IFBLK, rdev=(4096, 0)), "number is '4096:0'"),
    "size": (b"f", File(mode=stat.S_IFREG, content=Packed(Path("p"), 1 << 60, ())), "bytes"),
    "xattr": (b"f", regular(b"", xattrs=((b"user.x", bytes(9000)),)), "at most '4060'"),
    "xattrs": (b"f", Directory(xattrs=((b"odd", b""),)), "called 'odd'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_ext4_cannot_hold_is_said_with_its_path(tmp_path: Path, case: str) -> None:
    name, node, said = BAD[case]
    root = Directory()
    root.make_dirs("usr/lib").entries[name] = node
    with pytest.raises(SourceError, match="'/usr/lib") as caught:
        ext4.required(root)
    assert said in caught.value.message
    disk = empty(tmp_path / "disk", 16 * MIB)
    with pytest.raises(SourceError):
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)


def test_a_directory_has_one_place(tmp_path: Path) -> None:
    root = Directory()
    root.make_dirs("a/b").entries[b"loop"] = root.make_dirs("a")
    disk = empty(tmp_path / "disk", 16 * MIB)
    with pytest.raises(SourceError, match="'loop', is at two places"):
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)


def test_too_small_names_the_setting_and_what_is_missing(tmp_path: Path) -> None:
    root = Directory(entries={b"f": regular(bytes(20 * MIB))})
    disk = empty(tmp_path / "disk", 16 * MIB)
    with pytest.raises(
        UsageError, match=r"'16 MiB' is too small .*'\d+(\.\d)? MiB' more"
    ) as caught:
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)
    assert caught.value.setting == "disk-size"
    many = Directory(entries={b"%d" % n: Directory() for n in range(2000)})
    with pytest.raises(UsageError, match="'2011' inodes, the filesystem '1024'") as caught:
        ext4.populate(disk, offset=OFFSET, root=many, timestamp=WHEN)
    assert caught.value.setting == "disk-size"
    one_more = Directory(entries={b"%d" % n: regular(b"") for n in range(1014)})
    with pytest.raises(UsageError, match="'1025' inodes, the filesystem '1024'"):
        ext4.populate(disk, offset=OFFSET, root=one_more, timestamp=WHEN)
    del one_more.entries[b"0"]
    fill(disk, one_more, 16 * MIB)
    with pytest.raises(UsageError, match="too small"):
        empty(tmp_path / "disk", 64 * 1024)
    with pytest.raises(UsageError, match="'a name of 17 byte'"):
        empty(tmp_path / "disk", 16 * MIB, label="a name of 17 byte")


def test_directories_that_do_not_fit_are_found_while_contents_move(tmp_path: Path) -> None:
    many = Directory(entries={b"%d" % n: Directory() for n in range(4000)})
    many.entries[b"content"] = regular(bytes(MIB))
    disk = empty(tmp_path / "disk", 16 * MIB, inodes=5000)
    with pytest.raises(UsageError, match="more are needed"):
        ext4.populate(disk, offset=OFFSET, root=many, timestamp=WHEN)


@pytest.mark.parametrize("inodes", [None, 30_000])
@pytest.mark.parametrize("shape", ["nothing", "files", "data"])
def test_the_minimum_size_is_enough(tmp_path: Path, shape: str, inodes: int | None) -> None:
    root = Directory()
    if shape == "files":
        for number in range(20_000):
            root.add(f"{number % 97}/{number:060d}", regular(b"x"))
    if shape == "data":
        pack = Pack(tmp_path / "pack")
        os.truncate(pack.path, 150 * MIB)
        whole = Packed(pack.path, 150 * MIB, ((0, 150 * MIB, 0),))
        root.add("data", File(mode=stat.S_IFREG, content=whole))
    need = ext4.required(root)
    size = ext4.minimum_size(need, inodes)
    fill(tmp_path / "disk", root, size, inodes=inodes)
    floor = need.bytes + (inodes or size // 16384) * 256
    assert size < floor * 1.15 + 16 * MIB or shape == "files"
    with pytest.raises(ValueError, match="fewer"):
        ext4.minimum_size(need, 5)


def damage_inode(disk: Path) -> None:
    debugfs_write(disk, "sif /z links_count 9")


def damage_bitmap(disk: Path) -> None:
    debugfs_write(disk, "freeb 1")


def damage_name(disk: Path) -> None:
    at = disk.read_bytes().find(b"dangling")
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(b"d/ngling")


def debugfs_write(disk: Path, command: str) -> None:
    argv = ["debugfs", "-w", "-R", command, f"{disk}?offset={OFFSET}"]
    subprocess.run(argv, check=True, capture_output=True)


@pytest.mark.parametrize("damage", [damage_inode, damage_bitmap, damage_name])
def test_check_finds_any_damage(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    root = Directory(entries={b"z": regular(b"z"), b"dangling": symlink("x")})
    disk = tmp_path / "disk"
    fill(disk, root, 32 * MIB)
    damage(disk)
    with pytest.raises(VerifyError, match=r"e2fsck finds fault .*Pass 1"):
        ext4.check(disk, offset=OFFSET, size=32 * MIB)


def test_check_does_not_let_a_remark_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that is higher than it must be: e2fsck would shorten it, and exits with 0."""

    def tall(
        runs: list[Extent], allocate: Callable[[], int], seed: int
    ) -> tuple[bytes, list[tuple[int, bytes]]]:
        raw, nodes = build(runs, allocate, seed)
        if len(runs) < 4:
            return raw, nodes
        start = crc32c(0xFFFFFFFF, uuid.UUID(int=7).bytes + struct.pack("<II", 12, 0))
        for depth in (0, 1):
            body = raw[:4] + struct.pack("<HHI", 340, depth, 0) + raw[12:]
            body = body.ljust(BLOCK - 4, b"\0")
            block = allocate()
            nodes.append((block, body + crc32c(start, body).to_bytes(4, "little")))
            raw = struct.pack("<HHHHIIIHH", 0xF30A, 1, 4, depth + 1, 0, 0, block, 0, 0)
        return raw.ljust(60, b"\0"), nodes

    build = extents.build
    content = Pack(tmp_path / "pack").content(*[BLOCK] * 7)
    root = Directory(entries={b"f": File(mode=stat.S_IFREG, content=content)})
    disk = empty(tmp_path / "disk", 32 * MIB)
    with monkeypatch.context() as patch:
        patch.setattr(extents, "build", tall)
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)
    argv = ["e2fsck", "-fn", f"{disk}?offset={OFFSET}"]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
    with pytest.raises(VerifyError, match=r"could be (shorter|narrower)"):
        ext4.check(disk, offset=OFFSET, size=32 * MIB)
    with pytest.raises(VerifyError, match="larger than its place"):
        ext4.check(disk, offset=OFFSET, size=31 * MIB)


def test_a_pack_that_is_gone_or_short(tmp_path: Path) -> None:
    pack = Pack(tmp_path / "pack")
    root = Directory(entries={b"f": File(mode=stat.S_IFREG, content=pack.content(3 * BLOCK))})
    os.truncate(pack.path, 2 * BLOCK)
    disk = empty(tmp_path / "disk", 16 * MIB)
    with pytest.raises(HostError, match=r"pack' cannot be used: is shorter than its index says"):
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)
    pack.path.unlink()
    with pytest.raises(HostError, match=r"pack' cannot be used: No such file"):
        ext4.populate(empty(disk, 16 * MIB), offset=OFFSET, root=root, timestamp=WHEN)


def test_a_content_that_is_not_aligned_is_our_mistake(tmp_path: Path) -> None:
    content = Packed(tmp_path / "pack", 10, ((0, 10, 512),))
    root = Directory(entries={b"f": File(mode=stat.S_IFREG, content=content)})
    with pytest.raises(ValueError, match="malformed"):
        ext4.required(root)


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_host_is_said(tmp_path: Path) -> None:
    root = Directory(entries={b"f": regular(bytes(9 * MIB))})
    disk = empty(tmp_path / "disk", 32 * MIB)
    with file_size_limit(4 * MIB), pytest.raises(HostError, match="no space left") as caught:
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)
    assert caught.value.hint


def test_an_interrupt_stops_the_thread(tmp_path: Path) -> None:
    def interrupt(_amount: int) -> None:
        raise KeyboardInterrupt

    pack = Pack(tmp_path / "pack")
    os.truncate(pack.path, 100 * MIB)
    whole = Packed(pack.path, 100 * MIB, ((0, 100 * MIB, 0),))
    root = Directory(entries={b"f": File(mode=stat.S_IFREG, content=whole)})
    disk = empty(tmp_path / "disk", 200 * MIB)
    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN, advance=interrupt)
    assert threading.enumerate() == before
