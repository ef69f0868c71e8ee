"""The ext4 writer on a tree of everything, judged by all of e2fsprogs and by Linux."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pickle
import random
import re
import resource
import stat
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diskgen.disk import ext4
from diskgen.disk.ext4 import extents, superblock
from diskgen.disk.ext4.crc32c import crc32c
from diskgen.errors import HostError, SourceError, UsageError, VerifyError
from diskgen.tree import Content, Data, Directory, File, Packed, read, regular, symlink
from diskgen.units import GIB, MIB

from ..fixtures.ext4_disks import OFFSET, SIZE, WHEN, empty
from ..fixtures.program import ROOT

BLOCK = 4096
LABEL = (b"security.selinux", b"system_u:object_r:usr_t:s0\0")
CAPABILITY = (b"security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
ACCESS = struct.pack(
    "<I" + "HHI" * 5,
    2, 1, 7, 0xFFFFFFFF, 2, 5, 70000, 4, 4, 0xFFFFFFFF, 16, 5, 0xFFFFFFFF, 32, 0, 0xFFFFFFFF,
)  # fmt: skip
DEFAULT = struct.pack(
    "<I" + "HHI" * 5,
    2, 1, 7, 0xFFFFFFFF, 4, 5, 0xFFFFFFFF, 8, 6, 1234, 16, 7, 0xFFFFFFFF, 32, 5, 0xFFFFFFFF,
)  # fmt: skip

STORED = {
    ACCESS: struct.pack("<IHHHHIHHHHHH", 1, 1, 7, 2, 5, 70000, 4, 4, 16, 5, 32, 0),
    DEFAULT: struct.pack("<IHHHHHHIHHHH", 1, 1, 7, 4, 5, 8, 6, 1234, 16, 7, 32, 5),
}


def fill(disk: Path, root: Directory, size: int = SIZE, **options: Any) -> ext4.Usage:
    """Make, populate and check a filesystem."""
    empty(disk, size, **options)
    usage = ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN)
    ext4.check(disk, offset=OFFSET, size=size)
    return usage


def debugfs(disk: Path, *commands: str) -> str:
    """Return what debugfs says to commands about the filesystem at OFFSET of a disk."""
    script = "".join(command + "\n" for command in commands)
    argv = ["debugfs", "-f", "-", f"{disk}?offset={OFFSET}"]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=True)
    return done.stdout


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Pack:
    """A pack file under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._random = random.Random(1)
        path.write_bytes(b"")

    def content(self, *parts: int, size: int | None = None) -> Packed:
        """Return a content of alternating (bytes of data, bytes of hole, ...)."""
        triples, at = [], 0
        with self.path.open("ab") as file:
            for number, length in enumerate(parts):
                if number % 2 == 0 and length:
                    source = file.tell()
                    data = self._random.randbytes(length)
                    file.write(data + bytes(-length % BLOCK))
                    triples.append((at, length, source))
                at += length
        return Packed(self.path, size if size is not None else at, tuple(triples))


def torture(pack: Pack) -> Directory:
    """Return a tree that has everything."""
    root = Directory(mtime_ns=1_234_567_890_123_456_789, xattrs=(LABEL,))
    _add_attributes(root)
    _add_kinds(root)
    _add_names(root)
    _add_contents(root, pack)
    deep = root.make_dirs("deep")
    for _ in range(1500):
        child = Directory()
        deep.entries[b"d"] = child
        deep = child
    deep.entries[b"bottom"] = regular(b"here")
    return root


