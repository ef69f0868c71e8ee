"""Disks that somebody made to harm whoever looks into them: an answer or an error, and soon."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, repeat
from pathlib import Path

import pytest

from diskgen.disk.ext4.reader import Reader
from diskgen.errors import DiskgenError, SourceError, VerifyError
from diskgen.formats import reading
from diskgen.gvariant import unpack_string, unpack_vardict, vardict, variant_string
from diskgen.inspection import of_file
from diskgen.inspection.text import to_text
from diskgen.units import MIB

from ..fixtures.sysroots import ROOT_TYPE, Sysroot, day_two, disk_of

PATIENCE = 20.0  # seconds for one disk, on a machine with other work


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    made: Sysroot = day_two(place)
    esp = place / "esp"
    return disk_of(
        esp, ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", ["mkfs.vfat", "-F", "32", "-s", "1"]),
        (ROOT_TYPE, ["mke2fs", "-q", "-t", "ext4", "-N", "512", "-d", made.place]), size=80 * MIB,
    )  # fmt: skip


def used(data: bytes) -> list[int]:
    """Return where a disk has bytes that are not zero."""
    return list(_used(data))


def _used(data: bytes) -> Iterator[int]:
    for start in range(0, len(data), 4096):
        block = data[start : start + 4096]
        if block.count(0) != len(block):
            yield from (start + at for at, byte in enumerate(block) if byte)


def look(path: Path) -> None:
    began = time.monotonic()
    try:
        facts = of_file(path)
    except DiskgenError:
        pass
    else:
        assert to_text(facts)
        assert json.dumps(facts)
    assert time.monotonic() - began < PATIENCE


def test_changed_bytes_are_survived(disk: Path) -> None:
    chance = random.Random(12)
    places = used(disk.read_bytes())
    with disk.open("r+b") as file:
        for _ in range(100):
            changed = []
            for _ in range(chance.choice((1, 1, 4, 40))):
                at = chance.choice(places)
                data = chance.choice((b"\0", b"\xff", chance.randbytes(1), chance.randbytes(4)))
                file.seek(at)
                changed.append((at, file.read(len(data))))
                file.seek(at)
                file.write(data)
            file.flush()
            look(disk)
            for at, data in reversed(changed):
                file.seek(at)
                file.write(data)
            file.flush()
    assert len(of_file(disk)["deployments"]) == 2


def test_a_disk_that_ends_anywhere_is_survived(disk: Path, tmp_path: Path) -> None:
    data = disk.read_bytes()
    cut = tmp_path / "cut"
    for size in (0, 1, 511, 512, 1024, 4096, MIB, MIB + 1500, 50 * MIB, 79 * MIB):
        cut.write_bytes(data[:size])
        look(cut)


def test_what_is_read_of_a_disk_is_limited(disk: Path) -> None:
    with reading.opened(disk) as opened:
        pieces = ((at, MIB) for at in cycle(range(0, opened.size, MIB)))
        with pytest.raises(SourceError, match=r"more than 512 MiB \(budget 'inspected-bytes'\)"):
            exhaust(opened, pieces)
    with reading.opened(disk) as opened, pytest.raises(SourceError, match="inspected-bytes"):
        exhaust(opened, repeat((0, 1)))


def exhaust(disk: reading.Disk, pieces: Iterable[tuple[int, int]]) -> None:
    for at, length in pieces:
        disk.read_at(at, length)


def test_a_directory_that_is_its_own_parent_has_an_end(disk: Path) -> None:
    """Paths are as long as they are written; nothing is walked that could go in circles."""
    with reading.opened(disk) as opened:
        reader = Reader(opened.read_at, _start(disk))
        assert reader.find("ostree/" + "../ostree/" * 1000) is not None
        with pytest.raises(VerifyError, match="does not have"):
            reader.node(0xFFFFFFFF)


def _start(disk: Path) -> int:
    start: int = of_file(disk)["partitions"][1]["start"]
    return start


def test_an_extent_tree_that_points_to_itself_has_an_end(disk: Path) -> None:
    """Every node of such a tree names itself as often as it can."""
    block = 4096
    node = struct.pack("<HHHHI", 0xF30A, 340, 340, 1, 0)
    node += struct.pack("<IIHH", 0, 100, 0, 0) * 340
    data = bytearray(disk.read_bytes()[: _start(disk) + 64 * MIB])
    start = _start(disk)
    data[start + 100 * block : start + 101 * block] = node.ljust(block, b"\0")
    reader = Reader(lambda at, length: bytes(data[at : at + length]), start)
    top = reader.node(2)
    root = struct.pack("<HHHHI", 0xF30A, 1, 4, 2, 0) + struct.pack("<IIHH", 0, 100, 0, 0)
    hostile = type(top)(top.number, top.mode, top.size, top.flags, root.ljust(60, b"\0"))
    began = time.monotonic()
    with pytest.raises(VerifyError, match="extent tree"):
        reader.read(hostile, MIB)
    assert time.monotonic() - began < PATIENCE


def test_dictionaries_of_commits_are_read_as_they_are_written() -> None:
    values = {"a": "one", "ostree.manifest-digest": "sha256:" + "0" * 64, "long": "x" * 70000}
    data = vardict({key: variant_string(value) for key, value in values.items()})
    assert {key: unpack_string(value) for key, value in unpack_vardict(data).items()} == values
    chance = random.Random(3)
    for _ in range(300):
        broken = bytearray(data[:200] + data[-20:])
        for _ in range(3):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            unpack_vardict(bytes(broken))
        except ValueError:
            continue
