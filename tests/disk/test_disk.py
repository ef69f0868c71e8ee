"""Partition table, FAT and qcow2 before the tools that know them best."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from diskgen.arch import MACHINES
from diskgen.config import AccessOptions, Request
from diskgen.disk import fat, gpt, table
from diskgen.disk.filesystems import KINDS, Job
from diskgen.errors import DiskgenError, VerifyError
from diskgen.events import discard
from diskgen.formats import FORMATS
from diskgen.formats.qcow2 import CLUSTER
from diskgen.layout import Content, Filesystem, Layout, Role, make_layout
from diskgen.reference import parse
from diskgen.tree import Directory
from diskgen.units import MIB

from ..fixtures.disks import blank, varied

IDENTITY = UUID(int=1)

X86 = MACHINES["x86_64"]
FILES = {
    "EFI/BOOT/BOOTX64.EFI": b"MZ" * 40_000,
    "EFI/debian/grub.cfg": b"set x=y\n",
    "EFI/debian/shimx64.efi": bytes(range(256)) * 999,
}


def layout() -> Layout:
    return make_layout(X86, seed="sha256:" + "1" * 64, content=Content(root=MIB), disk_size=None)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    made = blank(tmp_path / "disk", layout().size)
    table.write(made, layout())
    return made


def test_the_table_passes_sgdisk(disk: Path) -> None:
    checked = subprocess.run(["sgdisk", "-v", disk], check=True, capture_output=True, text=True)
    assert "No problems found" in checked.stdout
    table.verify(disk, layout())


@pytest.mark.parametrize("where", ["primary", "backup", "entries", "backup entries"])
def test_a_damaged_table_is_found(disk: Path, where: str) -> None:
    size = disk.stat().st_size
    at = {
        "primary": 512 + 60, "backup": size - 512 + 60, "entries": 1024 + 20,
        "backup entries": size - 33 * 512 + 20,
    }[where]  # fmt: skip
    with disk.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(VerifyError, match=r"damaged|differ"):
        table.verify(disk, layout())


def test_another_layout_is_noticed(disk: Path) -> None:
    other = make_layout(X86, seed="sha256:" + "2" * 64, content=Content(root=MIB), disk_size=None)
    with pytest.raises(VerifyError):
        table.verify(disk, other)
    gpt.set_identifiers(disk, other)
    table.verify(disk, other)


def make_fat(path: Path, offset: int, size: int, files: dict[str, bytes]) -> None:
    fat.make(
        path, offset=offset, size=size, label="EFI-SYSTEM", volume_id=0xDEADBEEF,
        timestamp=1_780_000_000, files=files,
    )  # fmt: skip


@pytest.mark.parametrize(("offset", "size"), [(0, 501 * MIB), (2 * MIB, 501 * MIB)])
def test_fat_passes_fsck_and_reads_back(tmp_path: Path, offset: int, size: int) -> None:
    path = blank(tmp_path / "disk", offset + size)
    make_fat(path, offset, size, FILES)
    whole = path.read_bytes()[offset : offset + size] if offset == 0 else None
    part = tmp_path / "part"
    with path.open("rb") as file, part.open("wb") as out:
        file.seek(offset)
        out.write(whole if whole is not None else file.read())
    checked = subprocess.run(["fsck.vfat", "-n", part], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    for name, data in FILES.items():
        copied = tmp_path / "copied"
        copy: list[str | Path] = ["mcopy", "-o", "-i", f"{path}@@{offset}", f"::{name}", copied]
        subprocess.run(copy, check=True, capture_output=True)
        assert copied.read_bytes() == data
    shown = subprocess.run(["blkid", "-p", part], check=True, capture_output=True, text=True)
    assert 'UUID="DEAD-BEEF"' in shown.stdout
    assert 'VERSION="FAT32"' in shown.stdout


def test_fat_is_the_same_each_time(tmp_path: Path) -> None:
    made = []
    for name, files in (("a", FILES), ("b", dict(reversed(FILES.items())))):
        path = blank(tmp_path / name, 64 * MIB)
        make_fat(path, 0, 64 * MIB, files)
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_too_much_for_the_fat_is_an_error(tmp_path: Path) -> None:
    path = blank(tmp_path / "disk", 40 * MIB)
    with pytest.raises(DiskgenError):
        make_fat(path, 0, 40 * MIB, {"EFI/BIG": bytes(60 * MIB)})


def request(compression: str) -> Request:
    return Request(
        format="qcow2", source=parse("x/y"), arch="x86_64", output=None, force=False,
        compression=compression, access=AccessOptions(), cache=Path("/nonexistent"),
    )  # fmt: skip


@pytest.mark.parametrize("compression", ["zstd", "zlib", "none"])
@pytest.mark.parametrize("size", [CLUSTER, 3 * CLUSTER + 512, 700 * MIB + 512])
def test_qcow2_before_qemu(tmp_path: Path, compression: str, size: int) -> None:
    """Noise, text, zeros and holes, at the edges of clusters and of tables."""
    raw = varied(tmp_path / "raw", size)
    out = tmp_path / "out.qcow2"
    FORMATS["qcow2"].write(raw, out, request(compression), IDENTITY, discard)
    subprocess.run(["qemu-img", "check", out], check=True, capture_output=True)
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, out], check=True)
    again = tmp_path / "again.qcow2"
    FORMATS["qcow2"].write(raw, again, request(compression), IDENTITY, discard)
    assert out.read_bytes() == again.read_bytes()
    assert out.stat().st_size < 16 * CLUSTER + raw.stat().st_blocks * 512


def test_qcow2_of_nothing(tmp_path: Path) -> None:
    raw = blank(tmp_path / "raw", 64 * MIB)
    out = tmp_path / "out.qcow2"
    FORMATS["qcow2"].write(raw, out, request("zstd"), IDENTITY, discard)
    subprocess.run(["qemu-img", "check", out], check=True, capture_output=True)
    assert out.stat().st_size <= 5 * CLUSTER


@pytest.mark.parametrize("beside", [True, False])
def test_a_filesystem_is_judged_wherever_it_is(
    beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file beside the disk, or on the disk itself where an installer has no room for one."""
    disk = blank(tmp_path / "disk", layout().size)
    job = Job(
        disk=disk, part=layout().partition(Role.BOOT), tree=Directory(), timestamp=0, seed="x",
        kernel="6.1.0", sector_size=512, subvolume=None,
        spare=tmp_path / "spare" if beside else None, advance=lambda _: None,
    )  # fmt: skip
    assert KINDS[Filesystem.EXT4].write(job).inodes
    judge = tmp_path / "bin/e2fsck"
    judge.parent.mkdir()
    judge.write_text("#!/bin/sh\necho 'Inode 12 has a wrong count.  Fix? no'\nexit 4\n")
    judge.chmod(0o755)
    monkeypatch.setenv("PATH", f"{judge.parent}:{os.environ['PATH']}")
    with pytest.raises(VerifyError):
        KINDS[Filesystem.EXT4].write(job)