def _add_attributes(root: Directory) -> None:
    for name, xattrs in {
        "label": (LABEL,),
        "capability": (CAPABILITY, LABEL),
        "big": ((b"user.big", random.Random(2).randbytes(3500)),),
        "large": ((b"trusted.overlay.x", b"y"), (b"user.big", bytes(range(256)) * 15)),
        "many": tuple((b"user.%d" % n * (1 + n % 7), b"v" * (n % 50)) for n in range(40)),
        "acl": ((b"system.posix_acl_access", ACCESS),),
        "all": (CAPABILITY, LABEL, (b"system.posix_acl_access", ACCESS), (b"trusted.t", b"1\0"),
                (b"user.empty", b""), (b"user.\xff\xfe", b"\xff" * 31)),
    }.items():  # fmt: skip
        file = regular(name.encode(), xattrs=tuple(sorted(xattrs)))
        root.add(f"xattr/{name}", file)
    acls = tuple(sorted([(b"system.posix_acl_access", ACCESS),
                         (b"system.posix_acl_default", DEFAULT), LABEL]))  # fmt: skip
    root.add("xattr/dir", Directory(xattrs=acls, mode=stat.S_IFDIR | 0o2770))
    root.add("xattr/link", File(mode=stat.S_IFLNK | 0o777, target=b"label", xattrs=(LABEL,)))
    same = ((b"user.same", b"s" * 200),)
    for number in range(1100):  # one block serves 1,024 inodes
        root.add(f"xattr/shared/{number}", regular(b"", xattrs=same))


def _add_kinds(root: Directory) -> None:
    kinds: dict[str, File | Directory] = {
        "setuid": File(
            mode=stat.S_IFREG | 0o4755, uid=70000, gid=4_000_000_000, content=Data(b"x")
        ),
        "old": File(
            mode=stat.S_IFREG | 0o644, mtime_ns=-315_619_200 * 10**9 + 1, content=Data(b"")
        ),
        "2100": File(mode=stat.S_IFREG, mtime_ns=4_102_444_800 * 10**9 + 999_999_999),
        "2446": File(mode=stat.S_IFREG | 0o7777, mtime_ns=15_032_385_535 * 10**9 + 5),
        "console": File(mode=stat.S_IFCHR | 0o620, gid=5, rdev=(5, 1)),
        "nvme": File(mode=stat.S_IFBLK | 0o660, rdev=(259, 70000)),
        "whiteout": File(mode=stat.S_IFCHR, rdev=(0, 0)),
        "fifo": File(mode=stat.S_IFIFO | 0o600, mtime_ns=1),
        "socket": File(mode=stat.S_IFSOCK | 0o755, xattrs=((b"trusted.s", b"1"),)),
        "fast": symlink("x" * 59),
        "slow": symlink("y" * 60),
        "longest": symlink(b"\xff" * 4095),
        "dangling": symlink("../no/such/place"),
        "sticky": Directory(mode=stat.S_IFDIR | 0o1777, mtime_ns=7),
        "frozen": Directory(immutable=True),
    }
    for name, node in kinds.items():
        root.add(f"kinds/{name}", node)
    root.add("kinds/frozen/inside", regular(b"in"))
    shared = regular(b"shared", xattrs=(LABEL,))
    for path in ("kinds/a", "kinds/b", "links/c", "z"):
        root.add(path, shared)
    root.add("kinds/slow2", root.get("kinds/slow") or symlink("?"))


def _add_names(root: Directory) -> None:
    names = root.make_dirs("names").entries
    for name in (b"n" * 255, b"\xff" * 255, b"l" * 200, "größe".encode(), b"gr\xf6\xdfe",
                 b"new\nline", b" ", b'"', b"-rf", b"...", b"\x01", b"a\\b"):  # fmt: skip
        names[name] = regular(name)
    large = root.make_dirs("large").entries
    for number in range(5200):
        large[b"%05d-%s" % (number, b"x" * (number % 100))] = regular(b"%d" % number)
    one = regular(b"one for all")
    wide = root.make_dirs("wide").entries  # two levels of index
    for number in range(9000):
        wide[b"%0240d" % number] = one
    for number in range(60):  # indexed, with directories, next to none in memory
        root.add(f"dirs/{number:0200d}", Directory())


