"""The pieces of the ext4 writer: sums, hashes, extent trees, directory blocks, attributes."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.disk.ext4 import directory, dirhash, extents, inode, mkfs, sizing, superblock, xattr
from diskgen.disk.ext4.groups import _zeros
from diskgen.disk.ext4.superblock import has_copy
from diskgen.disk.placing import crc32c, native
from diskgen.disk.placing.alloc import Allocator, Extent, FullError
from diskgen.units import GIB, MIB

BLOCK = 4096
SEED = 0x12345678
RANDOM = settings(database=None, deadline=None)  # the checkout may be someone else's


def summed(raw: bytes) -> int:
    return crc32c.portable(SEED, raw)


def test_crc32c_is_the_one_of_the_standard() -> None:
    # RFC 3720 B.4 has 32 zeros; "123456789" is the check value of every catalogue of CRCs.
    for function in (crc32c.portable, crc32c.crc32c):
        assert function(0xFFFFFFFF, bytes(32)) ^ 0xFFFFFFFF == 0x8A9136AA
        assert function(0xFFFFFFFF, b"123456789") ^ 0xFFFFFFFF == 0xE3069283


@RANDOM
@given(st.integers(0, 0xFFFFFFFF), st.binary(max_size=300))
def test_crc32c_of_library_and_of_python_agree(start: int, data: bytes) -> None:
    library = native.crc32c()
    assert library is not None
    assert library(start, data) == crc32c.portable(start, data)


@RANDOM
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=255))
def test_directory_hash_of_library_and_of_python_agree(seed: bytes, name: bytes) -> None:
    library = native.directory_hash(seed, 1)
    assert library is not None
    assert library(name) == dirhash.portable(seed)(name)
    assert dirhash.hasher(seed)(name) == library(name)


def test_hash_without_a_seed() -> None:
    library = native.directory_hash(bytes(16), 1)
    assert library is not None
    assert library(b"passwd") == dirhash.portable(bytes(16))(b"passwd")


# --- extents -------------------------------------------------------------------------------------


def walk_extents(
    node: bytes, blocks: dict[int, bytes], depth: int | None = None
) -> Iterator[Extent]:
    """Read an extent tree as the kernel's documentation has it, checking every header."""
    magic, entries, limit, level, _ = struct.unpack_from("<HHHHI", node)
    assert magic == 0xF30A
    assert limit == (len(node) - 12) // 12
    assert entries <= limit
    assert depth in (None, level)
    if len(node) == BLOCK:
        assert entries
        assert struct.unpack_from("<I", node, BLOCK - 4)[0] == summed(node[:-4])
    for at in range(12, 12 + 12 * entries, 12):
        if level == 0:
            logical, length, high, low = struct.unpack_from("<IHHI", node, at)
            yield logical, length, high << 32 | low
        else:
            logical, low, high, _ = struct.unpack_from("<IIHH", node, at)
            below = list(walk_extents(blocks[high << 32 | low], blocks, level - 1))
            assert below[0][0] == logical
            yield from below


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 340, 341, 1360, 1361, 2000, 4 * 340 * 340 + 1])
def test_extent_tree_of_any_depth(count: int) -> None:
    wanted = [(3 * n, 2, (1 << 33) + 5 * n) for n in range(count)]
    free = iter(range(1 << 34, 1 << 35))
    root, nodes = extents.build(wanted, lambda: next(free), SEED)
    assert len(root) == 60
    assert len(nodes) == extents.tree_blocks(count)
    assert all(len(raw) == BLOCK for _, raw in nodes)
    assert list(walk_extents(root, dict(nodes))) == wanted
    depth = struct.unpack_from("<H", root, 6)[0]
    assert depth == sum(count > limit for limit in (4, 1360, 462400))


@RANDOM
@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 2)), max_size=12),
    st.lists(st.integers(1, 90_000), max_size=12),
)
def test_runs_become_extents_that_cover_the_same_blocks(
    free: list[tuple[int, int]], wishes: list[int]
) -> None:
    runs, at = [], 10
    for length, gap in free:
        runs.append((at, length))
        at += length + gap
    allocator = Allocator(iter(runs))
    out: list[Extent] = []
    logical = 0
    given_out: list[int] = []
    for wish in wishes:
        if wish + logical > sum(length for length, _ in free):
            with pytest.raises(FullError):
                allocator.take(wish)
            break
        taken = allocator.take(wish)
        assert sum(count for _, count in taken) == wish
        given_out += [start + n for start, count in taken for n in range(count)]
        logical = extents.add(out, logical, taken)
    assert len(set(given_out)) == len(given_out) == logical
    assert [disk + n for _, length, disk in out for n in range(length)] == given_out
    assert all(1 <= length <= extents.LONGEST for _, length, _ in out)
    assert [at for at, _, _ in out] == [sum(n for _, n, _ in out[:k]) for k in range(len(out))]
    for (_, length, disk), (_, _, following) in pairwise(out):
        assert disk + length != following or length == extents.LONGEST, "could be one extent"


