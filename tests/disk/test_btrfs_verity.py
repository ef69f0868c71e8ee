"""Files under fs-verity in a btrfs: items as fsverity(1) says, which btrfs check takes."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.disk import btrfs
from diskgen.disk.btrfs import items
from diskgen.disk.btrfs.reader import Reader
from diskgen.disk.placing.population import Inspection
from diskgen.fsverity import seal
from diskgen.tree import Content, Data, Directory, File, read
from diskgen.units import MIB

from ..fixtures.ext4_disks import BLOCK, Pack, digest
from ..oracles.fsverity import sealed

SIZE = 256 * MIB
# Around what lies in the tree, a block, and a leaf of the tree of sums.
_SIZES = (0, 1, 2048, 2049, 4095, 4096, 4097, 524288, 524289, 3_000_000)


def guarded(content: Content) -> File:
    file = File(mode=stat.S_IFREG | 0o644, content=content)
    file.seal = seal(read(content))
    return file


def write(image: Path, root: Directory) -> None:
    with image.open("wb") as file:
        file.truncate(SIZE)
    usage = btrfs.populate(
        image, offset=0, size=SIZE, root=root, timestamp=1, uuid=uuid.UUID(int=9), label="l",
        inspection=Inspection(image.with_suffix(".shadow"), btrfs.check),
    )  # fmt: skip
    assert usage.blocks * BLOCK <= btrfs.required(root).bytes


def told(*words: str | Path) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def tree(pack: Pack) -> Directory:
    root = Directory()
    for size in _SIZES:
        root.add(f"d/{size}", guarded(pack.content(size) if size else Data(b"")))
    root.add("d/hole", guarded(pack.content(BLOCK, 40 * BLOCK, 100)))
    root.add("d/plain", File(mode=stat.S_IFREG | 0o644, content=pack.content(5000)))
    return root


def test_what_is_beside_files_of_many_sizes(tmp_path: Path) -> None:
    root = tree(Pack(tmp_path / "pack"))
    image = tmp_path / "image"
    write(image, root)
    assert "no error found" in told("btrfs", "check", "--check-data-csum", image)
    with image.open("rb") as file:
        reader = Reader(lambda at, length: os.pread(file.fileno(), length, at), 0)
        for name, node in root.walk():
            found = reader.find(name)
            assert found is not None
            if not isinstance(node, File) or node.content is None or node.seal is None:
                assert not list(reader._of(found.number, items.SEAL))
                continue
            data = read(node.content)
            wanted = sealed(data, tmp_path)
            assert reader.read(found, 4 * MIB) == data
            size, descriptor = list(reader._of(found.number, items.SEAL))
            assert size[2:] == (0, (256).to_bytes(8, "little") + bytes(17))
            assert descriptor[2:] == (1, wanted.descriptor)
            sums = list(reader._of(found.number, items.SUMS_OF_SEAL))
            assert [at for _, _, at, _ in sums] == [2048 * n for n in range(len(sums))]
            assert b"".join(data for *_, data in sums) == wanted.tree
    flags = told("btrfs", "inspect-internal", "dump-tree", "-t", "5", image)
    assert flags.count("flags 0x100000000") == len(_SIZES) + 1
    again = tmp_path / "again"
    write(again, root)
    assert digest(again) == digest(image)


def test_only_then_an_older_kernel_is_to_keep_off(tmp_path: Path) -> None:
    """The feature is one of those with which a kernel that does not know it may read alone."""
    said: list[int] = []
    for name, file in (("plain", File(mode=stat.S_IFREG)), ("sealed", guarded(Data(b"x")))):
        write(tmp_path / name, Directory(entries={b"f": file}))
        text = told("btrfs", "inspect-internal", "dump-super", tmp_path / name)
        (flags,) = re.findall(r"compat_ro_flags\s+0x([0-9a-f]+)", text)
        said.append(int(flags, 16))
    assert said == [0x3, 0x7]


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=400))
def test_any_number_of_files_fits_its_need(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    """The need is an upper bound, as all of it is written and judged."""
    place = tmp_path_factory.mktemp("btrfs")
    root = Directory()
    for number, size in enumerate(sizes):
        root.add(f"d{number % 7}/{number}", guarded(Data(bytes([number % 256]) * size)))
    write(place / "image", root)
    (place / "image").unlink()