def _add_contents(root: Directory, pack: Pack) -> None:
    contents: dict[str, Content] = {
        "tiny": pack.content(1),
        "block": pack.content(BLOCK),
        "more": pack.content(BLOCK + 1),
        "big": pack.content(9 * MIB + 77),
        "hole-first": pack.content(0, 3 * BLOCK, 5000),
        "hole-last": pack.content(2 * BLOCK, 10 * BLOCK),
        "hole-middle": pack.content(BLOCK, BLOCK, BLOCK, 7 * BLOCK, 100),
        "only-hole": pack.content(size=1_000_000),
        "forest": pack.content(*[BLOCK] * 300),
        "jungle": pack.content(*[BLOCK] * 3000),
        "terabytes": pack.content(BLOCK, 5 * GIB, 123, size=5 * GIB + BLOCK + 123),
        "memory": Data(random.Random(3).randbytes(3 * MIB + 5)),
        "zero": Data(b""),
    }
    for name, content in contents.items():
        root.add(f"data/{name}", File(mode=stat.S_IFREG | 0o644, content=content))
    dense = pack.content(0, 2 * BLOCK, BLOCK, 5 * BLOCK, 5, size=12 * BLOCK + 9)
    root.add("data/dense", File(mode=stat.S_IFREG | 0o644, content=dense, dense=True))
    root.add(
        "data/dense-zeros", File(mode=stat.S_IFREG, content=pack.content(size=9999), dense=True)
    )
    root.add("data/bare", File(mode=stat.S_IFREG | 0o600))


