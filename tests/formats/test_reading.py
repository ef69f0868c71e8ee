"""Disks of every format are read as the raw disk that they were made of, whoever made them."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import pytest

from diskgen.config import Request
from diskgen.errors import DiskgenError, SourceError
from diskgen.events import discard
from diskgen.formats import FORMATS, reading
from diskgen.identifiers import derive_uuid
from diskgen.reference import parse
from diskgen.units import MIB

from ..fixtures.disks import varied

SIZE = 40 * MIB
ARCHIVES = {"gce": "tar -xzSf", "containerdisk": "tar -xf", "vagrant": "tar -xf"}
QEMU = {
    "qcow2 of qemu-img": ["-O", "qcow2", "-c"],
    "vmdk, sparse": ["-O", "vmdk", "-o", "subformat=monolithicSparse"],
    "vmdk, for transport": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vhd, fixed": ["-O", "vpc", "-o", "subformat=fixed,force_size=on"],
    "vhdx that grows": ["-O", "vhdx", "-o", "subformat=dynamic,block_size=1M"],
    "vhdx of large blocks": ["-O", "vhdx", "-o", "subformat=dynamic,block_size=32M"],
    "vhdx, fixed": ["-O", "vhdx", "-o", "subformat=fixed"],
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return varied(tmp_path_factory.mktemp("raw") / "raw", SIZE)


def ours(raw: Path, name: str, place: Path) -> Path:
    copy, out = place / "copy", place / f"disk.{name}"
    subprocess.run(["cp", "--sparse=always", raw, copy], check=True)
    request = Request(format=name, source=parse("x/y"), arch="x86_64", output=out)
    FORMATS[name].write(copy, out, request, derive_uuid("seed", "disk"), discard)
    return out


def same(path: Path, raw: Path) -> reading.Disk:
    data = raw.read_bytes()
    with reading.opened(path) as disk:
        assert disk.size == SIZE
        for at in range(0, SIZE, 5 * MIB):
            assert disk.read_at(at, 5 * MIB) == data[at : at + 5 * MIB]
        chance = random.Random(1)
        for _ in range(50):
            at, length = chance.randrange(SIZE), chance.choice((1, 100, 70_000))
            assert disk.read_at(at, length) == data[at : at + length]
        assert disk.read_at(SIZE, 10) == b""
        return disk


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_we_write_we_read(raw: Path, tmp_path: Path, name: str) -> None:
    """A format to come must be read, or say that it cannot be and what to do."""
    path = ours(raw, name, tmp_path)
    if name in ARCHIVES:
        with pytest.raises(SourceError) as caught, reading.opened(path):
            pass
        assert caught.value.hint is not None
        assert ARCHIVES[name] in caught.value.hint
        return
    assert same(path, raw).format == {"ami": "raw", "oci": "qcow2"}.get(name, name)


@pytest.mark.parametrize("words", QEMU.values(), ids=QEMU.keys())
def test_what_qemu_img_writes_is_read(raw: Path, tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "disk"
    subprocess.run(["qemu-img", "convert", "-f", "raw", *words, raw, out], check=True)
    same(out, raw)


def test_a_vhd_that_grows_is_refused(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "disk.vhd"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vpc", raw, out], check=True)
    with pytest.raises(SourceError, match="grows as it is written"), reading.opened(out):
        pass


def test_a_vhd_is_whole_and_fixed(tmp_path: Path) -> None:
    """One of the two alone is not enough: a part of a fixed one, and a full one that grows."""
    full = tmp_path / "full"
    full.write_bytes(random.Random(1).randbytes(4 * MIB))
    for kind in ("fixed", "dynamic"):
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o",
             f"subformat={kind},force_size=on", full, tmp_path / kind], check=True,
        )  # fmt: skip
    assert (tmp_path / "dynamic").stat().st_size > 4 * MIB
    part = tmp_path / "part"
    part.write_bytes((tmp_path / "fixed").read_bytes()[MIB:])
    for path in (tmp_path / "dynamic", part):
        with pytest.raises(SourceError, match="grows as it is written"), reading.opened(path):
            pass


@pytest.mark.parametrize("name", ["vmdk", "ova", "vhd", "qcow2"])
def test_damaged_files_get_an_error(raw: Path, tmp_path: Path, name: str) -> None:
    path = ours(raw, name, tmp_path)
    whole = path.read_bytes()
    chance = random.Random(7)
    edges = [*range(600), *range(len(whole) - 2048, len(whole))]
    for number in range(120 if len(whole) < 4 * MIB else 12):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 5))):
            at = chance.choice(edges) if number % 2 else chance.randrange(len(data))
            data[at] = chance.choice((0, 255, chance.randrange(256)))
        path.write_bytes(data if number % 3 else data[: chance.randrange(len(data))])
        try:
            with reading.opened(path) as disk:
                for at in (0, 600, MIB, SIZE - 5000):
                    assert len(disk.read_at(at, 70_000)) <= 70_000
        except DiskgenError:
            continue


def test_a_grain_that_holds_more_than_it_says_is_cut(raw: Path, tmp_path: Path) -> None:
    """A header of large grains would let a small file ask for much memory."""
    path = ours(raw, "vmdk", tmp_path)
    with path.open("r+b") as file:
        size = path.stat().st_size
        for start in (0, size - 1024):
            file.seek(start + 20)
            file.write(struct.pack("<Q", 1 << 40))
    with pytest.raises(SourceError, match="its header is not sound"), reading.opened(path):
        pass
