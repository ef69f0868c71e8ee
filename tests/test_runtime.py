"""An installer's container: what it must hold, and what is said when it does not."""

from __future__ import annotations

import gzip
import os
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import PreflightError
from diskgen.iso import dracut
from diskgen.iso.runtime import examine
from diskgen.tree import Directory, File, regular, symlink
from diskgen.units import MIB

from .installers import ANACONDA

RELEASE = "6.12.1-300.fc44.x86_64"


def installer(*without: str, newer: bool = False) -> Directory:
    """Return an installer's root, as Fedora has it; ``newer`` keeps EFI programs in /usr."""
    efi = "usr/lib/efi/shim/16.1/EFI/fedora" if newer else "boot/efi/EFI/fedora"
    paths = [
        "usr/bin/anaconda", f"usr/lib/modules/{RELEASE}/vmlinuz",
        f"usr/lib/modules/{RELEASE}/initramfs.img", f"{efi}/shimx64.efi", f"{efi}/mmx64.efi",
        f"{efi}/gcdx64.efi", "usr/lib/grub/i386-pc/boot_hybrid.img",
        "usr/lib/grub/i386-pc/cdboot.img", "usr/lib/grub/i386-pc/iso9660.mod",
        "usr/share/grub/unicode.pf2", *ANACONDA,
    ]  # fmt: skip
    root = Directory()
    root.make_dirs("proc")
    root.add("usr/sbin", symlink("bin"))
    for path in paths:
        if not any(word in path for word in without):
            root.add(path, regular(path.encode()))
    if "proc" in without:
        del root.entries[b"proc"]
    return root


@pytest.mark.parametrize("newer", [False, True])
def test_everything_is_found(newer: bool) -> None:
    found = examine(installer(newer=newer), MACHINES["x86_64"])
    assert found.release == RELEASE
    for file, name in (
        (found.kernel, "vmlinuz"), (found.initrd, "initramfs.img"), (found.font, "unicode.pf2"),
        (found.efi["BOOTX64.EFI"], "shimx64.efi"), (found.efi["mmx64.efi"], "mmx64.efi"),
        (found.efi["grubx64.efi"], "gcdx64.efi"),
    ):  # fmt: skip
        assert file is not None
        assert file.content == regular_content(name, newer=newer)
    assert found.bios is not None


def regular_content(name: str, *, newer: bool) -> object:
    for path, node in installer(newer=newer).walk():
        if path.endswith(f"/{name}".encode()) and not isinstance(node, Directory):
            return node.content
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("without", "words", "hint"),
    [
        ("proc", "no directory '/proc'", "mkdir -p /proc"),
        ("vmlinuz", "this one has none", "one kernel"),
        ("initramfs", "has no initramfs beside it", "--add 'anaconda fips'"),
        ("shimx64", "no 'shimx64.efi' below '/boot/efi/EFI' or '/usr/lib/efi'", "shim-x64"),
        ("lib/systemd/systemd", "it lacks '/usr/lib/systemd/systemd' (systemd)", "anaconda"),
        ("-generator", "system-generators/anaconda-generator' (anaconda-core)", "anaconda, "),
        ("anaconda.target", "'/usr/lib/systemd/system/anaconda.target' (anaconda-core)", "-deps"),
        ("tmux", "it lacks 'tmux' (anaconda-install-img-deps)", "grub2-efi-x64-cdboot, shim-x64"),
        ("gcdx64", "no 'gcdx64.efi'", "grub2-efi-x64-cdboot"),
        ("cdboot.img", "no '/usr/lib/grub/i386-pc/cdboot.img'", "grub2-pc-modules"),
    ],
)
def test_what_is_missing_is_said(without: str, words: str, hint: str) -> None:
    with pytest.raises(PreflightError) as caught:
        examine(installer(without), MACHINES["x86_64"])
    (problem,) = caught.value.problems
    assert words in problem.message
    assert hint in (problem.hint or "")
    assert problem.setting == "installer"