@RANDOM
@given(st.integers(0, (1 << 70) - 1), st.integers(1, 70))
def test_runs_of_free_blocks(bitmap: int, size: int) -> None:
    found = [at + n for at, length in _zeros(bitmap, size) for n in range(length)]
    assert found == [n for n in range(size) if not bitmap >> n & 1]


def test_copies_of_the_superblock() -> None:
    assert [n for n in range(400) if has_copy(n)] == [
        0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343,
    ]  # fmt: skip


# --- directories ---------------------------------------------------------------------------------


def read_leaf(block: bytes) -> list[directory.Entry]:
    """Return the entries of a leaf, checking that records fill it and that its sum is right."""
    out, at = [], 0
    while at < BLOCK - 12:
        number, size, length, kind = struct.unpack_from("<IHBB", block, at)
        assert size % 4 == 0
        assert size >= 8 + length
        if number:
            out.append((block[at + 8 : at + 8 + length], number, kind))
        at += size
    assert at == BLOCK - 12
    assert struct.unpack_from("<IHBBI", block, at) == (0, 12, 0, 0xDE, summed(block[:at]))
    return out


def read_table(block: bytes, at: int) -> list[tuple[int, int]]:
    limit, count, first = struct.unpack_from("<HHI", block, at)
    assert limit == (BLOCK - at - 8) // 8
    assert 0 < count <= limit
    end = at + 8 * count
    tail = at + 8 * limit
    assert struct.unpack_from("<I", block, tail + 4)[0] == summed(block[:end] + bytes(8))
    return [(0, first), *struct.iter_unpack("<II", block[at + 8 : end])]


def look_up(raw: bytes, name: bytes, digest: native.DirectoryHash) -> set[int]:
    """Find a name's inode numbers as the kernel does: down by hash, then on while leaves go on."""
    major, _ = digest(name)
    table = read_table(raw[:BLOCK], 32)
    if raw[30]:
        flat = []
        for low, node in table:
            inner = read_table(raw[node * BLOCK : (node + 1) * BLOCK], 8)
            flat += [(low, inner[0][1]), *inner[1:]]
        table = flat
    position = max(n for n, (low, _) in enumerate(table) if low <= major or n == 0)
    found: set[int] = set()
    while True:
        leaf = table[position][1]
        found |= {number for entry, number, _ in read_leaf(raw[leaf * BLOCK :][:BLOCK])
                  if entry == name}  # fmt: skip
        position += 1
        if found or position == len(table) or table[position][0] != major | 1:
            return found


def check_index(names: list[bytes], raw: bytes, digest: native.DirectoryHash) -> None:
    assert len(raw) % BLOCK == 0
    assert raw[:12] == struct.pack("<IHBB4s", 77, 12, 1, 2, b".")
    assert raw[12:24] == struct.pack("<IHBB4s", 5, BLOCK - 12, 2, 2, b"..")
    assert raw[24:29] == bytes(4) + b"\1"
    for number, name in enumerate(names):
        assert look_up(raw, name, digest) == {100 + number}


@settings(max_examples=25, deadline=None, database=None)
@given(st.sets(st.binary(min_size=1, max_size=255), min_size=40, max_size=120))
def test_every_name_is_found_by_its_hash(names: set[bytes]) -> None:
    listed = sorted(names)
    digest = dirhash.hasher(b"0123456789abcdef")
    entries = [(name, 100 + n, 1) for n, name in enumerate(listed)]
    raw = directory.indexed(77, 5, entries, SEED, digest)
    check_index(listed, raw, digest)
    if not directory.fits_one_block(entries):
        assert len(raw) // BLOCK <= directory.most_blocks(listed)


def test_names_with_one_hash_go_on_in_the_next_leaf() -> None:
    names = [b"%0250d" % n for n in range(60)]
    raw = directory.indexed(
        77, 5, [(name, 100 + n, 1) for n, name in enumerate(names)], SEED, lambda _: (0x1000, 7)
    )
    assert [value for value, _ in read_table(raw[:BLOCK], 32)][1:] == [0x1001] * 3
    check_index(names, raw, lambda _: (0x1000, 7))


