"""The xfs writer on a tree of everything, judged by xfs_repair, xfs_db, GRUB and Linux."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import struct
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskgen.disk import xfs
from diskgen.disk.filesystems import KINDS
from diskgen.disk.placing.population import Inspection, Need, Usage
from diskgen.disk.xfs import geometry
from diskgen.disk.xfs.space import Space
from diskgen.errors import SourceError, UsageError, VerifyError
from diskgen.layout import Filesystem
from diskgen.tree import Directory, File, regular, symlink
from diskgen.units import GIB, MIB

from ..fixtures.torture import LABEL, Pack, by_grub, differences, mounted, torture, worked_in

WHEN = 1_700_000_000
LONG_ACL = struct.pack("<I", 2) + struct.pack("<HHI", 2, 7, 1) * 6000
IDENTITY = uuid.UUID("6b1bdf4c-8c0f-4c0e-9e2d-0f4f6a6b7c8d")
BLOCK = 4096


def fill(
    image: Path,
    root: Directory,
    size: int,
    *,
    sector: int = 512,
    offset: int = 0,
    features: xfs.Features | None = None,
    judge: bool = True,
) -> Usage:
    """Write a filesystem and have it judged."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(offset + size)
    return xfs.populate(
        image,
        offset=offset,
        size=size,
        root=root,
        timestamp=WHEN,
        uuid=IDENTITY,
        label="root",
        sector_size=sector,
        features=features or xfs.Features(),
        inspection=Inspection(image.with_suffix(".shadow"), xfs.check) if judge else None,
    )


def everything(place: Path) -> Directory:
    return torture(Pack(place / "pack"), values=(30000, 65536))


@dataclass(frozen=True)
class Made:
    root: Directory
    image: Path
    size: int
    usage: Usage
    sector: int


@pytest.fixture(scope="module", params=[512, 4096])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Made:
    place = tmp_path_factory.mktemp("xfs")
    root = everything(place)
    size = 640 * MIB + 3 * BLOCK
    usage = fill(place / "image", root, size, sector=request.param)
    return Made(root, place / "image", size, usage, request.param)


