"""An initramfs is read as a kernel unpacks it; one that finds no deployment makes no machine."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from diskgen.budgets import INITRAMFS_BYTES
from diskgen.initramfs import archive, lz4
from diskgen.initramfs.archive import members
from diskgen.initramfs.findings import Cached, Findings, examine
from diskgen.tree import regular
from diskgen.units import MIB

from ..fixtures.initramfs import PREPARE_ROOT, cpio, packed, toy_initramfs
from ..fixtures.oci import KERNEL, Layout, TarBuilder, bootable_tar
from ..fixtures.program import Program

COMPRESSORS = [
    ["cat"], ["gzip"], ["xz", "--check=crc32"], ["zstd"], ["zstd", "--ultra", "-20"],
    ["lz4", "-l", "-9", "-c"], ["bzip2"], ["xz", "--format=lzma"],
]  # fmt: skip


def lz4_legacy(data: bytes) -> bytes:
    done = subprocess.run(["lz4", "-l", "-c"], input=data, capture_output=True, check=True)
    return done.stdout


SKIPPABLE = b"\x5e\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"comment"
PARTS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "skippable zstd": lambda data: SKIPPABLE + zstandard.ZstdCompressor().compress(data),
    "lz4": lz4_legacy,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("compress", COMPRESSORS, ids=" ".join)
def test_every_compression_of_kernels(compress: list[str], tmp_path: Path) -> None:
    found = examine(regular(packed(tmp_path, "ostree", compress)))
    assert found == Findings(prepare_root=True, modules=frozenset({"systemd", "img-lib", "ostree"}))


@pytest.mark.parametrize(("first", "second"), list(product(PARTS, PARTS)))
def test_parts_follow_each_other_as_in_the_kernel(first: str, second: str) -> None:
    early = cpio({"kernel/x86/microcode/AuthenticAMD.bin": b"\0" * 3001})
    made = PARTS[first](early)
    made += bytes(-len(made) % 4 + 8) + PARTS[second](toy_initramfs())
    found = examine(regular(made))
    assert found == Findings(prepare_root=True)


def test_an_archive_goes_on_in_the_next_part() -> None:
    made = toy_initramfs()
    halves = made[:1001], made[1001:]
    for pack in (gzip.compress, PARTS["zstd"], bz2.compress):
        assert examine(regular(pack(halves[0]) + pack(halves[1]))).prepare_root


def test_names_come_as_a_stream() -> None:
    files = {"a": b"1", "./b/c.ko.xz": b"22", "/usr//lib/d": b""}
    found = members(iter([cpio(files)]), lambda name, _size: name == b"a")
    assert [(one.name, one.size, one.data) for one in found] == [
        (b"a", 1, b"1"), (b"b/c.ko.xz", 2, None), (b"usr/lib/d", 0, None),
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=40), max_size=60).map(b"".join), st.integers(1, 200))
def test_lz4_is_what_was_packed(data: bytes, again: int) -> None:
    data *= again
    # Literals alone, and a match that repeats what it makes: what every writer may choose.
    literals = _sequence(data, 0, 0) if data else b"\0"
    assert lz4.unpacked(literals, len(data)) == data
    if len(data) > 40:
        more = _sequence(data[:20], 3, 300) + _sequence(b"end", 0, 0)
        assert lz4.unpacked(more, 1000) == data[:20] + (data[17:20] * 100) + b"end"


def _sequence(literals: bytes, distance: int, count: int) -> bytes:
    def length(value: int) -> bytes:
        return b"" if value < 15 else b"\xff" * ((value - 15) // 255) + bytes(((value - 15) % 255,))

    size, match = len(literals), max(count - 4, 0)
    head = bytes((min(size, 15) << 4 | (min(match, 15) if distance else 0),))
    made = head + length(size) + literals
    return made + (distance.to_bytes(2, "little") + length(match) if distance else b"")


@pytest.mark.parametrize("data", [b"", b"\x10", b"\x00\x01\x00", b"\xf0\xff", b"\x10a\x00\x00"])
def test_damaged_lz4(data: bytes) -> None:
    with pytest.raises(EOFError):
        lz4.unpacked(data, 100)


BROKEN = {
    "text": (b"initramfs " * 500, "compressed by nothing that kernels unpack"),
    "a cut head": (b"070701", "ends too early"),
    "a head of letters": (b"070701" + b"x" * 500, "a head in it is damaged"),
    "damaged gzip": (b"\x1f\x8b" + b"x" * 500, "compressed data is damaged"),
    "cut zstd": (PARTS["zstd"](toy_initramfs())[:-9], "compressed data is damaged"),
    "cut xz": (PARTS["xz"](toy_initramfs())[:-9], "compressed data is damaged"),
    "cut archive": (toy_initramfs()[:9000], "ends too early"),
    "packed twice": (gzip.compress(gzip.compress(toy_initramfs())), "it is no cpio archive"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damage_is_told(name: str) -> None:
    data, reason = BROKEN[name]
    found = examine(regular(data))
    assert found.prepare_root is (name == "cut xz")  # of which only the checksum is cut off
    assert found.modules is None
    assert reason in str(found.damage)
    assert not found.unknown


def test_zeros_without_end_are_passed_quickly() -> None:
    began = time.monotonic()
    assert not examine(regular(gzip.compress(bytes(16 * MIB)))).prepare_root
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("pack", ["gzip", "zstd", "xz", "lz4", "bzip2"])
def test_bombs_meet_the_budget(pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(INITRAMFS_BYTES, limit=8 * MIB)
    monkeypatch.setattr(archive, "INITRAMFS_BYTES", small)
    bombs = PARTS[pack](bytes(64 * MIB)), PARTS[pack](cpio({"big": bytes(9 * MIB)}))
    for bomb in bombs:
        tracemalloc.start()
        assert "budget 'initramfs-bytes'" in str(examine(regular(bomb)).damage)
        assert tracemalloc.get_traced_memory()[1] < 48 * MIB
        tracemalloc.stop()


def test_a_name_takes_no_more_memory_than_names_have() -> None:
    fields = (0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xFFFF_FFF0, 0)
    bomb = gzip.compress(b"070701" + b"%08X" * 13 % fields + bytes(64 * MIB))
    tracemalloc.start()
    try:
        assert "budget 'path-bytes'" in str(examine(regular(bomb)).damage)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_findings_are_remembered_by_content(tmp_path: Path) -> None:
    cached = Cached(tmp_path)
    image = regular(toy_initramfs())
    found = cached(image)
    (note,) = tmp_path.iterdir()
    _head, _newline, body = note.read_text().partition("\n")
    changed = body.replace('"modules": null', '"modules": ["remembered"]')
    note.write_text(f"{hashlib.sha256(changed.encode()).hexdigest()}\n{changed}")
    assert cached(regular(toy_initramfs())).modules == frozenset({"remembered"})
    note.write_text(note.read_text().replace("remembered", "bemembered"))
    assert cached(image) == found  # so do flipped bits
    note.write_text("[]")
    assert cached(image) == found  # damaged notes count for nothing
    other = regular(cpio({"init": b""}))
    assert not cached(other).prepare_root
    assert len(list(tmp_path.iterdir())) == 2


def image_with(place: Path, files: dict[str, bytes], *, whiteout: str = "") -> Path:
    """Return a bootable image whose last layer changes files beside the kernel."""
    tar = TarBuilder()
    if whiteout:
        tar.file(f"usr/lib/modules/{KERNEL}/.wh.{whiteout}")
    for name, data in files.items():
        tar.file(name.format(KERNEL), data)
    layout = Layout(place)
    layers = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
    return layout.finish(layout.image(layers))


BESIDE = "usr/lib/modules/{0}/"
REFUSED: dict[str, tuple[dict[str, bytes], str, str]] = {
    "without ostree-prepare-root": (
        {BESIDE + "initramfs.img": cpio({"init": b"", "etc/ostree/prepare-root.conf": b""})},
        "has no 'ostree-prepare-root'",
        f"dracut --force --no-hostonly --add ostree /usr/lib/modules/{KERNEL}/initramfs.img",
    ),
    "a directory of that name": (
        {BESIDE + "initramfs.img": cpio({PREPARE_ROOT: b""}, mode=0o40755)},
        "has no 'ostree-prepare-root'",
        "--add ostree",
    ),
    "damaged": (
        {BESIDE + "initramfs.img": b"no initramfs"},
        "cannot be unpacked: it is no cpio archive",
        "dracut --force",
    ),
}
NAMES = {
    "initrd.img": BESIDE + "initrd.img",
    "with the version": BESIDE + "initramfs-{0}.img",
    "in /boot": "boot/initrd.img-{0}",
}


@pytest.mark.parametrize("command", ["raw", "iso"])
@pytest.mark.parametrize("name", REFUSED)
def test_an_initramfs_that_stops_is_refused(
    name: str, command: str, diskgen: Program, images: Path
) -> None:
    files, message, hint = REFUSED[name]
    layout = image_with(images / "os", files)
    done = diskgen.run("plan", command, f"oci:{layout}", "--target-imgref", "quay.io/a/os:1")
    assert done.returncode == 3
    assert message in done.stderr
    assert hint in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_initramfs_of_another_name_is_named(name: str, diskgen: Program, images: Path) -> None:
    path = NAMES[name].format(KERNEL)
    layout = image_with(images / "os", {path: toy_initramfs()}, whiteout="initramfs.img")
    done = diskgen.run("plan", "raw", f"oci:{layout}")
    assert done.returncode == 3
    assert f"there is '/{path}'" in re.sub(r"\s+", " ", done.stderr)
    assert f"mv /{path} /usr/lib/modules/{KERNEL}/initramfs.img" in re.sub(r"\s+", " ", done.stderr)


def test_what_only_kernels_unpack_is_a_warning(diskgen: Program, images: Path) -> None:
    data = b"\x89LZO\0\r\n\x1a\n" + b"packed" * 100
    layout = image_with(images / "os", {BESIDE + "initramfs.img": data})
    done = diskgen.run("plan", "raw", f"oci:{layout}")
    assert done.returncode == 0
    assert "compressed by lzo" in done.stdout + done.stderr


def test_what_follows_the_archives_is_a_warning(diskgen: Program, images: Path) -> None:
    data = gzip.compress(toy_initramfs()) + b"a signature"
    layout = image_with(images / "os", {BESIDE + "initramfs.img": data})
    done = diskgen.run("plan", "raw", f"oci:{layout}")
    assert done.returncode == 0
    assert "cannot be read to its end" in re.sub(r"\s+", " ", done.stdout + done.stderr)
