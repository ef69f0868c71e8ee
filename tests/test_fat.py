"""FAT filesystems: judged by fsck.fat, filled as planned, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from diskgen.disk import fat
from diskgen.errors import UsageError
from diskgen.units import KIB, MIB

FILES = {
    "EFI/BOOT/BOOTX64.EFI": b"MZ" + bytes(range(256)) * 100,
    "EFI/BOOT/grub.cfg": b"menu\n",
    "EFI/a name that is longer than eight/x": b"",
    "startup.nsh": b"x",
}
WHEN = 1_790_000_000


def made(path: Path, size: int, *, offset: int = 0, timestamp: int = WHEN) -> Path:
    with path.open("wb") as file:
        file.truncate(offset + size)
    fat.make(path, offset=offset, size=size, label="ANACONDA", volume_id=0x1234ABCD,
             timestamp=timestamp, files=FILES)  # fmt: skip
    return path


def said(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SIZES = [5 * MIB, 8 * MIB, 16 * MIB, 16 * MIB + 512 * KIB, 33 * MIB, 64 * MIB - KIB, 64 * MIB,
         64 * MIB + KIB, 501 * MIB]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_a_filesystem_of_any_size(tmp_path: Path, size: int) -> None:
    image = made(tmp_path / "fat", size)
    clusters = int(re.findall(r"/(\d+) clusters", said("fsck.fat", "-n", image))[0])
    wide = size >= 64 * MIB
    assert clusters >= 65525 if wide else 4085 <= clusters < 65525  # which is what decides
    about = said("blkid", "-p", "-o", "export", image)
    assert f"VERSION=FAT{32 if wide else 16}\n" in about
    assert "LABEL=ANACONDA\n" in about
    assert "UUID=1234-ABCD\n" in about
    out = tmp_path / "out"
    out.mkdir()
    said("mcopy", "-s", "-m", "-Q", "-i", image, "::/", out)
    found = {path.relative_to(out).as_posix(): path.read_bytes()
             for path in out.rglob("*") if path.is_file()}  # fmt: skip
    assert found == FILES


@pytest.mark.parametrize("size", [8 * MIB, 64 * MIB])
def test_the_same_bytes_on_any_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    first = made(tmp_path / "a", size).read_bytes()
    time.sleep(2.1)  # as FAT counts
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert made(tmp_path / "b", size).read_bytes() == first
    assert made(tmp_path / "c", size, offset=3 * MIB).read_bytes()[3 * MIB :] == first
    assert made(tmp_path / "d", size, timestamp=0).read_bytes() != first


def test_the_year_is_at_least_1980(tmp_path: Path) -> None:
    image = made(tmp_path / "fat", 8 * MIB, timestamp=0)
    assert "1980-01-01" in said("mdir", "-i", image, "::/EFI/BOOT")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with (tmp_path / "fat").open("wb") as file:
        file.truncate(5 * MIB)
    with pytest.raises(UsageError, match="the boot files need"):
        fat.make(tmp_path / "fat", offset=0, size=5 * MIB, label="X", volume_id=1, timestamp=WHEN,
                 files={"x": bytes(5 * MIB)})  # fmt: skip
