"""Images that media of an installer are made of: what can be looked at is real. Tests only."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .oci import KERNEL, LABELS, Layout, TarBuilder, bootable_tar
from .test_bootloader import signed

GRUB = Path("/usr/lib/grub/i386-pc")
# What the initramfs of diskgen's own installer is made of, taken from this machine.
REAL = (
    "sh",
    "mount",
    "umount",
    "switch_root",
    "blkid",
    "losetup",
    "modprobe",
    "mkdir",
    "sleep",
    "cp",
)
FAKE = ("chroot", "mke2fs", "e2fsck", "resize2fs", "mkfs.vfat", "mcopy", "grub-mkimage", "init",
        "python3")  # fmt: skip
DRIVERS = ("fs/isofs/isofs", "fs/squashfs/squashfs", "fs/overlayfs/overlay", "drivers/block/loop")
RELEASE = "6.17.0-1.fc44.x86_64"
# What Anaconda does not start without, and what it brings for who makes a medium of it.
ANACONDA = (
    "usr/lib/systemd/systemd", "usr/lib/systemd/system-generators/anaconda-generator",
    "usr/lib/systemd/system/anaconda.target", "usr/lib/systemd/system/anaconda-shell@.service",
    "usr/lib/systemd/user/pipewire.service", "usr/share/anaconda/list-harddrives-stub",
    "usr/bin/tmux", "usr/bin/ostree", "usr/bin/skopeo",
)  # fmt: skip
_META = {"timestamp": "2026-01-02T03:04:05Z", "version": "grub2-1:2.12-40,shim-15.8-3"}


def bios(tar: TarBuilder, *, real: bool = True) -> None:
    """Add GRUB's modules for BIOS, this machine's or as many as are looked at."""
    files = dict.fromkeys(("boot_hybrid.img", "cdboot.img", "iso9660.mod"), b"")
    if real:
        files = {path.name: path.read_bytes() for path in sorted(GRUB.iterdir())}
    for name, data in files.items():
        tar.file(f"usr/lib/grub/i386-pc/{name}", data)
    tar.file("usr/share/grub/unicode.pf2", b"PFF2 a font")


def own_runtime(*without: str) -> bytes:
    """Return the tar of what diskgen's own installer takes, but what is named."""
    tar = TarBuilder()
    for link in ("lib", "lib64", "sbin"):
        tar.symlink(link, f"usr/{link}")
    for path, data in sorted(programs(REAL).items()):
        if Path(path).name not in without:
            tar.file(path, data, mode=0o755)
    for name in FAKE:
        if name not in without:
            tar.file(f"usr/sbin/{name}", b"#!/bin/sh\n", mode=0o755)
    tar.file("usr/bin/python3.11", b"", mode=0o755)
    for name in ("parted", "zstandard"):
        if name not in without:
            tar.file(f"usr/lib/python3/dist-packages/{name}/__init__.py", b"")
    place = f"usr/lib/modules/{KERNEL}"
    found = [f"kernel/{path}.ko.xz" for path in DRIVERS if path.rpartition("/")[2] not in without]
    for path in found:
        tar.file(f"{place}/{path}", path.encode())
    tar.file(f"{place}/modules.dep", "".join(f"{path}:\n" for path in found).encode())
    if "gcdx64.efi" not in without:
        tar.file("usr/lib/shim/shimx64.efi.signed", signed())
        tar.file("usr/lib/shim/mmx64.efi.signed", signed())
        tar.file("usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", signed(b"regexp"))
    if "i386-pc" not in without:
        bios(tar)
    return tar.finish()


def accounts() -> bytes:
    """Return the tar of the programs that set up accounts, as far as they are looked for."""
    tar = TarBuilder()
    for name in ("useradd", "usermod", "groupadd", "chpasswd", "getent"):
        tar.file(f"usr/bin/{name}", b"#!/bin/sh\n", mode=0o755)
    return tar.finish()


def anaconda(*without: str, kernels: Iterable[str] = (RELEASE,), real: bool = True) -> bytes:
    """Return the tar of an installer's container as Fedora's would be, but what is named."""
    tar = TarBuilder()
    files = {
        "usr/bin/anaconda": b"#!/usr/bin/python3\n",
        **dict.fromkeys(ANACONDA, b"#!/bin/sh\n"),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
        "etc/shadow": b"root:!locked::0:99999:7:::\n",
        "etc/yum.repos.d/fedora.repo": b"[fedora]\n",
        "etc/selinux/config": b"SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        "usr/lib/os-release": b'ID=fedora\nVERSION_ID=44\nPRETTY_NAME="Fedora Linux 44"\n',
        "boot/efi/EFI/fedora/shimx64.efi": signed(),
        "boot/efi/EFI/fedora/mmx64.efi": signed(),
        "boot/efi/EFI/fedora/gcdx64.efi": signed(b"iso9660"),
    }
    for release in kernels:
        files[f"usr/lib/modules/{release}/vmlinuz"] = b"kernel " * 5000
        files[f"usr/lib/modules/{release}/initramfs.img"] = b"initramfs " * 5000
    for path, data in files.items():
        if not any(word in path for word in without):
            tar.file(path, data)
    for name in ("proc", "etc", "usr/share"):
        if name not in without:
            tar.directory(name)
    if "i386-pc" not in without:
        bios(tar, real=real)
    return tar.finish()


def bootupd() -> bytes:
    """Return the tar of what bootupd keeps in an image."""
    tar = TarBuilder()
    place = "usr/lib/bootupd/updates"
    for name in ("EFI", "BIOS"):
        tar.file(f"{place}/{name}.json", json.dumps(_META).encode())
    tar.file(f"{place}/EFI/BOOT/BOOTX64.EFI", signed())
    tar.file(f"{place}/EFI/tiny/shimx64.efi", signed())
    tar.file(f"{place}/EFI/tiny/grubx64.efi", signed(b"blscfg"))
    return tar.finish()


def machine(place: Path, *extra: bytes, how: str = "gzip", **options: Any) -> Path:
    """Return the layout of an image that can be installed, further layers on top."""
    layout = Layout(place)
    layers = [layout.layer(tar, how) for tar in (bootable_tar(**options), *extra)]
    labels = {**LABELS, "org.opencontainers.image.title": "Tiny Linux"}
    arch = {"aarch64": "arm64", "s390x": "s390x"}.get(str(options.get("arch")), "amd64")
    return layout.finish(layout.image(layers, labels=labels, arch=arch))


def installer(place: Path, tar: bytes, *, arch: str = "amd64", how: str = "gzip") -> Path:
    """Return the layout of an installer's image, which nobody needs to start."""
    layout = Layout(place)
    return layout.finish(layout.image([layout.layer(tar, how)], labels={}, arch=arch))


def programs(names: Iterable[str]) -> dict[str, bytes]:
    """Return this machine's programs with their libraries, by the paths they are found by."""
    found: dict[str, bytes] = {}
    for name in names:
        path = next(p for p in (Path("/usr/bin", name), Path("/usr/sbin", name)) if p.exists())
        found[f"usr/bin/{name}"] = path.resolve().read_bytes()
        said = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        for word in said.split():
            if word.startswith("/"):
                library = Path(word)
                folder = os.path.realpath(library.parent).lstrip("/")
                found[f"{folder}/{library.name}"] = library.resolve().read_bytes()
    return found


def cpio(data: bytes) -> list[str]:
    """Return the names in an archive, by cpio."""
    done = subprocess.run(["cpio", "-t", "--quiet"], input=data, check=True, capture_output=True)
    return done.stdout.decode().splitlines()
