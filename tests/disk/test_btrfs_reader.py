"""The btrfs reader on what we and others wrote, and on what somebody made to harm it."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from diskgen.disk import btrfs
from diskgen.disk.btrfs import items
from diskgen.disk.btrfs.reader import Reader
from diskgen.errors import VerifyError
from diskgen.tree import Directory, regular, symlink
from diskgen.units import MIB

from ..fixtures.torture import Pack, mounted, same, torture


def reader_of(image: Path) -> Reader:
    def read_at(at: int, length: int) -> bytes:
        with image.open("rb") as file:
            return os.pread(file.fileno(), length, at)

    return Reader(read_at, 0)


def write(image: Path, root: Directory, name: bytes | None = None) -> None:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(256 * MIB)
    btrfs.populate(
        image, offset=0, size=256 * MIB, root=root, timestamp=1, uuid=uuid.UUID(int=9), label="l",
        subvolumes=() if name is None else (name,), default=None,
    )  # fmt: skip


def test_it_reads_what_we_write(tmp_path: Path) -> None:
    """In a part of the tree, each of whose directories is one look."""
    whole = torture(Pack(tmp_path / "pack"))
    names = (b"symlink", b"value", b"attributes", b"kind", b"time", b"size", b"below")
    root = Directory(entries={name: whole.entries[name] for name in names})
    write(tmp_path / "image", root)
    reader = reader_of(tmp_path / "image")
    assert same(reader, reader.top, root, MIB) > 150
    assert (reader.facts.uuid, reader.facts.label) == (uuid.UUID(int=9), "l")
    with pytest.raises(VerifyError, match="more than are read"):
        reader.read(reader.node(reader.entries(reader.find("size") or reader.top)[b"8192"]), 4096)


def test_it_enters_the_subvolume_that_has_a_path(tmp_path: Path) -> None:
    root = Directory()
    root.add("a/b/ostree/repo/config", regular(b"[core]\n"))
    root.add("a/b/link", symlink("/ostree/repo"))
    write(tmp_path / "image", root, b"a/b")
    reader = reader_of(tmp_path / "image")
    assert reader.find("ostree") is None
    assert reader.find("a/b/ostree/repo/config") is not None
    reader.enter("ostree/repo")
    config = reader.find("link/config")
    assert config is not None
    assert reader.read(config, MIB) == b"[core]\n"
    assert config.is_file


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("how", ["zstd:3", "zlib", "lzo"])
def test_it_reads_what_linux_compressed(tmp_path: Path, how: str) -> None:
    image = tmp_path / "image"
    write(image, Directory())
    texts = {"short": b"x" * 3000, "long": b"0123456789" * 50_000, "holes": b"a" * 5000}
    with mounted("btrfs", image, tmp_path / "m", options=f"rw,compress-force={how}") as place:
        for name, text in texts.items():
            (place / name).write_bytes(text)
        with (place / "holes").open("r+b") as file:
            file.seek(200_000)
            file.write(b"end")
        subprocess.run(
            ["btrfs", "subvolume", "create", place / "sub"], check=True, capture_output=True
        )
        (place / "sub/file").write_bytes(b"inside")
        texts["holes"] = (place / "holes").read_bytes()
    reader = reader_of(image)
    for name, text in {**texts, "sub/file": b"inside"}.items():
        node = reader.find(name)
        assert node is not None
        if how == "lzo":
            with pytest.raises(VerifyError, match="compressed in a way that is not read"):
                reader.read(node, MIB)
        else:
            assert reader.read(node, MIB) == text


def test_changed_bytes_are_survived(tmp_path: Path) -> None:
    root = Directory()
    root.make_dirs("d").entries.update({b"f%d" % n: regular(b"x" * n * 40) for n in range(150)})
    root.add("sub/ostree/repo/file", regular(b"x"))
    root.add("link", symlink("d"))
    write(tmp_path / "image", root, b"sub")
    raw = bytearray((tmp_path / "image").read_bytes()[: 72 * MIB])
    places = [at for start in range(0, len(raw), 4096)
              if any(raw[start : start + 4096])
              for at in range(start, start + 4096) if raw[at]]  # fmt: skip
    chance = random.Random(5)
    answers = errors = 0
    for _ in range(150):
        changed: dict[int, int] = {}
        for _ in range(chance.choice((1, 40, 1000))):
            at = chance.choice(places)
            changed.setdefault(at, raw[at])
            raw[at] = chance.choice((0, 255, chance.randrange(256)))
        try:
            reader = Reader(lambda at, length: bytes(raw[at : at + length]), 0)
            reader.enter("ostree/repo")
            for name, number in reader.entries(reader.top).items():
                assert name
                if reader.node(number).is_dir:
                    reader.entries(reader.node(number))
            node = reader.find("/link/f7", None)
            if node is not None:
                reader.read(node, MIB)
            answers += 1
        except VerifyError:
            errors += 1
        for at, byte in changed.items():
            raw[at] = byte
    assert answers > 10
    assert errors > 10


def test_chunks_without_number_are_refused(tmp_path: Path) -> None:
    """A small tree that names the same leaf again and again, full of chunks."""
    image = tmp_path / "image"
    write(image, Directory())
    with image.open("r+b") as file:
        file.seek(64 * 1024)
        raw = bytearray(file.read(4096))
        (at,) = struct.unpack_from("<Q", raw, 0x58)
        file.seek(at)
        node = bytearray(file.read(16384))
        count = (16384 - 101) // (25 + 80)
        keys = [struct.pack("<QBQ", 256, items.CHUNK, 2**40 + n) for n in range(count)]
        chunk = struct.pack("<QQQQIIIHH", MIB, 2, 65536, 1, 65536, 65536, 4096, 1, 1)
        leaf = b"".join(k + struct.pack("<II", 16203 - 80 * n, 80) for n, k in enumerate(keys))
        leaf = leaf.ljust(16283 - 80 * count, b"\0") + (chunk + struct.pack("<QQ16x", 1, 0)) * count
        bodies = [leaf]
        for level in (1, 2):
            below = at + (2 - level + 1) * 16384
            bodies.append((keys[0] + struct.pack("<QQ", below, 1)) * 493)
        for level, body in enumerate(bodies):
            place = at + (2 - level) * 16384
            head = node[:101]
            struct.pack_into("<Q", head, 48, place)
            struct.pack_into("<IB", head, 96, count if level == 0 else 493, level)
            file.seek(place)
            file.write(head + body.ljust(16283, b"\0"))
        raw[0xC7] = 2
        file.seek(64 * 1024)
        file.write(raw)
    with pytest.raises(VerifyError, match="too many chunks"):
        reader_of(image)
