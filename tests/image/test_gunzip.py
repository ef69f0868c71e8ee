"""Layers of gzip with and without isal, which runtimes of an installer may lack."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from diskgen.image import gunzip
from diskgen.image.gunzip import Member

from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.program import ROOT, Program, fingerprint

WAYS: list[Callable[[], Member]] = [gunzip.member, gunzip._Plain]


def blocked(place: Path, *names: str) -> Path:
    """Return a directory in which modules cannot be imported, for PYTHONPATH."""
    folder = place / "blocked"
    folder.mkdir(mode=0o755)
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ImportError('there is no {name}')\n")
    return folder


def inflated(way: Callable[[], Member], blob: bytes, piece: int, room: int) -> tuple[bytes, bytes]:
    """Return what a member inflates to, read in pieces, and what follows it."""
    member, out = way(), b""
    while not member.eof:
        data = b""
        if member.needs_input:
            data, blob = blob[:piece], blob[piece:]
            if not data:
                raise EOFError
        made = member.decompress(data, room)
        assert len(made) <= room
        out += made
    return out, member.unused_data + blob


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("piece", "room"), [(1, 7), (13, 1), (100, 4096), (65536, 65536)])
def test_pieces_of_any_size(way: Callable[[], Member], piece: int, room: int) -> None:
    data = random.Random(3).randbytes(500) * 3 + bytes(3000) + b"end"
    assert inflated(way, gzip.compress(data) + b"more", piece, room) == (data, b"more")
    assert inflated(way, gzip.compress(b""), piece, room) == (b"", b"")


@pytest.mark.parametrize("way", WAYS)
def test_damage_is_said(way: Callable[[], Member]) -> None:
    blob = bytearray(gzip.compress(random.Random(3).randbytes(5000)))
    blob[-6] ^= 1  # of the checksum
    with pytest.raises((gunzip.DAMAGE, zlib.error)):
        inflated(way, bytes(blob), 100, 100)
    with pytest.raises(EOFError):
        inflated(way, bytes(blob[:-20]), 100, 100)


def test_without_isal_the_disk_is_the_same(diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.file("usr/share/noise", random.Random(4).randbytes(2_000_000) + bytes(2_000_000))
    layout = bootable(images / "os", tar.finish())
    env = {"PYTHONPATH": str(blocked(images, "isal"))}
    words = (f"oci:{layout}", "--target-imgref", "q.io/a")
    diskgen("raw", *words, "-o", "with.raw")
    diskgen("raw", *words, "-o", "without.raw", "--cache-dir", diskgen.place / "cache2", **env)
    made = [fingerprint(diskgen.place / name) for name in ("with.raw", "without.raw")]
    assert made[0] == made[1]
    damaged = next(path for path in (layout / "blobs/sha256").iterdir()
                   if path.stat().st_size > 1_000_000)  # fmt: skip
    data = bytearray(damaged.read_bytes())
    data[1_000_000] ^= 0xFF
    damaged.write_bytes(data)
    done = diskgen.run("raw", *words, "-o", "no.raw", "--cache-dir", diskgen.place / "cache3",
                       env=env)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "its content has the digest" in done.stderr


def test_the_installer_imports_what_every_runtime_has(tmp_path: Path) -> None:
    """Beside the standard library: parted, zstandard, and pykickstart which travels with it."""
    names = ("isal", "rich", "pycdlib", "shtab", "requests", "guestfs")
    script = "import diskgen.install.__main__, diskgen.image.worker, diskgen.ostree.selinux_worker"
    env = {"PYTHONPATH": f"{blocked(tmp_path, *names)}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-P", "-c", script], env=env, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
