"""The btrfs writer on a tree of everything, judged by btrfs check, scrub, GRUB and Linux."""

from __future__ import annotations

import hashlib
import os
import random
import re
import stat
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskgen.disk import btrfs
from diskgen.disk.btrfs import geometry, inventory, sizing
from diskgen.disk.btrfs.geometry import DATA, Chunk
from diskgen.disk.btrfs.space import split
from diskgen.disk.btrfs.sums import name_hash
from diskgen.disk.filesystems import KINDS
from diskgen.disk.placing.population import Inspection, Usage
from diskgen.errors import SourceError, UsageError, VerifyError
from diskgen.layout import Filesystem
from diskgen.tree import Directory, File, Packed, regular, symlink
from diskgen.units import GIB, MIB

from ..fixtures.torture import LABEL, Pack, by_grub, differences, mounted, torture, worked_in

WHEN = 1_700_000_000
IDENTITY = uuid.UUID("6b1bdf4c-8c0f-4c0e-9e2d-0f4f6a6b7c8d")
BLOCK = 4096
NAME = b"sys/root"
LARGEST = 16 * MIB  # all nodes of these trees


def fill(
    image: Path,
    root: Directory,
    size: int,
    *,
    offset: int = 0,
    subvolumes: Sequence[bytes] = (),
    default: bytes | None = None,
) -> Usage:
    """Write a filesystem and have it judged as builds do."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(offset + size)
    return btrfs.populate(
        image,
        offset=offset,
        size=size,
        root=root,
        timestamp=WHEN,
        uuid=IDENTITY,
        label="root",
        subvolumes=subvolumes,
        default=default,
        inspection=Inspection(image.with_suffix(".shadow"), btrfs.check),
    )


def judge(image: Path) -> None:
    """Let btrfs check read everything, and compare the copies: it is content with one of two."""
    said = subprocess.run(
        ["btrfs", "check", "--check-data-csum", image], capture_output=True, text=True, check=True
    )
    assert "no error found" in said.stdout
    dump: list[str | Path] = ["btrfs", "inspect-internal", "dump-tree", "--tree", "chunk", image]
    text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    twice = 0
    with image.open("rb") as file:
        for item in text.split("CHUNK_ITEM ")[1:]:
            if "DUP" not in item:
                continue
            length = int(item.split("length ")[1].split()[0])
            copies = []
            for words in item.split(" offset ")[1:]:
                file.seek(int(words.split()[0]))
                nodes = file.read(min(length, LARGEST))
                copies.append(hashlib.sha256(nodes).digest())
            assert len(copies) == 2
            assert copies[0] == copies[1]
            twice += 1
    assert twice == 2


@dataclass(frozen=True)
class Made:
    root: Directory
    image: Path
    size: int
    usage: Usage


def everything(place: Path) -> Directory:
    return torture(Pack(place / "pack"), targets=(4095,))


def below(root: Directory) -> Directory:
    top = Directory()
    top.add(NAME, root)
    return top


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    place = tmp_path_factory.mktemp("btrfs")
    root = everything(place)
    size = 640 * MIB + 3 * BLOCK
    usage = fill(place / "image", below(root), size, subvolumes=(NAME,), default=NAME)
    return Made(root, place / "image", size, usage)


def test_need_is_an_upper_bound_and_close(made: Made) -> None:
    need = btrfs.required(made.root)
    assert made.usage.blocks * BLOCK <= need.bytes <= made.usage.blocks * BLOCK + 4 * MIB
    assert made.usage.bytes_written == need.content
    assert made.usage.inodes == need.inodes + 2  # what the subvolume is in


@pytest.mark.parametrize(("links", "most"), [(1, 1.25), (2, 1.75)])
def test_need_is_near_where_names_take_the_most(tmp_path: Path, links: int, most: float) -> None:
    root = Directory()
    for number in range(6000):
        node = regular(b"")
        for link in range(links):
            root.entries[b"%d-%d" % (number, link) + b"n" * 230] = node
    usage = fill(tmp_path / "image", root, 256 * MIB)
    assert usage.blocks * BLOCK <= btrfs.required(root).bytes <= most * usage.blocks * BLOCK


def test_the_judge_finds_no_fault(made: Made) -> None:
    assert not made.image.with_suffix(".shadow").exists()
    judge(made.image)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_reads_everything(made: Made, tmp_path: Path) -> None:
    with mounted("btrfs", made.image, tmp_path / "m") as place:
        assert list(differences(made.root, place)) == []
        flags = subprocess.run(
            ["lsattr", "-d", place / "frozen"], capture_output=True, text=True, check=True
        ).stdout.split()[0]
        assert "i" in flags
    with mounted("btrfs", made.image, tmp_path / "m", options="ro,subvolid=5") as top:
        assert [path.name for path in top.iterdir()] == ["sys"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_grows_it_and_works_in_it(made: Made, tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run(["cp", "--sparse=always", made.image, image], check=True)
    os.truncate(image, made.size + 256 * MIB)
    with mounted("btrfs", image, tmp_path / "m", options="rw") as place:
        for words in (
            "scrub start -B", "balance start -d -m", "filesystem resize max", "scrub start -B",
        ):  # fmt: skip
            subprocess.run(["btrfs", *words.split(), place], check=True, capture_output=True)
        snapshot: list[str | Path] = ["btrfs", "subvolume", "snapshot", place, place / "then"]
        subprocess.run(snapshot, check=True, capture_output=True)
        worked_in(place)
    btrfs.check(image)


def test_grub_reads_it(made: Made) -> None:
    """But for files with holes, for which GRUB wants items."""
    top = f"/{NAME.decode()}"
    by_grub(made.image, (f"{top}/extents/dense", 40), (f"{top}/count/1100", 1100))


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "some/where/else"):
        place = tmp_path / name
        place.mkdir(parents=True)
        fill(place / "image", everything(place), 256 * MIB, offset=3 * BLOCK)
        with (place / "image").open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").hexdigest())
    assert len(digests) == 1


def few() -> Directory:
    root = Directory(xattrs=(LABEL,))
    root.add("etc/hostname", regular(b"here\n"))
    root.add("usr/lib/os", regular(b"x" * 5000))
    return root


@pytest.mark.parametrize(
    "size",
    [256 * MIB, 257 * MIB + 512, 4 * GIB, 100 * GIB + 7 * BLOCK, 256 * GIB, 256 * GIB + BLOCK,
     300 * GIB, 4099 * GIB, 16384 * GIB - MIB],
)  # fmt: skip
def test_sizes(tmp_path: Path, size: int) -> None:
    try:
        fill(tmp_path / "image", few(), size)
    except OSError:
        pytest.skip("the filesystem of this directory has no files of this size")
    judge(tmp_path / "image")
    for place in (64 * MIB, 256 * GIB):
        if place + BLOCK <= size:
            with (tmp_path / "image").open("rb") as file:
                file.seek(place + 0x40)
                assert file.read(8) == b"_BHRfS_M"


@pytest.mark.parametrize("subvolumes", [(), (b"root",), (b"a", b"a/b/c", b"d/e"), (b"x/y", b"x")])
def test_subvolumes(tmp_path: Path, subvolumes: tuple[bytes, ...]) -> None:
    root = few()
    for path in subvolumes:
        root.add(path + b"/inside/file", regular(path))
    fill(
        tmp_path / "image", root, 256 * MIB, subvolumes=subvolumes,
        default=subvolumes[-1] if subvolumes else None,
    )  # fmt: skip
    judge(tmp_path / "image")
    if os.geteuid() == 0:
        with mounted("btrfs", tmp_path / "image", tmp_path / "m", options="ro,subvolid=5") as top:
            assert list(differences(root, top)) == []
            listed = subprocess.run(
                ["btrfs", "subvolume", "list", top], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            assert {line.split(" path ")[1].encode() for line in listed} == set(subvolumes)


def test_many_subvolumes(tmp_path: Path) -> None:
    """More than a leaf of the tree of trees holds."""
    paths = [b"s%03d" % number for number in range(80)]
    root = Directory(entries={path: few() for path in paths})
    fill(tmp_path / "image", root, 256 * MIB, subvolumes=paths)
    judge(tmp_path / "image")


def big(place: Path, blocks: int) -> Directory:
    """Return a tree with one file of so many blocks, which are zeros of a sparse pack."""
    with (place / "zeros").open("wb") as file:
        file.truncate(blocks * BLOCK)
    extents = ((0, blocks * BLOCK, 0),) if blocks else ()
    content = Packed(place / "zeros", blocks * BLOCK, extents)
    return Directory(entries={b"big": File(mode=stat.S_IFREG | 0o644, content=content)})


@pytest.mark.parametrize(
    "size",
    [300 * MIB + 5 * BLOCK, pytest.param(1500 * MIB, marks=pytest.mark.extended)],
)
def test_full_to_the_last_byte(tmp_path: Path, size: int) -> None:
    blocks = 0
    for _ in range(3):  # how much metadata there are depends on it
        found = inventory.take(big(tmp_path, blocks))
        blocks = geometry.of_size(size, sizing.metadata(found, blocks)).room // BLOCK
    fill(tmp_path / "image", big(tmp_path, blocks), size)
    judge(tmp_path / "image")
    with pytest.raises(UsageError, match="too small for the image") as caught:
        fill(tmp_path / "image", big(tmp_path, blocks + 1), size)
    assert caught.value.setting == "disk-size"


def test_an_extent_ends_where_its_chunk_does() -> None:
    chunks = [Chunk(start * MIB, MIB, DATA) for start in (1, 2, 3, 5)]
    extents = {7: [(0, 100, 256), (200, 700, 300)], 8: [(0, 256, 1280)]}
    split(extents, chunks)
    assert extents[7] == [(0, 100, 256), (200, 212, 300), (412, 256, 512), (668, 232, 768)]
    assert extents[8] == [(0, 256, 1280)]


@pytest.mark.parametrize("blocks", [0, 40_000, 300_000, 3_000_000])
def test_the_minimum_size_leaves_a_fifth_in_no_chunk(tmp_path: Path, blocks: int) -> None:
    root = big(tmp_path, blocks)
    size = btrfs.minimum_size(btrfs.required(root))
    shape = geometry.of_size(size, sizing.metadata(inventory.take(root), blocks))
    assert shape.room - blocks * BLOCK >= size // 5 - MIB
    with pytest.raises(UsageError, match="too small"):
        fill(tmp_path / "image", root, geometry.LEAST_SIZE - BLOCK)


def same_hash(count: int, width: int = 200) -> list[bytes]:
    """Return names of one hash, which is linear: the sets of bits that sum to nothing."""
    seen: dict[int, tuple[int, int]] = {}
    zero = name_hash(b"a" * width)
    kernel = []
    for bit in range(width * 4):
        flipped = bytearray(width)
        flipped[bit // 4] = 1 << bit % 4
        text = bytes(a ^ b for a, b in zip(b"a" * width, flipped, strict=True))
        value, mask = name_hash(text) ^ zero, 1 << bit
        while value:
            top = value.bit_length()
            if top not in seen:
                seen[top] = value, mask
                break
            value, mask = value ^ seen[top][0], mask ^ seen[top][1]
        else:
            kernel.append(mask)
    out = []
    for choice in range(count):
        mask = 0
        for number, each in enumerate(kernel[: count.bit_length()]):
            mask ^= each if choice >> number & 1 else 0
        name = bytearray(b"a" * width)
        for bit in range(width * 4):
            name[bit // 4] ^= (mask >> bit & 1) << bit % 4
        out.append(bytes(name))
    assert len({name_hash(name) for name in out}) == 1
    return out


def test_names_of_one_hash(tmp_path: Path) -> None:
    names = same_hash(20)
    root = Directory()
    root.make_dirs("d").entries.update({name: regular(name) for name in names})
    once = regular(b"")
    root.make_dirs("links").entries.update({b"%d" % n: once for n in range(800)})
    root.get_dir("links").entries.update(dict.fromkeys(names, once))  # type: ignore[union-attr]
    values = tuple((b"user." + name, b"v" * 300) for name in sorted(names))
    root.add("attributes", regular(b"", xattrs=values))
    fill(tmp_path / "image", root, 256 * MIB)
    judge(tmp_path / "image")
    if os.geteuid() == 0:
        with mounted("btrfs", tmp_path / "image", tmp_path / "m") as place:
            assert list(differences(root, place)) == []


@pytest.mark.parametrize("count", [58, 66])
def test_more_names_of_one_hash_than_an_item_holds(count: int) -> None:
    """66 are too many entries of a directory, 58 of an inode's names in several."""
    names = same_hash(count, 250)
    if count == 66:
        root = Directory(entries={name: regular(name) for name in names})
        said = "the names of one hash in it take '18480' bytes, at most '16258' can be"
    else:
        assert 58 * (250 + 30) < 16258
        once = regular(b"")
        root = Directory(entries=dict.fromkeys(names, once))
        root.make_dirs("more").entries.update(dict.fromkeys(names, once))
        btrfs.required(root)
        return
    with pytest.raises(SourceError, match=said):
        btrfs.required(root)


