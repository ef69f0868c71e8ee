"""Every architecture from this one: what the table promises, and what is on the disks."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from diskgen.arch import MACHINES
from diskgen.bootloader.choose import LOADERS
from diskgen.vm import accel
from diskgen.vm.qemu import BOARDS

from .fixtures.initramfs import toy_initramfs
from .fixtures.oci import KERNEL, TarBuilder, bootable, mainframe_kernel
from .fixtures.program import Program
from .oracles.bootmap import load

SUPPORTED = [machine.name for machine in MACHINES.values() if machine.supported]


def test_the_table() -> None:
    assert SUPPORTED == ["x86_64", "aarch64", "s390x"]
    assert {MACHINES[name].bootloader for name in SUPPORTED} == LOADERS.keys()
    assert len({machine.root_type for machine in MACHINES.values()}) == len(MACHINES)
    assert len({machine.oci for machine in MACHINES.values()}) == len(MACHINES)
    assert BOARDS.keys() == set(SUPPORTED)


@pytest.mark.parametrize("arch", ["ppc64le", "riscv64"])
def test_what_is_not_supported_is_said(diskgen: Program, images: Path, arch: str) -> None:
    done = diskgen.run("raw", f"oci:{bootable(images / 'os')}", "--arch", arch)
    assert done.returncode == 4
    assert f"disks for '{arch}' cannot be made yet" in done.stderr
    assert "supported: x86_64, aarch64, s390x" in done.stderr
    assert diskgen.left_behind() == []


def made(diskgen: Program, images: Path, arch: str, sector_size: int) -> tuple[Path, Any]:
    """Return a raw disk of an image, and its plan."""
    words = (f"oci:{bootable(images / 'os', arch=arch)}", "--arch", arch,
             "--sector-size", str(sector_size))  # fmt: skip
    plan = json.loads(diskgen("plan", "raw", *words, "--json"))
    diskgen("raw", *words, "-o", "disk.raw")
    disk = diskgen.place / "disk.raw"
    found = json.loads(diskgen("inspect", disk, "--json"))
    assert (found["architecture"], found["sector_size"]) == (arch, sector_size)
    return disk, plan


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("arch", SUPPORTED)
def test_fdisk_reads_the_table(diskgen: Program, images: Path, arch: str, sector_size: int) -> None:
    disk, plan = made(diskgen, images, arch, sector_size)
    said = subprocess.run(
        ["fdisk", "-b", str(sector_size), "-o", "Start,Sectors,UUID,Name", "-l", disk],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Disklabel type: gpt" in said.stdout
    assert not said.stderr
    rows = re.findall(r"^ *(\d+) +(\d+) ([0-9A-F-]{36}) (\S+)", said.stdout, re.MULTILINE)
    assert [(int(a) * sector_size, int(b) * sector_size, u.lower(), n) for a, b, u, n in rows] == [
        (part["start"], part["size"], part["uuid"], part["name"])
        for part in plan["disk"]["partitions"]
    ]
    roles = [part["role"] for part in plan["disk"]["partitions"]]
    assert (
        roles
        == {
            ("x86_64", 512): ["bios-boot", "esp", "boot", "root"],
            ("x86_64", 4096): ["esp", "boot", "root"],
            ("aarch64", 512): ["esp", "boot", "root"],
            ("aarch64", 4096): ["esp", "boot", "root"],
            ("s390x", 512): ["boot", "root"],
            ("s390x", 4096): ["boot", "root"],
        }[arch, sector_size]
    )


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_fat_has_the_sectors_of_the_disk(diskgen: Program, images: Path, sector_size: int) -> None:
    disk, plan = made(diskgen, images, "aarch64", sector_size)
    (esp,) = (part for part in plan["disk"]["partitions"] if part["role"] == "esp")
    alone = diskgen.place / "esp"
    with disk.open("rb") as source, alone.open("wb") as target:
        source.seek(esp["start"])
        target.write(source.read(esp["size"]))
    subprocess.run(["fsck.vfat", "-n", alone], check=True, capture_output=True)
    assert struct.unpack_from("<H", alone.read_bytes(), 11) == (sector_size,)
    listed = subprocess.run(["mdir", "-/", "-b", "-i", alone], check=True, capture_output=True,
                            text=True).stdout  # fmt: skip
    assert "::/EFI/BOOT/BOOTAA64.EFI" in listed


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_the_boot_map_of_a_build(diskgen: Program, images: Path, sector_size: int) -> None:
    disk, plan = made(diskgen, images, "s390x", sector_size)
    assert plan["bootloader"]["name"] == "zipl"
    assert plan["bootloader"]["ways"]["ipl"]["works"]
    assert not plan["bootloader"]["ways"]["dasd"]["works"]
    for number in (0, 1):
        loaded = load(disk, number, sector_size=sector_size)
        line, initrd, initrd_size = struct.unpack(">3Q", loaded.at(0x9000, 24))
        assert loaded.at(0x10000, 300_000) == mainframe_kernel()
        assert loaded.at(initrd, initrd_size) == toy_initramfs()
        kargs = " ".join(plan["deployment"]["kargs"]).encode()
        assert loaded.at(line, len(kargs) + 1) == kargs + b"\0"
        assert b"console=ttysclp0" in kargs
    with pytest.raises(AssertionError, match="no program 2"):
        load(disk, 2, sector_size=sector_size)
    root = plan["disk"]["partitions"][-1]

    def cat(path: str) -> str:
        argv = ["debugfs", "-R", f"cat {path}", f"{disk}?offset={root['start']}"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    assert "bootloader=zipl\n" in cat("/ostree/repo/config")
    commit = plan["deployment"]["commit"]
    config = cat(f"/ostree/deploy/default/deploy/{commit}.0/etc/zipl.conf")
    assert config.endswith("[defaultboot]\ndefaultauto\nprompt=1\ntimeout=5\ntarget=/boot\n")


def test_an_image_keeps_its_zipl_conf(diskgen: Program, images: Path) -> None:
    own = TarBuilder()
    own.file("usr/lib/s390-tools/zipl.conf", b"[defaultboot]\n")
    place = bootable(images / "os", own.finish(), arch="s390x")
    diskgen("raw", f"oci:{place}", "--arch", "s390x", "-o", "disk.raw")
    plan = json.loads(diskgen("plan", "raw", f"oci:{place}", "--arch", "s390x", "--json"))
    root = plan["disk"]["partitions"][-1]["start"]
    commit = plan["deployment"]["commit"]
    path = f"/ostree/deploy/default/deploy/{commit}.0/etc/zipl.conf"
    said = subprocess.run(
        ["debugfs", "-R", f"stat {path}", f"{diskgen.place}/disk.raw?offset={root}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "File not found" in said.stderr


def test_programs_behind_links(diskgen: Program, images: Path) -> None:
    """Where /usr/sbin is a link to bin, as in Fedora 42, zipl is found all the same."""
    tar = TarBuilder()
    tar.file("usr/sbin/.wh.zipl", b"")
    linked = TarBuilder()
    linked.file("usr/.wh.sbin", b"")
    merged = TarBuilder()
    merged.file("usr/bin/zipl", b"zipl", mode=0o755)
    merged.symlink("usr/sbin", "bin")
    layers = [part.finish() for part in (tar, linked, merged)]
    place = bootable(images / "os", *layers, arch="s390x")
    plan = json.loads(diskgen("plan", "raw", f"oci:{place}", "--arch", "s390x", "--json"))
    assert plan["bootloader"]["ways"]["ipl"]["works"]


def _kernel(image: bytes) -> bytes:
    tar = TarBuilder()
    tar.file(f"usr/lib/modules/{KERNEL}/vmlinuz", image, mode=0o755)
    return tar.finish()


def _systemd_boot() -> bytes:
    tar = TarBuilder()
    tar.file("usr/lib/systemd/boot/efi/systemd-bootaa64.efi", b"MZ")
    return tar.finish()


@pytest.mark.parametrize(
    ("arch", "loader", "extra", "words"),
    [
        ("s390x", False, None, "no '/usr/lib/s390-tools/stage3.bin' and no '/usr/sbin/zipl'"),
        ("s390x", True, _kernel(mainframe_kernel()[:0x10100]), "no bootable image for s390x"),
        ("s390x", True, _kernel(b"ELF"), "the image's kernel is no bootable image for s390x"),
        ("s390x", True, _kernel(mainframe_kernel(room=100)), "the image's kernel takes '100'"),
        ("aarch64", False, None, "no GRUB for UEFI (arm64-efi)"),
        ("aarch64", False, _systemd_boot(), "its systemd-boot cannot start ostree deployments"),
    ],
)  # fmt: skip
def test_images_that_cannot_start(
    diskgen: Program, images: Path, arch: str, loader: bool, extra: bytes | None, words: str
) -> None:
    layers = [] if extra is None else [extra]
    place = bootable(images / "os", *layers, arch=arch, loader=loader)
    done = diskgen.run("raw", f"oci:{place}", "--arch", arch)
    assert done.returncode == 3, done.stderr
    assert words in done.stderr
    assert "hint:" in done.stderr or "no bootable image" in done.stderr
    assert diskgen.left_behind() == []


def test_bios_has_small_sectors_only(diskgen: Program, images: Path) -> None:
    source = f"oci:{bootable(images / 'os')}"
    plan = json.loads(diskgen("plan", "raw", source, "--sector-size", "4096", "--json"))
    bios = plan["bootloader"]["ways"]["bios"]
    assert not bios["works"]
    assert bios["reason"] == "BIOS starts disks with sectors of 512 bytes only"


def test_the_doctor_knows_architectures(diskgen: Program) -> None:
    names = {}
    for arch in SUPPORTED:
        found = json.loads(diskgen("doctor", "--arch", arch, "--json"))["findings"]
        names[arch] = {finding["name"] for finding in found}
    assert "grub-mkimage" in names["x86_64"] - names["aarch64"]
    assert "mcopy" in names["aarch64"] - names["s390x"]
    for arch in SUPPORTED:
        emulators = {name for name in names[arch] if name.startswith("qemu-system-")}
        assert emulators == {f"qemu-system-{arch}"}
    assert "firmware: secureboot" in names["aarch64"] - names["s390x"]


@pytest.mark.parametrize("arch", SUPPORTED)
def test_the_self_test_of_an_accelerator(
    arch: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tiny machine runs to its end under emulation; one that cannot is found out in time."""
    qemu = Path(f"/usr/bin/{BOARDS[arch].program}")
    monkeypatch.setattr(accel, "_DEADLINE", 60.0)  # this machine may have other work
    found = accel.self_test(qemu, arch, "tcg", BOARDS[arch].cpu)
    assert found.name == "tcg"
    assert "passed a self-test" in found.reason
    monkeypatch.setattr(accel, "_ITERATIONS", 0xFFFF_FFFF)
    monkeypatch.setattr(accel, "_DEADLINE", 0.3)
    assert "no answer within" in accel.self_test(qemu, arch, "tcg", BOARDS[arch].cpu).reason
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\nexit 77\n")
    broken.chmod(0o755)
    assert "ended with 77" in accel.self_test(broken, arch, "kvm", "host").reason
