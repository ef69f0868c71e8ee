"""Files under fs-verity in an ext4, against what fsverity(1) says and e2fsck takes."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen import fsverity
from diskgen.disk import ext4
from diskgen.disk.ext4.reader import locate
from diskgen.errors import VerifyError
from diskgen.fsverity import seal
from diskgen.tree import Content, Data, Directory, File, read
from diskgen.units import MIB

from ..fixtures.ext4_disks import BLOCK, OFFSET, WHEN, Pack, debugfs, digest, empty, fill
from ..oracles.fsverity import sealed

# Around a block, a leaf of the tree, the boundary behind the end, and two levels of the tree.
_SIZES = (
    0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 524287, 524288, 524289, 3_000_000,
    128 * 128 * BLOCK + 1,
)  # fmt: skip


def guarded(content: Content) -> File:
    file = File(mode=stat.S_IFREG | 0o644, content=content)
    file.seal = seal(read(content))
    return file


def extents(disk: Path, path: str) -> list[tuple[int, int, int]]:
    """Return (first block of the file, number, first block on the disk), by debugfs."""
    text = debugfs(disk, f"ex {path}")
    row = r"(?m)^ *(\d+)/ *(\d+) +\d+/ *\d+ +(\d+) - +(\d+) +(\d+) - +(\d+)"
    rows = re.findall(row, text)
    leaves = [row for row in rows if row[0] == row[1]]
    return [(int(a), int(b) - int(a) + 1, int(at)) for _, _, a, b, at, _ in leaves]


def behind(disk: Path, path: str, size: int) -> bytes:
    """Return what lies behind a file's end, from where fs-verity begins."""
    begin = -(-size // 65536) * 16
    found = b""
    with disk.open("rb") as file:
        for logical, count, at in extents(disk, path):
            if logical >= begin:
                assert logical == begin + len(found) // BLOCK, "no holes, and nothing before"
                file.seek(OFFSET + at * BLOCK)
                found += file.read(count * BLOCK)
            else:
                assert (logical + count) * BLOCK < size + BLOCK, "the rest up to there is a hole"
    return found


def check(disk: Path, path: str, data: bytes, place: Path) -> None:
    wanted = sealed(data, place)
    found = behind(disk, path, len(data))
    end = wanted.descriptor.ljust(BLOCK - 4, b"\0") + (256).to_bytes(4, "little")
    assert found == wanted.tree + end, path
    status = debugfs(disk, f"stat {path}")
    assert f"Size: {len(data)}\n" in status
    flags = int(re.findall(r"Flags: (0x[0-9a-f]+)", status)[0], 16)
    assert flags & 0x0010_0000
    debugfs(disk, f"dump {path} {place}/dumped")
    assert (place / "dumped").read_bytes() == data


def test_what_is_beside_files_of_many_sizes(tmp_path: Path) -> None:
    pack = Pack(tmp_path / "pack")
    root = Directory()
    for size in _SIZES:
        content = pack.content(size) if size else Data(b"")
        root.add(f"d/{size}", guarded(content))
    root.add("d/memory", guarded(Data(b"m" * 5000)))
    root.add("d/hole", guarded(pack.content(BLOCK, 40 * BLOCK, 100)))
    root.add("d/only-hole", guarded(pack.content(size=200_000)))
    root.add("d/plain", File(mode=stat.S_IFREG | 0o644, content=pack.content(5000)))
    need = ext4.required(root)
    disk = tmp_path / "disk"
    usage = fill(disk, root, 320 * MIB, verity=True)
    assert usage.bytes_written == need.content
    assert need.bytes - 16 * BLOCK <= usage.blocks * BLOCK <= need.bytes
    for name, node in root.walk():
        path = f"/{name.decode()}"
        if not isinstance(node, File) or node.content is None:
            continue
        if node.seal is not None:
            check(disk, path, read(node.content), tmp_path)
        else:
            assert "Flags: 0x80000\n" in debugfs(disk, f"stat {path}")
    again = tmp_path / "again"
    fill(again, root, 320 * MIB, verity=True)
    assert digest(again) == digest(disk)


def test_it_goes_around_what_is_in_its_way(tmp_path: Path) -> None:
    """A copy of the superblock lies at 128 MiB, in the middle of what is beside 7,000 files."""
    root = Directory(entries={b"first": File(mode=stat.S_IFREG, content=Data(bytes(BLOCK)))})
    pack = Pack(tmp_path / "pack")
    root.add("large", File(mode=stat.S_IFREG, content=pack.content(70 * MIB)))
    for number in range(7000):
        root.add(f"d/{number}", guarded(Data(b"%d" % number)))
    disk = tmp_path / "disk"
    fill(disk, root, 200 * MIB, verity=True)
    blocks = [extents(disk, f"/d/{number}")[-1][2] for number in (0, 3500, 6999)]
    assert blocks[0] < 32768 < blocks[-1]
    for number in range(0, 7000, 100):
        assert behind(disk, f"/d/{number}", 1)[-4:] == (256).to_bytes(4, "little")


def test_one_tree_in_two_pieces(tmp_path: Path) -> None:
    pack = Pack(tmp_path / "pack")
    root = Directory()
    root.add("large", guarded(pack.content(110 * MIB + 5)))
    disk = tmp_path / "disk"
    fill(disk, root, 160 * MIB, verity=True, inodes=1000)
    free = 32768 - extents(disk, "/large")[-1][2]  # blocks before the copy of the superblock
    root.add("filler", File(mode=stat.S_IFREG, content=pack.content((free - 100) * BLOCK)))
    fill(disk, root, 160 * MIB, verity=True, inodes=1000)
    tail = [part for part in extents(disk, "/large") if part[0] * BLOCK >= 110 * MIB + 5]
    assert len(tail) == 2, tail
    large = root.get_file("large")
    assert large is not None
    assert large.content is not None
    check(disk, "/large", read(large.content), tmp_path)


def test_a_filesystem_without_the_feature_is_no_place(tmp_path: Path) -> None:
    disk = empty(tmp_path / "disk", 16 * MIB)
    with pytest.raises(VerifyError, match="has no fs-verity"):
        ext4.populate(
            disk, offset=OFFSET, root=Directory(entries={b"f": guarded(Data(b"x"))}), timestamp=WHEN
        )


def test_where_a_guarded_file_lies_is_found(tmp_path: Path) -> None:
    """A boot map names blocks of contents, none of what is behind them."""
    disk = tmp_path / "disk"
    fill(disk, Directory(entries={b"f": guarded(Data(b"x" * 70_000))}), 16 * MIB, verity=True)
    found = locate(disk, OFFSET, "f")
    assert found.size == 70_000
    assert sum(length for _at, length in found.runs) == 18 * BLOCK


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 300) | st.integers(1, 1 << 20), min_size=1, max_size=3))
def test_sums_are_those_of_the_program(
    tmp_path_factory: pytest.TempPathFactory, sizes: Sequence[int]
) -> None:
    place = tmp_path_factory.mktemp("fsverity")
    for size in sizes:
        data = bytes(range(251)) * (size // 251) + b"e" * (size % 251)
        wanted, made = sealed(data, place), seal(data)
        assert (made.digest, *made.beside()) == (wanted.digest, wanted.tree, wanted.descriptor)
        assert len(wanted.tree) == fsverity.tree_size(size)
        assert len(made.leaves) == fsverity.leaves_size(size)