def test_more_attributes_of_one_hash_than_an_item_holds() -> None:
    values = tuple((b"user." + name, b"v" * 900) for name in sorted(same_hash(16)))
    root = Directory(entries={b"file": regular(b"", xattrs=values)})
    with pytest.raises(SourceError, match="others whose names have its hash take"):
        btrfs.required(root)


@pytest.mark.parametrize(
    ("path", "node", "said"),
    [
        ("a/link", symlink(b"x" * 4096), "'/a/link' of the image does not fit in btrfs: its"),
        ("dev", File(mode=stat.S_IFCHR, rdev=(4096, 1)), "its device number is '4096:1'"),
        ("big", regular(b"", xattrs=((b"user.x", bytes(16223)),)), "'user.x' has '16229' bytes"),
        ("odd", regular(b"", xattrs=((b"system.nfs4_acl", b""),)), "'system.nfs4_acl'"),
        ("acl", regular(b"", xattrs=((b"system.posix_acl_access", b"x"),)), "no access control"),
        ("who", File(mode=stat.S_IFIFO, uid=1 << 32), "its owner is"),
        ("strange", File(mode=0o170000), "its mode is"),
        ("n" * 256, regular(b""), "it has an entry called"),
    ],
)
def test_what_btrfs_cannot_hold_is_said_with_its_path(path: str, node: File, said: str) -> None:
    root = Directory()
    root.add(path, node)
    for ask in (btrfs.required, KINDS[Filesystem.BTRFS].size):
        with pytest.raises(SourceError) as caught:
            ask(root)
        assert said in str(caught.value)
        assert "--rootfs ext4" in (caught.value.hint or "")


