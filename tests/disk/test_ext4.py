"""The ext4 writer on a tree of everything, judged by all of e2fsprogs and by Linux."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import re
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diskgen.disk import ext4
from diskgen.errors import VerifyError
from diskgen.tree import Data, Directory, File, Packed, read, regular
from diskgen.units import GIB, MIB

from ..fixtures.ext4_disks import (
    BLOCK,
    CAPABILITY,
    LABEL,
    OFFSET,
    SIZE,
    STORED,
    WHEN,
    Made,
    Pack,
    copied,
    debugfs,
    digest,
    empty,
    fill,
    torture,
)
from ..fixtures.program import ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a disk that holds the torture tree."""
    place = tmp_path_factory.mktemp("ext4")
    root = torture(Pack(place / "pack"))
    disk = empty(place / "disk")
    amounts: list[int] = []
    usage = ext4.populate(disk, offset=OFFSET, root=root, timestamp=WHEN, advance=amounts.append)
    return Made(disk, root, usage, sum(amounts))


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
from diskgen.disk.placing import crc32c
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


# --- this machine fails --------------------------------------------------------------------------


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
