"""FAT filesystems: judged by fsck.fat, filled as planned, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.budgets import TOOL_SECONDS
from diskgen.disk import fat
from diskgen.errors import SourceError, ToolError, UsageError
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


def test_what_the_host_tells_mtools_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(tmp_path / "a", 8 * MIB).read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path))
    for setting in ("MTOOLS_NAME_NUMERIC_TAIL=0", "drive x: what is no setting"):
        (tmp_path / ".mtoolsrc").write_text(f"{setting}\n")
        assert made(tmp_path / "b", 8 * MIB).read_bytes() == first


def test_the_year_is_at_least_1980(tmp_path: Path) -> None:
    image = made(tmp_path / "fat", 8 * MIB, timestamp=0)
    assert "1980-01-01" in said("mdir", "-i", image, "::/EFI/BOOT")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with (tmp_path / "fat").open("wb") as file:
        file.truncate(5 * MIB)
    with pytest.raises(UsageError, match="the boot files need"):
        fat.make(tmp_path / "fat", offset=0, size=5 * MIB, label="X", volume_id=1, timestamp=WHEN,
                 files={"x": bytes(5 * MIB)})  # fmt: skip


def _make(path: Path, files: dict[str, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    fat.make(path, offset=0, size=64 * MIB, label="X", volume_id=1, timestamp=WHEN, files=files)
    return path


# Without the check mcopy asks for ever what to do, or one file is lost.
UNFIT = {
    "a dot at the end": ["EFI/v/a", "EFI/v/a."],
    "one dot alone": ["EFI/v/a."],
    "dots": ["EFI/v/..."],
    "a space at the end": ["EFI/v/a "],
    "case": ["EFI/v/a", "EFI/v/A"],
    "case of directories": ["EFI/v/a", "efi/v/b"],
    "file and directory": ["EFI/v", "EFI/v/a"],
    "file and directory, by case": ["EFI/V", "EFI/v/a"],
    "a colon": ["EFI/v/a:b"],
    "a backslash": ["EFI/v/a\\b"],
    "a question mark": ["EFI/v/a?"],
    "a control": ["EFI/v/a\x01b"],
    "a surrogate": ["EFI/v/\udc80"],
    "256 characters": ["EFI/v/" + "a" * 256],
    "128 large characters": ["EFI/v/" + "\U0001f600" * 128],
    "many files": [f"EFI/v/{number}" for number in range(10_001)],
    "many directories": [f"EFI/{number}/a" for number in range(500)],
}


@pytest.mark.parametrize("why", UNFIT)
def test_names_that_fat_cannot_hold(tmp_path: Path, why: str) -> None:
    with pytest.raises(SourceError) as caught:
        _make(tmp_path / "fat", dict.fromkeys(UNFIT[why], b"x"))
    assert (
        "FAT filesystem" in caught.value.message
        or "budget 'esp-" in caught.value.message
        or "a file and a directory" in caught.value.message
    )


def test_odd_names_that_it_can_hold(tmp_path: Path) -> None:
    names = [
        "[a-z]",
        "a b",
        "..a",
        "+,;=",
        "é and more",
        "$x",
        "'",
        "-o",
        "@@0",
        "~1",
        "a" * 255,
        "#",
        "%d",
    ]
    wanted = {f"EFI/{name}/{name}": name.encode() for name in names}
    image = _make(tmp_path / "fat", wanted)
    said("fsck.fat", "-n", image)
    out = tmp_path / "out"
    out.mkdir()
    said("mcopy", "-s", "-Q", "-i", image, "::/", out)
    found = {path.relative_to(out).as_posix(): path.read_bytes()
             for path in out.rglob("*") if path.is_file()}  # fmt: skip
    assert found == wanted


def test_five_thousand_files(tmp_path: Path) -> None:
    begun = time.monotonic()
    files = {f"EFI/{number % 50}/file-{number}.dtb": b"%d" % number for number in range(5000)}
    image = _make(tmp_path / "fat", files)
    assert time.monotonic() - begun < 40
    listing = said("mdir", "-/", "-b", "-i", image, "::/")
    assert sum(not line.endswith("/") for line in listing.splitlines()) == 5000


def test_a_tool_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should mcopy ask or spin after all, it is ended, even where it ignores SIGTERM."""
    fake = tmp_path / "bin/mcopy"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do echo again >/dev/null; done\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    monkeypatch.setattr("diskgen.disk.fat.TOOL_SECONDS", replace(TOOL_SECONDS, limit=1))
    monkeypatch.setattr("diskgen.run._GRACE_SECONDS", 0.2)
    with pytest.raises(ToolError, match="no end after 1 s"):
        _make(tmp_path / "fat", FILES)