def test_too_many_links_and_names_in_two_subvolumes() -> None:
    once = regular(b"")
    root = Directory(entries={b"%d" % number: once for number in range(65536)})
    with pytest.raises(SourceError, match="'65536' hard links, at most '65535'"):
        btrfs.required(root)
    shared = regular(b"x")
    two = Directory(entries={b"a": Directory(entries={b"f": shared}), b"f": shared})
    with pytest.raises(SourceError, match="it has names in two subvolumes"):
        inventory.take(two, (b"a",))
    twice = Directory()
    with pytest.raises(SourceError, match="is at two places"):
        inventory.take(Directory(entries={b"a": twice, b"b": twice}))


def test_a_label_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long a name for a btrfs"):
        btrfs.populate(
            tmp_path / "none", offset=0, size=GIB, root=Directory(), timestamp=0, uuid=IDENTITY,
            label="x" * 256,
        )  # fmt: skip


def test_the_judge_sees_flipped_bits(tmp_path: Path) -> None:
    """A judge that sees nothing would be noticed here; both copies of a node are damaged."""
    root = Directory(xattrs=(LABEL,))
    entries = {b"f%d" % number: regular(b"", xattrs=(LABEL,)) for number in range(600)}
    root.make_dirs("node").entries.update(entries)
    fill(tmp_path / "image", root, 256 * MIB)
    raw = bytearray((tmp_path / "image").read_bytes())
    shape = geometry.of_size(256 * MIB, sizing.metadata(inventory.take(root), 0))
    metadata = shape.metadata
    chance = random.Random(7)
    nodes = [at for at in range(metadata.start, metadata.start + metadata.length, geometry.NODE)
             if any(raw[at : at + geometry.NODE])]  # fmt: skip
    assert len(nodes) > 10
    one = both = 0
    for _ in range(40):
        at = chance.choice(nodes) + chance.randrange(geometry.NODE)
        flip = 1 << chance.randrange(8)
        for copies in (metadata.places[:1], metadata.places):
            with (tmp_path / "image").open("r+b") as file:
                for place in copies:
                    file.seek(place + at - metadata.start)
                    file.write(bytes((raw[at] ^ flip,)))
            try:
                btrfs.check(tmp_path / "image")
            except VerifyError:
                one, both = one + (len(copies) == 1), both + (len(copies) == 2)
            with (tmp_path / "image").open("r+b") as file:
                for place in copies:
                    file.seek(place + at - metadata.start)
                    file.write(raw[at : at + 1])
    assert both == 40
    assert one == 40  # it ends well, and says that it took the other copy