@dataclass(frozen=True, repr=False)
class Made:
    disk: Path
    root: Directory
    usage: ext4.Usage
    advanced: int


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a disk that holds the torture tree."""
    place = tmp_path_factory.mktemp("ext4")
    root = torture(Pack(place / "pack"))
    disk = empty(place / "disk")
    amounts: list[int] = []
    usage = ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN, advance=amounts.append)
    return Made(disk, root, usage, sum(amounts))


def copied(source: Path, target: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    return target


# --- judges --------------------------------------------------------------------------------------


def test_e2fsck_has_nothing_to_say(made: Made) -> None:
    before = digest(made.disk)
    ext4.check(made.disk, offset=OFFSET, size=SIZE)
    assert digest(made.disk) == before


def test_e2fsck_accepts_every_copy_of_the_superblock_as_a_start(made: Made) -> None:
    argv = ["e2fsck", "-fn", "-b", "32768", "-B", "4096", f"{made.disk}?offset={OFFSET}"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    assert "Pass 5" in said
    # It takes no group's word for being unused then, so it misses the bitmaps of those: no more.
    assert re.findall(r"(.*)\? no|(Free|Directories|Block) ", said) == [
        ("Padding at end of inode bitmap is not set. Fix", "")
    ]


def test_debugfs_reads_every_content(made: Made, tmp_path: Path) -> None:
    wanted = {
        f"{part}/{name.decode()}": node
        for part in ("data", "large", "xattr", "kinds")
        for name, node in (made.root.get_dir(part) or Directory()).entries.items()
        if isinstance(node, File) and node.is_regular and node.size < GIB
    }
    sample = sorted(wanted)[:: max(1, len(wanted) // 600)] + [k for k in wanted if k[:4] == "data"]
    lines = [f'dump "/{path}" "{tmp_path}/{n}"' for n, path in enumerate(sample)]
    debugfs(made.disk, *lines)
    for number, path in enumerate(sample):
        content = wanted[path].content or Data(b"")
        assert (tmp_path / str(number)).read_bytes() == read(content), path


def test_debugfs_stat(made: Made) -> None:
    def show(path: str) -> str:
        return debugfs(made.disk, f'stat "{path}"')

    setuid = show("/kinds/setuid")
    assert re.search(r"Type: regular +Mode: +04755 ", setuid)
    assert re.search(r"User: 70000 +Group: -294967296 ", setuid)
    assert "crtime: 0x6553f100:00000000" in setuid
    assert "ctime: 0x6553f100:00000000" in setuid
    assert "mtime: 0xed3001c0:00000004" in show("/kinds/old").lower() or "1960" in show(
        "/kinds/old"
    )
    assert re.search(r"mtime: 0x7fffffff:00000017", show("/kinds/2446"))
    assert re.search(r"New-style\) .*number: 259:70000 ", show("/kinds/nvme"))
    assert "number: 05:01 (hex 05:01)" in show("/kinds/console")
    assert "Flags: 0x80010" in show("/kinds/frozen")
    assert "Flags: 0x81000" in show("/large")
    assert "Links: 4 " in show("/z")
    assert f'Fast link dest: "{"x" * 59}"' in show("/kinds/fast")
    assert "EXTENTS:" in show("/kinds/slow")
    assert "Size: 5368713339" in show("/data/terabytes")
    assert "(ETB0)" in show("/data/jungle")
    assert "Size of extra inode fields: 32" in setuid
    for inode in (2, 7, 8, 11):
        # What mke2fs made is of the same moment: nothing of the day of the build is in the file.
        times = re.findall(r"\b(?:[ac]time|crtime): 0x(\w+)", show(f"<{inode}>"))
        assert set(times) <= {"6553f100", "00000000"}, inode


def test_a_dense_file_has_no_holes_and_is_one_run(made: Made) -> None:
    runs = debugfs(made.disk, "ex /data/dense").splitlines()[2:]
    assert len(runs) == 1
    assert re.search(r" 0 - +12 .* 13 *$", runs[0]), runs
    assert "Uninit" not in runs[0]
    assert re.search(
        r" 0 - +2 .* 3 *$", debugfs(made.disk, "ex /data/dense-zeros").splitlines()[-1]
    )


def test_extent_trees_are_as_deep_as_they_must_be(made: Made) -> None:
    for path, depth, count in (("big", 0, 1), ("forest", 1, 150), ("jungle", 2, 1500)):
        lines = debugfs(made.disk, f"ex /data/{path}").splitlines()[2:]
        assert re.match(rf" *{depth}/ *{depth} ", lines[-1]), path
        leaves = [line for line in lines if re.match(rf" *{depth}/ *{depth} ", line)]
        assert len(leaves) == count, path


def test_debugfs_reads_every_attribute(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "value"
    for name, node in (made.root.get_dir("xattr") or Directory()).entries.items():
        listed = debugfs(made.disk, f"ea_list /xattr/{name.decode()}")
        for key, given in node.xattrs:
            stored = STORED.get(given, given)
            if key.isascii():
                assert f"  {key.decode()} ({len(stored)})" in listed
                out.unlink(missing_ok=True)
                debugfs(made.disk, f"ea_get -f {out} /xattr/{name.decode()} {key.decode()}")
                unnamed = given.replace(b"\xff" * 4, bytes(4)) if stored != given else given
                assert out.read_bytes() == unnamed, (name, key)
        assert len(re.findall(r"(?m)^  \S.*? \(\d+\)", listed)) == len(node.xattrs), name


def test_equal_attribute_blocks_are_shared(made: Made) -> None:
    said = debugfs(made.disk, *[f"stat /xattr/shared/{n}" for n in range(1100)])
    blocks = re.findall(r"File ACL: (\d+)", said)
    assert len(blocks) == 1100
    assert sorted(map(blocks.count, set(blocks))) == [76, 1024]


def test_dumpe2fs_counts_and_checksums(made: Made, tmp_path: Path) -> None:
    fresh = empty(tmp_path / "fresh")

    def numbers(disk: Path) -> tuple[str, int, int]:
        argv = ["dumpe2fs", f"{disk}?offset={OFFSET}"]
        text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        blocks, inodes = (int(re.findall(rf"Free {what}: +(\d+)", text)[0])
                          for what in ("blocks", "inodes"))  # fmt: skip
        assert "EXPECTED" not in text  # a group's checksum that is not what it should be
        return text, blocks, inodes

    _, blocks, inodes = numbers(fresh)
    text, blocks_left, inodes_left = numbers(made.disk)
    assert blocks - blocks_left == made.usage.blocks
    assert inodes - inodes_left == made.usage.inodes - 11
    assert re.search(r"Filesystem state: +clean", text)
    times = re.findall(r"(?:created|write time|checked): +(.*)", text)
    assert times == ["Tue Nov 14 22:13:20 2023"] * 3
    assert "INODE_UNINIT" in text


def test_need_is_an_upper_bound_and_close(made: Made) -> None:
    need = ext4.required(made.root)
    assert need.inodes == made.usage.inodes
    assert need.content == made.advanced == made.usage.bytes_written
    used = made.usage.blocks * BLOCK
    assert used <= need.bytes <= used * 1.03


def test_growth_by_resize2fs(made: Made, tmp_path: Path) -> None:
    alone = tmp_path / "filesystem"
    blocks = [f"skip={OFFSET // MIB}", f"count={SIZE // MIB}", "bs=1M", "conv=sparse"]
    subprocess.run(["dd", f"if={made.disk}", f"of={alone}", *blocks, "status=none"], check=True)
    os.truncate(alone, 3 * GIB)
    subprocess.run(["resize2fs", alone], check=True, capture_output=True)
    ext4.check(alone, offset=0, size=3 * GIB)


# --- same bytes ----------------------------------------------------------------------------------


def reversed_tree(node: Directory) -> Directory:
    """Return the same tree with all entries in the opposite order, files shared."""
    out = Directory(node.mode, node.uid, node.gid, node.xattrs, node.mtime_ns, {}, node.immutable)
    stack = [(node, out)]
    while stack:
        old, new = stack.pop()
        for name, child in reversed(old.entries.items()):
            if isinstance(child, Directory):
                copy = Directory(child.mode, child.uid, child.gid, child.xattrs, child.mtime_ns, {},
                                 child.immutable)  # fmt: skip
                stack.append((child, copy))
                new.entries[name] = copy
            else:
                new.entries[name] = child
    return out


def test_the_same_tree_gives_the_same_bytes(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "no copies here")

    monkeypatch.setattr(os, "copy_file_range", refuse)  # the other way to the same bytes
    monkeypatch.setenv("MKE2FS_CONFIG", "/dev/null")  # and the caller's settings do not matter
    disk = empty(tmp_path / "again")
    ext4.populate(disk, offset=OFFSET, root=reversed_tree(made.root), timestamp=WHEN)
    assert digest(disk) == digest(made.disk)


def test_without_mke2fs_own_library(tmp_path: Path) -> None:
    """The sums in Python give the same disk."""
    pack = Pack(tmp_path / "pack")
    root = Directory(entries={b"d": Directory(xattrs=(CAPABILITY, LABEL))})
    for number in range(200):
        root.add(f"d/{number:0100d}", regular(b"%d" % number))
    content = pack.content(*[BLOCK] * 20)
    root.add("sparse", File(mode=stat.S_IFREG, content=content))
    fill(tmp_path / "disk", root, 16 * MIB)
    program = f"""
