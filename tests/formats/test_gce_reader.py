"""The beginning of a disk in an archive for Google, as our writer and GNU tar make them."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.formats import gce_reader
from diskgen.formats.gce_reader import GceBeginning
from diskgen.formats.ustar import member, number, summed
from diskgen.units import MIB, TIB

from ..fixtures.disks import blank, varied
from ..fixtures.formats import convert


def archived(raw: Path, how: str) -> Path:
    out = raw.with_name("os.tar.gz")
    if how == "ours":
        return convert(raw, out, "gce")
    subprocess.run(
        ["tar", *how.split(), "-C", raw.parent, "--transform", "s/raw/disk.raw/", "-czf", out,
         raw.name], check=True,
    )  # fmt: skip
    return out


@pytest.mark.parametrize(
    "how", ["ours", "--format=oldgnu --sparse", "--format=oldgnu", "--format=ustar"]
)
@pytest.mark.parametrize("pieces", [0, 3, 60])
def test_what_is_read_is_the_disk(tmp_path: Path, how: str, pieces: int) -> None:
    """With no map of its data, one in the header, and one that goes on behind it."""
    raw = varied(tmp_path / "raw", 40 * MIB) if pieces == 3 else blank(tmp_path / "raw", 40 * MIB)
    with raw.open("r+b") as file:
        for at in range(pieces if pieces > 3 else 0):
            file.seek(at * 300_000)
            file.write(b"data" * 100)
    chance = random.Random(pieces)
    fd = os.open(archived(raw, how), os.O_RDONLY)
    try:
        disk = GceBeginning(fd, "os.tar.gz")
        assert disk.size == 40 * MIB
        whole = raw.read_bytes()
        for _ in range(40):
            at = chance.randrange(40 * MIB)
            length = min(chance.randrange(200_000), 40 * MIB - at)
            assert disk.read_at(at, length) == whole[at : at + length]
    finally:
        os.close(fd)


def sparse(*entries: tuple[int, int], size: int = MIB, name: bytes = b"disk.raw") -> bytes:
    head = bytearray(member("disk.raw", 512, kind=b"S"))
    head[:100] = name.ljust(100, b"\0")
    for index, entry in enumerate(entries):
        head[386 + 24 * index : 410 + 24 * index] = b"".join(map(number, entry))
    head[483:495] = number(size)
    return summed(head) + bytes(512)


HOSTILE = {
    "no gzip": (b"nothing", "it is damaged"),
    "empty": (gzip.compress(b""), "ends too early"),
    "no tar": (gzip.compress(bytes(1024)), "first member"),
    "another name": (gzip.compress(sparse(name=b"disk.qcow2")), "first member"),
    "a link": (gzip.compress(member("disk.raw", 0, kind=b"2")), "is no file"),
    "a header of pax": (gzip.compress(member("disk.raw", 0, kind=b"x")), "is no file"),
    "no number": (gzip.compress(sparse().replace(b"00004000000", b"0000400000x")), "is none"),
    "no size": (gzip.compress(sparse(size=0)), "would have"),
    "too large": (gzip.compress(sparse(size=65 * TIB)), "would have"),
    "outside": (gzip.compress(sparse((MIB, 512))), "contradicts itself"),
    "backwards": (gzip.compress(sparse((4096, 512), (0, 512))), "contradicts itself"),
    "cut": (gzip.compress(sparse())[:30], "ends too early"),
    "cut data": (gzip.compress(sparse((0, 4096))), "ends too early"),
}


@pytest.mark.parametrize(("data", "words"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_such_archive_is_an_error(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(SourceError, match=words):
            GceBeginning(fd, str(path)).read_at(0, 4096)
    finally:
        os.close(fd)


def test_so_much_is_unpacked_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gce_reader, "_MOST", 2 * MIB)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(member("disk.raw", 64 * MIB) + bytes(64 * MIB)))
    fd = os.open(path, os.O_RDONLY)
    try:
        disk = GceBeginning(fd, "x")
        assert disk.read_at(MIB, 512) == bytes(512)
        with pytest.raises(SourceError, match="behind its first 2 MiB"):
            disk.read_at(3 * MIB, 512)
        with pytest.raises(SourceError, match="outside of the disk"):
            disk.read_at(64 * MIB, 1)
        assert len(disk._held) <= 2 * MIB
    finally:
        os.close(fd)