def test_all_is_said_at_once() -> None:
    with pytest.raises(PreflightError) as caught:
        examine(Directory(), MACHINES["x86_64"])
    assert len(caught.value.problems) == 4
    assert "diskgen's own installer cannot run in it" in caught.value.problems[0].message


def test_two_kernels() -> None:
    root = installer()
    root.add("usr/lib/modules/7.0.0/vmlinuz", regular(b""))
    with pytest.raises(PreflightError, match=f"this one has '{RELEASE}', '7.0.0'"):
        examine(root, MACHINES["x86_64"])


def test_a_mainframe_needs_no_boot_loader() -> None:
    found = examine(installer("efi", "grub"), MACHINES["s390x"])
    assert not found.efi
    assert found.bios is None


def initramfs(place: Path, name: str, compress: list[str]) -> File:
    """Return an initramfs by cpio and a compressor: early firmware, and what dracut would say."""
    early, late = place / "early", place / "late"
    (early / "kernel/x86/microcode").mkdir(parents=True)
    (early / "kernel/x86/microcode/GenuineIntel.bin").write_bytes(b"microcode" * 1001)
    (late / "usr/lib/dracut").mkdir(parents=True)
    (late / "usr/bin").mkdir()
    (late / "usr/bin/big").write_bytes(os.urandom(3_000_001))
    (late / "usr/lib/dracut/modules.txt").write_text(f"systemd\nimg-lib\n{name}\n")
    made = []
    for root in (early, late):
        done = subprocess.run("find . | sort | cpio -o -H newc --quiet", shell=True, cwd=root,
                              check=True, capture_output=True)  # fmt: skip
        made.append(done.stdout)
    packed = subprocess.run(compress, input=made[1], check=True, capture_output=True).stdout
    return regular(made[0] + packed)


@pytest.mark.parametrize("compress", [["gzip"], ["xz", "--check=crc32"], ["zstd"], ["cat"]])
def test_dracuts_modules(compress: list[str], tmp_path: Path) -> None:
    made = initramfs(tmp_path, "anaconda", compress)
    assert dracut.modules(made) == frozenset({"systemd", "img-lib", "anaconda"})


@pytest.mark.parametrize("data", [b"", b"initramfs " * 500, b"070701", b"070701" + b"x" * 500,
                                  b"\x1f\x8b" + b"x" * 500, b"\0" * 4000])  # fmt: skip
def test_what_does_not_say_its_modules(data: bytes) -> None:
    assert dracut.modules(regular(data)) is None


def test_zeros_without_end_are_passed_quickly() -> None:
    began = time.monotonic()
    assert dracut.modules(regular(gzip.compress(bytes(16 * MIB)))) is None
    assert time.monotonic() - began < 10


def test_a_name_takes_no_more_memory_than_names_have() -> None:
    fields = (0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xFFFF_FFF0, 0)
    bomb = gzip.compress(b"070701" + b"%08X" * 13 % fields + bytes(64 * MIB))
    tracemalloc.start()
    try:
        assert dracut.modules(regular(bomb)) is None
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_what_is_packed_twice_is_no_initramfs(tmp_path: Path) -> None:
    """No kernel unpacks it, and it could be packed in itself without an end."""
    made = initramfs(tmp_path, "anaconda", ["sh", "-c", "gzip | gzip"])
    assert dracut.modules(made) is None


def test_an_initramfs_without_anaconda(tmp_path: Path) -> None:
    root = installer()
    place = f"usr/lib/modules/{RELEASE}/initramfs.img"
    root.add(place, initramfs(tmp_path / "good", "anaconda", ["zstd"]))
    assert examine(root, MACHINES["x86_64"]).anaconda
    root.add(place, initramfs(tmp_path / "bad", "ostree", ["zstd"]))
    with pytest.raises(PreflightError) as caught:
        examine(root, MACHINES["x86_64"])
    (problem,) = caught.value.problems
    assert "without dracut's module 'anaconda'" in problem.message
    assert "dracut --no-hostonly --add 'anaconda fips'" in str(problem.hint)