import ctypes, pickle, sys
from pathlib import Path
def refuse(*_): raise OSError("no library")
ctypes.CDLL = refuse
from diskgen.disk import ext4
from diskgen.disk.ext4 import crc32c
assert crc32c.crc32c is crc32c.portable
root = pickle.load(sys.stdin.buffer)
ext4.populate(Path(sys.argv[1]), offset={OFFSET}, root=root, timestamp={WHEN})
"""
    other = empty(tmp_path / "other", 16 * MIB)
    argv = [sys.executable, "-c", program, str(other)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(argv, input=pickle.dumps(root), check=True, env=env)
    assert digest(other) == digest(tmp_path / "disk")


# --- options and limits --------------------------------------------------------------------------


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


def test_only_an_empty_filesystem_of_ours_is_filled(made: Made, tmp_path: Path) -> None:
    copy = copied(made.disk, tmp_path / "copy")
    with pytest.raises(VerifyError, match="not empty"):
        ext4.populate(copy, offset=OFFSET, root=Directory(), timestamp=WHEN)
    with pytest.raises(VerifyError, match="no ext4 filesystem"):
        ext4.populate(copy, offset=0, root=Directory(), timestamp=WHEN)
    with copy.open("r+b") as file:
        file.seek(OFFSET + 1024 + 0x78)
        file.write(b"other")
    with pytest.raises(VerifyError, match="wrong checksum"):
        ext4.populate(copy, offset=OFFSET, root=Directory(), timestamp=WHEN)
    plain = tmp_path / "plain"
    os.truncate(os.open(plain, os.O_CREAT | os.O_RDWR), OFFSET + 16 * MIB)
    argv = ["mke2fs", "-q", "-F", "-t", "ext3", "-E", f"offset={OFFSET}", str(plain), "4096"]
    subprocess.run(argv, check=True)
    with pytest.raises(VerifyError, match=r"wrong checksum|not of diskgen's making"):
        ext4.populate(plain, offset=OFFSET, root=Directory(), timestamp=WHEN)


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
        runs: list[extents.Extent], allocate: Callable[[], int], seed: int
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


# --- this machine fails --------------------------------------------------------------------------


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
    with pytest.raises(KeyboardInterrupt):
        ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN, advance=interrupt)
    assert "diskgen-ext4" not in {thread.name for thread in threading.enumerate()}


# --- Linux ---------------------------------------------------------------------------------------


@contextmanager
def mounted(disk: Path, place: Path, *options: str, size: int = SIZE) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    joined = ",".join(["loop", f"offset={OFFSET}", f"sizelimit={size}", *options])
    subprocess.run(["mount", "-t", "ext4", "-o", joined, disk, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def _names(path: str) -> set[bytes]:
    with os.scandir(os.fsencode(path)) as entries:
        return {entry.name for entry in entries}


def _check_stat(path: str, node: File | Directory) -> None:
    info = os.lstat(path)
    assert info.st_mode == node.mode, path
    assert (info.st_uid, info.st_gid) == (node.uid, node.gid), path
    assert info.st_mtime_ns == node.mtime_ns, path
    assert info.st_ctime_ns == WHEN * 10**9, path
    found = {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False)
             for name in os.listxattr(path, follow_symlinks=False)}  # fmt: skip
    assert found == dict(node.xattrs), path
    if isinstance(node, Directory):
        return
    assert info.st_size == node.size, path
    if node.is_symlink:
        assert os.readlink(os.fsencode(path)) == node.target  # noqa: PTH115 - bytes
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        assert (os.major(info.st_rdev), os.minor(info.st_rdev)) == node.rdev
    if node.is_regular and node.size < GIB:
        assert Path(path).read_bytes() == read(node.content or Data(b"")), path


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_reads_everything(made: Made, tmp_path: Path) -> None:
    inodes: dict[int, File | Directory] = {}
    compared = 0
    with mounted(made.disk, tmp_path / "mnt", "ro,noload") as place:
        stack: list[tuple[str, Directory]] = [(os.fspath(place), made.root)]
        while stack:
            path, directory = stack.pop()
            listed = _names(path) - {b"lost+found"}
            assert listed == set(directory.entries), path
            assert os.lstat(path).st_nlink == 2 + (path == os.fspath(place)) + sum(
                isinstance(node, Directory) for node in directory.entries.values()
            )
            for name, node in directory.entries.items():
                below = f"{path}/{os.fsdecode(name)}"
                if len(os.fsencode(below)) > 3900:
                    continue
                number = os.lstat(below).st_ino
                assert inodes.setdefault(number, node) is node, "a hard link is one inode"
                _check_stat(below, node)
                compared += 1
                if isinstance(node, Directory):
                    stack.append((below, node))
        _check_stat(os.fspath(place), made.root)
        frozen = os.open(place / "kinds/frozen", os.O_RDONLY)
        (flags,) = struct.unpack_from("<i", fcntl.ioctl(frozen, 0x80086601, bytes(8)))
        os.close(frozen)
        assert flags & 0x10
        with (place / "data/terabytes").open("rb") as file:
            assert file.seek(0, os.SEEK_HOLE) == BLOCK
            assert file.seek(BLOCK, os.SEEK_DATA) == 5 * GIB + BLOCK
            content = (made.root.get_file("data/terabytes") or regular(b"")).content
            assert isinstance(content, Packed)
            with content.pack.open("rb") as pack:
                pack.seek(content.extents[1][2])
                assert file.read() == pack.read(123)
    assert compared > 16_000
    assert len(inodes) == made.usage.inodes - 11


def may_resize() -> bool:
    """Say whether we have CAP_SYS_RESOURCE, which root of a container often lacks."""
    status = Path("/proc/self/status").read_text()
    return bool(int(re.findall(r"CapEff:\s*(\w+)", status)[0], 16) >> 24 & 1)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not may_resize(), reason="mounts and resizes")
def test_linux_grows_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    fill(disk, Directory(entries={b"f": regular(b"x")}), 64 * MIB)
    os.truncate(disk, OFFSET + 2 * GIB)
    with mounted(disk, tmp_path / "mnt", size=2 * GIB) as place:
        argv = ["findmnt", "--noheadings", "--output", "SOURCE", str(place)]
        device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["resize2fs", device], check=True, capture_output=True)
        info = os.statvfs(place)
        assert info.f_blocks * info.f_frsize > 1.9 * GIB
        (place / "more").write_bytes(bytes(100 * MIB))
    ext4.check(disk, offset=OFFSET, size=2 * GIB)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_works_in_it(made: Made, tmp_path: Path) -> None:
    disk = copied(made.disk, tmp_path / "disk")
    with mounted(disk, tmp_path / "mnt", "init_itable=0") as place:
        for directory in ("large", "wide", "names", "dirs"):
            here = place / directory
            for number in range(1500):
                (here / f"new-{number}-{'n' * 180}").write_bytes(b"new" * 100)
            for victim in sorted(here.iterdir())[::3]:
                if not victim.is_dir():
                    victim.unlink()
                elif directory == "dirs":
                    victim.rmdir()
            for number, moved in enumerate(sorted(here.iterdir())[::7]):
                moved.rename(place / "kinds/sticky" / f"{directory}{number}{moved.name[:100]}")
        os.truncate(place / "data/jungle", 100 * BLOCK + 5)
        for name in ("forest", "terabytes", "hole-first", "big"):
            (place / "data" / name).unlink()
        with (place / "data/hole-middle").open("r+b") as file:
            file.seek(BLOCK)
            file.write(b"filled" * 3000)
        os.setxattr(place / "kinds/setuid", "user.new", b"v" * 2000)
        for path in sorted((place / "xattr/shared").iterdir())[::2]:
            os.setxattr(path, "user.more", b"1" * 100)
        subprocess.run(["rm", "-rf", place / "deep"], check=True)
        with (place / "fresh").open("wb") as file:
            file.write(os.urandom(20 * MIB))
        with pytest.raises(PermissionError):
            (place / "kinds/frozen/x").write_bytes(b"")
    argv = ["e2fsck", "-fn", f"{disk}?offset={OFFSET}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    # Linux does not make a tree lower when the file gets shorter.
    assert set(re.findall(r"(.*)\? no", done.stdout)) <= {
        "Inode 31 extent tree (at level 1) could be shorter.  Optimize"
    }
