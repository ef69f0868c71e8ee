"""The features of an xfs are those of the image's kernel, whatever this machine's tools prefer."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from diskgen.disk.xfs_features import FEATURES, options

# Bits of the superblock, Linux fs/xfs/libxfs/xfs_format.h: (read-only compatible, incompatible).
EXPECTED = {
    "4.14.0-115.el7a.aarch64": (0x1, 0x3),  # free inodes; types in directories, sparse inodes
    "5.4.17-2136.el8uek": (0x5, 0x3),  # reflinks
    "5.14.0-427.el9.x86_64": (0xD, 0xB),  # counters of inode trees; times after 2038
    "6.12.0-55.el10.x86_64": (0xD, 0x2B),  # large extent counters
    "no-version": (0x0, 0x1),
}


@pytest.mark.parametrize("release", EXPECTED)
def test_mkfs_makes_what_the_kernel_mounts(release: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(512 << 20)
    known = subprocess.run(
        ["/usr/sbin/mkfs.xfs"], capture_output=True, text=True, check=False
    ).stderr
    words = [
        word
        for flag, name, on in options(release)
        if f"{name}=" in known
        for word in (flag, f"{name}={int(on)}")
    ]
    subprocess.run(["/usr/sbin/mkfs.xfs", "-q", "-f", *words, disk], check=True)
    with disk.open("rb") as file:
        block = file.read(512)
    assert block[:4] == b"XFSB"
    assert struct.unpack(">II", block[212:220]) == EXPECTED[release]


def test_every_feature_is_pinned_for_every_kernel() -> None:
    for release in EXPECTED:
        assert [name for _flag, name, _on in options(release)] == [row.name for row in FEATURES]
    assert {name for _flag, name, on in options("99.0") if on} == {
        row.name for row in FEATURES if row.since is not None
    }