@st.composite
def trees(draw: st.DrawFn) -> Directory:
    root = Directory(xattrs=draw(st.sampled_from([(), (LABEL,)])))
    for number in range(draw(st.integers(1, 4))):
        width = draw(st.integers(1, 250))
        count = draw(st.one_of(st.integers(0, 30), st.integers(10, 700)))
        where = root.make_dirs(f"d{number}")
        value = draw(st.one_of(st.integers(0, 400), st.integers(8000, 16222)))
        where.xattrs = ((b"user.v", b"x" * value),)
        size = draw(st.one_of(st.integers(0, 3), st.integers(2040, 2056), st.integers(4090, 4100)))
        for name in range(count):
            text = (b"%04d" % name).ljust(width, b"n")
            where.entries[text] = regular(b"c" * (size + name % 3), xattrs=((b"user.s", b"y"),))
        links = draw(st.integers(0, 400))
        once = regular(b"l")
        where.entries.update({(b"l%d" % name).ljust(width, b"m")[:255]: once
                              for name in range(links)})  # fmt: skip
        where.entries[b"link"] = symlink(b"l" * draw(st.integers(1, 4095)))
    return root


CHEAP = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def written(root: Directory, place: Path) -> None:
    usage = fill(place / "image", root, 256 * MIB)
    assert usage.blocks * BLOCK <= btrfs.required(root).bytes