def test_two_levels_of_index_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b"%0240d" % n for n in range(9000)]
    entries = [(name, 100 + n, 1) for n, name in enumerate(names)]
    digest = dirhash.hasher(b"0123456789abcdef")
    raw = directory.indexed(77, 5, entries, SEED, digest)
    assert raw[30] == 1
    assert 0 <= directory.most_blocks(names) - len(raw) // BLOCK <= 60
    for number in random.Random(1).sample(range(len(names)), 20):
        assert look_up(raw, names[number], digest) == {100 + number}
    monkeypatch.setattr(directory, "MAX_LEAVES", 500)
    with pytest.raises(directory.DirectoryFullError, match="'9000' entries"):
        directory.indexed(77, 5, entries, SEED, digest)


def test_a_plain_directory_keeps_the_order_and_its_spare_blocks() -> None:
    entries = [(b"b", 20, 1), (b"a" * 255, 21, 7)]
    raw = directory.linear(11, 2, entries, SEED, least=4)
    assert len(raw) == 4 * BLOCK
    assert read_leaf(raw[:BLOCK]) == [(b".", 11, 2), (b"..", 2, 2), *entries]
    assert all(read_leaf(raw[at : at + BLOCK]) == [] for at in range(BLOCK, 4 * BLOCK, BLOCK))