def test_need_is_an_upper_bound_and_close(made: Made) -> None:
    need = xfs.required(made.root)
    taken = (made.usage.blocks + -(-made.usage.inodes // 64) * 8) * BLOCK
    assert taken <= need.bytes <= taken + 4 * MIB
    assert made.usage.bytes_written == need.content
    assert made.usage.inodes == need.inodes


def test_nothing_is_left_of_what_was_looked_at(made: Made) -> None:
    assert not made.image.with_suffix(".shadow").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_reads_everything(made: Made, tmp_path: Path) -> None:
    options = "ro,norecovery"
    with mounted("xfs", made.image, tmp_path / "m", sector=made.sector, options=options) as place:
        assert list(differences(made.root, place)) == []
        flags = subprocess.run(
            ["lsattr", "-d", place / "frozen"], capture_output=True, text=True, check=True
        ).stdout.split()[0]
        assert "i" in flags


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_grows_it_and_works_in_it(made: Made, tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run(["cp", "--sparse=always", made.image, image], check=True)
    os.truncate(image, made.size + 512 * MIB)
    with mounted("xfs", image, tmp_path / "m", sector=made.sector, options="rw") as place:
        subprocess.run(["xfs_growfs", place], check=True, stdout=subprocess.DEVNULL)
        worked_in(place)
    xfs.check(image)


def test_grub_reads_it(made: Made) -> None:
    by_grub(made.image, ("/extents/plain502", 502), ("/count/5000", 5000))


def test_xfs_db_reads_the_forms(made: Made) -> None:
    words = ["inode 128", "print core.format core.nlinkv2 core.aformat", "sb 0", "print icount"]
    argv = [word for text in words for word in ("-c", text)]
    said = subprocess.run(
        ["xfs_db", "-r", "-f", *argv, made.image], capture_output=True, text=True, check=True
    ).stdout
    assert "core.format = 1 (local)" in said
    assert "core.aformat = 1 (local)" in said
    assert f"icount = {-(-made.usage.inodes // 64) * 64}" in said


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "some/where/else"):
        place = tmp_path / name
        place.mkdir(parents=True)
        fill(place / "image", everything(place), 640 * MIB, offset=3 * BLOCK)
        with (place / "image").open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    "size",
    [320 * MIB, 321 * MIB + 512, 511 * MIB + 5 * BLOCK, 4 * GIB, 100 * GIB + 7 * BLOCK,
     4096 * GIB, 4099 * GIB, 16384 * GIB - MIB],
)  # fmt: skip
def test_sizes(tmp_path: Path, size: int) -> None:
    root = Directory(xattrs=(LABEL,))
    root.add("etc/hostname", regular(b"here\n"))
    try:
        fill(tmp_path / "image", root, size)
    except OSError:
        pytest.skip("the filesystem of this directory has no files of this size")
    shape = geometry.of_size(size, 512)
    assert shape.log_start + shape.log_blocks <= (shape.log_ag + 1) * shape.ag_blocks
    assert sum(map(shape.length, range(shape.ag_count))) == shape.blocks


@pytest.mark.parametrize(("missing", "fits"), [(0, True), (MIB, False)])
def test_the_minimum_size_is_enough(tmp_path: Path, missing: int, fits: bool) -> None:
    pack = Pack(tmp_path / "pack")
    root = Directory()
    for number in range(3):
        node = File(mode=stat.S_IFREG | 0o644, content=pack.pieces(29_000), dense=True)
        root.add(f"large{number}", node)
    size = xfs.minimum_size(xfs.required(root))
    assert size > geometry.LEAST_SIZE + MIB
    if fits:
        fill(tmp_path / "image", root, size)
        return
    slack = 8 * MIB  # how far the bound may be above what it takes
    with pytest.raises(UsageError, match="too small for the image") as caught:
        fill(tmp_path / "image", root, size - slack - missing)
    assert caught.value.setting == "disk-size"


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("count", [1, 300_000, 600_000, 1_000_000, 3_000_000])
@pytest.mark.parametrize("contents", [0, 300_000])
def test_the_minimum_size_has_room_for_inodes(count: int, contents: int, sector: int) -> None:
    """The log's group has none, so that there may be room and yet too few."""
    contents += count // 100
    blocks = -(-count // 64) * 8 + contents
    size = xfs.minimum_size(Need(blocks * BLOCK, count, 0))
    shape = geometry.of_size(size, sector)
    space = Space(shape, count)
    space.alloc.take(contents)
    assert space.inode_percent * shape.blocks >= 100 * -(-count // 64) * 8


def test_inodes_in_several_groups(tmp_path: Path) -> None:
    """More inodes than the first group holds; btrees of two levels for them."""
    root = Directory()
    for outer in range(300):
        entries = {b"%d" % number: File(mode=stat.S_IFIFO) for number in range(600)}
        root.make_dirs(f"{outer}").entries.update(entries)
    fill(tmp_path / "image", root, xfs.minimum_size(xfs.required(root)))


@pytest.mark.parametrize(
    ("path", "node", "said"),
    [
        ("a/link", symlink(b"x" * 1024), "'/a/link' of the image does not fit in xfs: its target"),
        ("dev", File(mode=stat.S_IFCHR, rdev=(1, 1 << 18)), "its device number is '1:262144'"),
        ("big", regular(b"", xattrs=((b"user.x", bytes(65537)),)), "'user.x' has '65537' bytes"),
        ("odd", regular(b"", xattrs=((b"system.nfs4_acl", b""),)), "'system.nfs4_acl'"),
        ("acl", regular(b"", xattrs=((b"system.posix_acl_access", LONG_ACL),)), "'72004' bytes"),
        ("who", File(mode=stat.S_IFIFO, uid=1 << 32), "its owner is"),
        ("strange", File(mode=0o170000), "its mode is"),
        ("n" * 256, regular(b""), "it has an entry called"),
    ],
)
def test_what_xfs_cannot_hold_is_said_with_its_path(path: str, node: File, said: str) -> None:
    root = Directory()
    root.add(path, node)
    for ask in (xfs.required, KINDS[Filesystem.XFS].size):
        with pytest.raises(SourceError) as caught:
            ask(root)
        assert said in str(caught.value)
        assert "--rootfs ext4" in (caught.value.hint or "")


def test_a_label_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'a label of 13'"):
        xfs.populate(
            tmp_path / "none", offset=0, size=GIB, root=Directory(), timestamp=0, uuid=IDENTITY,
            label="a label of 13",
        )  # fmt: skip


# Bits of the superblock, Linux fs/xfs/libxfs/xfs_format.h: (read-only compatible, incompatible).
EXPECTED = {
    "4.18.0-553.el8": (0x5, 0x3),  # free inodes, reflinks; types in directories, sparse inodes
    "5.14.0-427.el9.x86_64": (0xD, 0xB),  # counters of inode trees; times after 2038
    "6.12.0-55.el10.x86_64": (0xD, 0xB),
    "no-version": (0x5, 0x3),
}


@pytest.mark.parametrize("release", EXPECTED)
def test_features_are_those_of_the_images_kernel(release: str, tmp_path: Path) -> None:
    late = regular(b"")
    late.mtime_ns = 5_000_000_000 * 10**9
    root = Directory(entries={b"late": late})
    fill(tmp_path / "image", root, 320 * MIB, features=xfs.of_kernel(release))
    with (tmp_path / "image").open("rb") as file:
        assert struct.unpack(">II", file.read(512)[212:220]) == EXPECTED[release]


def test_a_kernel_that_mounts_none_of_ours_is_named() -> None:
    (problem,) = KINDS[Filesystem.XFS].problems("3.10.0-1160.el7")
    assert "'3.10.0-1160.el7' is too old" in problem.message
    assert problem.setting == "rootfs"


def test_the_judge_sees_flipped_bits(tmp_path: Path) -> None:
    """A judge that sees nothing would be noticed here."""
    root = Directory(xattrs=(LABEL,))
    entries = {b"f%d" % number: regular(b"", xattrs=(LABEL,)) for number in range(600)}
    root.make_dirs("node").entries.update(entries)
    fill(tmp_path / "image", root, 320 * MIB)
    raw = (tmp_path / "image").read_bytes()
    chance = random.Random(7)
    blocks = [at for at in range(0, len(raw), BLOCK) if any(raw[at : at + BLOCK])]
    seen = 0
    for _ in range(12):
        at = chance.choice(blocks) + chance.randrange(176)
        with (tmp_path / "image").open("r+b") as file:
            file.seek(at)
            file.write(bytes((raw[at] ^ 1 << chance.randrange(8),)))
        try:
            xfs.check(tmp_path / "image")
        except VerifyError:
            seen += 1
        with (tmp_path / "image").open("r+b") as file:
            file.seek(at)
            file.write(raw[at : at + 1])
    assert seen >= 10


def test_the_judges_words_are_passed_on(tmp_path: Path) -> None:
    image = tmp_path / "image"
    fill(image, Directory(), 320 * MIB)
    with image.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 65536)
    with pytest.raises(VerifyError) as caught:
        xfs.check(image)
    done = subprocess.run(["xfs_repair", "-n", "-f", image], capture_output=True, text=True,
                          check=False)  # fmt: skip
    words = caught.value.said.splitlines()
    assert len(words) > 1
    assert {*words[1:]} <= {*done.stdout.splitlines(), *done.stderr.splitlines()}


@st.composite
def trees(draw: st.DrawFn) -> Directory:
    root = Directory(xattrs=draw(st.sampled_from([(), (LABEL,)])))
    for number in range(draw(st.integers(1, 4))):
        width = draw(st.integers(1, 250))
        count = draw(st.one_of(st.integers(0, 30), st.integers(10, 700)))
        where = root.make_dirs(f"d{number}")
        value = draw(st.one_of(st.integers(0, 400), st.integers(2900, 4200)))
        where.xattrs = ((b"user.v", b"x" * value),)
        for name in range(count):
            text = (b"%04d" % name).ljust(width, b"n")
            where.entries[text] = regular(b"c" * (name % 3), xattrs=((b"user.s", b"y" * name),))
        target = draw(st.integers(1, 1023))
        where.entries[b"link"] = symlink(b"l" * target)
    return root


@given(root=trees())
@settings(
    max_examples=20, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_any_tree(root: Directory, tmp_path: Path) -> None:
    usage = fill(tmp_path / "image", root, 320 * MIB)
    taken = (usage.blocks + -(-usage.inodes // 64) * 8) * BLOCK
    assert taken <= xfs.required(root).bytes