@given(root=trees())
@CHEAP
def test_any_tree(root: Directory, tmp_path: Path) -> None:
    written(root, tmp_path)


@pytest.mark.extended
@given(root=trees())
@settings(CHEAP, max_examples=1000)
def test_a_thousand_trees(root: Directory, tmp_path: Path) -> None:
    written(root, tmp_path)


def test_trees_are_described_as_mkfs_does(tmp_path: Path) -> None:
    """But for where they lie, how large they are, and by how many steps they were made."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    fill(ours, few(), 256 * MIB)
    with theirs.open("wb") as file:
        file.truncate(256 * MIB)
    subprocess.run(["mkfs.btrfs", "--quiet", theirs], check=True, capture_output=True)
    said: list[dict[str, tuple[str, ...]]] = []
    for image in (ours, theirs):
        dump: list[str | Path] = ["btrfs", "inspect-internal", "dump-tree", "--tree", "root", image]
        text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        trees = re.findall(
            r"key \((\S+) ROOT_ITEM 0\).*\n.*root_dirid (\d+) .*\n.*flags (\S+) refs (\d+)", text
        )
        said.append({tree: tuple(rest) for tree, *rest in trees})
    assert said[0] == {tree: said[1][tree] for tree in said[0]}
    assert {"EXTENT_TREE", "FS_TREE", "CSUM_TREE"} <= said[0].keys()