def test_one_block_is_used_to_the_last_byte() -> None:
    names = [b"%08d" % n for n in range((BLOCK - 12 - 24) // 16)]
    rest = BLOCK - 12 - 24 - 16 * len(names)
    entries = [(name, 9, 1) for name in names] + [(b"x" * (rest - 8), 9, 1)] * (rest >= 12)
    assert directory.fits_one_block(entries)
    assert directory.most_blocks([name for name, _, _ in entries]) == 1
    assert len(directory.linear(2, 2, entries, SEED, least=1)) == BLOCK
    assert not directory.fits_one_block([*entries, (b"y", 9, 1)])
    assert directory.most_blocks([*(name for name, _, _ in entries), b"y"]) > 1


@pytest.mark.parametrize(
    ("least", "journal"),
    [
        (128 * GIB, 1024), (64 * GIB, 512), (32 * GIB, 256), (16 * GIB, 128), (2 * GIB, 64),
        (1 * GIB, 32), (128 * MIB, 16), (8 * MIB, 4),
    ],
)  # fmt: skip
def test_journals_are_those_that_mke2fs_chooses(least: int, journal: int) -> None:
    """By its ext2fs_default_journal_size; whoever has the next smaller size has the next less."""
    assert sizing.journal_size(least) == journal * MIB
    assert sizing.journal_size(least - BLOCK) < journal * MIB


# --- inodes --------------------------------------------------------------------------------------


def decode_time(low: int, extra: int) -> tuple[int, int]:
    seconds = low - (1 << 32) if low >> 31 else low
    return seconds + ((extra & 3) << 32), extra >> 2


@pytest.mark.parametrize(
    ("year", "nanosecond"), [(1901, 0), (1960, 1), (1970, 0), (2038, 5), (2100, 999_999_999)]
)
def test_times(year: int, nanosecond: int) -> None:
    seconds = round(datetime(year, 12, 31, tzinfo=UTC).timestamp())
    coded = inode.encode_time(seconds * 10**9 + nanosecond)
    assert decode_time(*coded) == (seconds, nanosecond)


def test_times_that_ext4_does_not_have() -> None:
    assert decode_time(*inode.encode_time(-(10**20))) == (-(1 << 31), 0)
    latest = (1 << 34) - (1 << 31) - 1
    assert decode_time(*inode.encode_time(10**20)) == (latest, 0)
    assert decode_time(*inode.encode_time(latest * 10**9 + 7)) == (latest, 7)


def test_device_numbers() -> None:
    assert inode.encode_device(8, 1)[:8] == struct.pack("<II", 0x801, 0)
    assert inode.encode_device(259, 70000)[:8] == struct.pack("<II", 0, 70000 << 12 & ~0xFFFFF |
                                                              259 << 8 | 70000 & 0xFF)  # fmt: skip
    assert inode.encode_device(0, 0) == bytes(60)


def test_numbers_of_more_than_32_bits() -> None:
    """Each in two places that are apart: Documentation/filesystems/ext4/inodes.rst."""
    raw = inode.pack(
        SEED, 11, mode=0o100644, uid=0x1_2345, gid=0x6_789A, size=5 << 32 | 1, links=2,
        blocks=(3 << 32) // 8, flags=0, block=bytes(60), acl_block=7 << 32 | 9, xattrs=b"",
        mtime_ns=0, now=(0, 0),
    )  # fmt: skip

    def read(form: str, *places: int) -> list[int]:
        return [struct.unpack_from(form, raw, place)[0] for place in places]

    assert read("<I", 0x04, 0x6C) == [1, 5]  # size
    assert read("<I", 0x1C) + read("<H", 0x74) == [0, 3]  # sectors
    assert read("<I", 0x68) + read("<H", 0x76) == [9, 7]  # block of attributes
    assert read("<H", 0x02, 0x78) == [0x2345, 1]  # owner
    assert read("<H", 0x18, 0x7A) == [0x789A, 6]  # group


def test_counts_of_more_than_32_bits(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    mkfs.make_empty(
        disk, offset=0, size=64 * MIB, uuid=UUID(int=1), label="", hash_seed=UUID(int=2),
        timestamp=5,
    )  # fmt: skip
    fd = os.open(disk, os.O_RDWR)
    try:
        found = superblock.read(fd, 0)
        when = 3 << 32 | 7
        superblock.write(
            fd, 0, found, free_blocks=2 << 32 | 6, free_inodes=1, timestamp=when
        )  # fmt: skip
        raw = superblock.read(fd, 0).raw
        assert superblock.read(fd, 0).written == when
    finally:
        os.close(fd)
    assert struct.unpack_from("<I", raw, 0x0C) == (6,)
    assert struct.unpack_from("<I", raw, 0x158) == (2,)


# --- attributes ----------------------------------------------------------------------------------


def test_small_attributes_live_in_the_inode() -> None:
    coded = xattr.encode(((b"security.selinux", b"system_u:object_r:bin_t:s0\0"),))
    assert not coded.needs_block
    assert len(coded.inline) == 96
    assert coded.inline[:4] == struct.pack("<I", 0xEA020000)
    length, index, at, _, size, _ = struct.unpack_from("<BBHIII", coded.inline, 4)
    assert (index, coded.inline[20 : 20 + length]) == (6, b"selinux")
    assert coded.inline[4 + at : 4 + at + size] == b"system_u:object_r:bin_t:s0\0"


def test_the_label_stays_in_the_inode_when_there_is_more() -> None:
    label = (b"security.selinux", b"system_u:object_r:bin_t:s0\0")
    coded = xattr.encode(((b"security.capability", bytes(20)), label, (b"user.a", b"1")))
    assert b"selinux" in coded.inline
    assert b"capability" in coded.entries
    raw = xattr.block(coded, 1000, 3, SEED)
    assert len(raw) == BLOCK
    assert struct.unpack_from("<III", raw) == (0xEA020000, 3, 1)
    blank = raw[:16] + bytes(4) + raw[20:]
    expected = crc32c.portable(crc32c.portable(SEED, struct.pack("<Q", 1000)), blank)
    assert struct.unpack_from("<I", raw, 16)[0] == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (b"user.x", bytes(5000), "take '5020' bytes, ext4 holds at most '4060'"),
        (b"user.", b"", "called 'user.'"),
        (b"strange", b"", "called 'strange'"),
        (b"user." + b"n" * 251, b"", "called 'user.nnn"),
        (b"user.a\0b", b"", "called 'user.a"),
        (b"system.data", b"x", "called 'system.data'"),
        (b"system.posix_acl_access", b"", "no access control list"),
        (b"system.posix_acl_access", b"\1\0\0\0", "no access control list"),
        (b"system.posix_acl_default", b"\2\0\0\0\1\0\7\0", "no access control list"),
        (b"system.posix_acl_default", struct.pack("<IHHI", 2, 3, 7, 0), "no access control list"),
    ],
)
def test_attributes_that_ext4_does_not_have(name: bytes, value: bytes, said: str) -> None:
    with pytest.raises(xattr.XattrError, match=said):
        xattr.encode(((name, value),))


@RANDOM
@given(st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=120), max_size=20))
def test_attributes_read_back(wanted: dict[bytes, bytes]) -> None:
    wanted = {b"user." + name.replace(b"\0", b"0"): value for name, value in wanted.items()}
    coded = xattr.encode(tuple(sorted(wanted.items())))
    found = {}
    if coded.inline:
        found.update(_read_attributes(coded.inline[4:], 0))
    if coded.needs_block:
        raw = xattr.block(coded, 5, 1, SEED)
        outside = _read_attributes(raw, 32)
        assert list(outside) == sorted(outside, key=lambda name: (len(name), name))
        assert not outside.keys() & found.keys()
        found.update(outside)
    assert found == wanted


def _read_attributes(raw: bytes, at: int) -> dict[bytes, bytes]:
    out = {}
    while raw[at : at + 4] != bytes(4):
        length, index, where, _, size, _ = struct.unpack_from("<BBHIII", raw, at)
        assert index == 1
        out[b"user." + raw[at + 16 : at + 16 + length]] = raw[where : where + size] if size else b""
        at += 16 + (length + 3 & ~3)
    return out
