"""The programs of the host that a build uses, and which package brings each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import ToolError
from .run import run, which


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One program: ``names`` in order of preference, packages per distribution family."""

    names: tuple[str, ...]
    purpose: str
    debian: str
    fedora: str
    version: tuple[str, ...]  # arguments that print a version
    needed_for: tuple[str, ...]  # "build", "efi", "bios", "boot-<architecture>"
    archlinux: str = ""
    suse: str = ""


TOOLS: Final = (
    Tool(
        names=("skopeo",), purpose="fetches images", debian="skopeo", fedora="skopeo",
        archlinux="skopeo", suse="skopeo", version=("--version",), needed_for=("build", "fetch"),
    ),
    Tool(
        names=("mke2fs",), purpose="makes the empty ext4", debian="e2fsprogs", fedora="e2fsprogs",
        archlinux="e2fsprogs", suse="e2fsprogs", version=("-V",), needed_for=("build",),
    ),
    Tool(
        names=("e2fsck",), purpose="checks the finished ext4", debian="e2fsprogs",
        fedora="e2fsprogs", archlinux="e2fsprogs", suse="e2fsprogs", version=("-V",),
        needed_for=("build",),
    ),
    Tool(
        names=("xfs_repair",), purpose="checks a finished xfs", debian="xfsprogs",
        fedora="xfsprogs", archlinux="xfsprogs", suse="xfsprogs", version=("-V",),
        needed_for=("xfs",),
    ),
    Tool(
        names=("btrfs",), purpose="checks a finished btrfs", debian="btrfs-progs",
        fedora="btrfs-progs", archlinux="btrfs-progs", suse="btrfsprogs", version=("--version",),
        needed_for=("btrfs",),
    ),
    Tool(
        names=("mkfs.vfat",), purpose="makes the EFI system partition", debian="dosfstools",
        fedora="dosfstools", archlinux="dosfstools", suse="dosfstools", version=("--help",),
        needed_for=("efi",),
    ),
    Tool(
        names=("mcopy",), purpose="fills the EFI system partition", debian="mtools",
        fedora="mtools", archlinux="mtools", suse="mtools", version=("--version",),
        needed_for=("efi",),
    ),
    Tool(
        names=("grub-mkimage", "grub2-mkimage"), purpose="makes GRUB's core image for BIOS",
        debian="grub-common", fedora="grub2-tools", archlinux="grub", suse="grub2",
        version=("--version",), needed_for=("bios",),
    ),
    Tool(
        names=("mksquashfs",), purpose="packs the runtime of an installer",
        debian="squashfs-tools", fedora="squashfs-tools", archlinux="squashfs-tools",
        suse="squashfs", version=("-version",), needed_for=("iso",),
    ),
    Tool(
        names=("qemu-system-x86_64",), purpose="boots disks of x86_64", debian="qemu-system-x86",
        fedora="qemu-system-x86-core", archlinux="qemu-system-x86", suse="qemu-x86",
        version=("--version",), needed_for=("boot-x86_64",),
    ),
    Tool(
        names=("qemu-system-aarch64",), purpose="boots disks of aarch64", debian="qemu-system-arm",
        fedora="qemu-system-aarch64-core", archlinux="qemu-system-aarch64", suse="qemu-arm",
        version=("--version",), needed_for=("boot-aarch64",),
    ),
    Tool(
        names=("qemu-system-s390x",), purpose="boots disks of s390x", debian="qemu-system-s390x",
        fedora="qemu-system-s390x-core", archlinux="qemu-system-s390x", suse="qemu-s390x",
        version=("--version",), needed_for=("boot-s390x",),
    ),
    Tool(
        names=("ssh",), purpose="logs in to machines of 'diskgen boot'", debian="openssh-client",
        fedora="openssh-clients", archlinux="openssh", suse="openssh-clients", version=("-V",),
        needed_for=("boot-ssh",),
    ),
    Tool(
        names=("virsh",), purpose="publishes to libvirt", debian="libvirt-clients",
        fedora="libvirt-client", archlinux="libvirt", suse="libvirt-client",
        version=("--version",), needed_for=("libvirt",),
    ),
)  # fmt: skip

_FAMILIES: Final = {
    "debian": ("debian", "apt install"),
    "ubuntu": ("debian", "apt install"),
    "fedora": ("fedora", "dnf install"),
    "rhel": ("fedora", "dnf install"),
    "centos": ("fedora", "dnf install"),
    "arch": ("archlinux", "pacman -S"),
    "suse": ("suse", "zypper install"),
    "opensuse": ("suse", "zypper install"),
}


def tools_for(*uses: str) -> tuple[Tool, ...]:
    """Return the tools that any of the uses needs, in table order."""
    return tuple(tool for tool in TOOLS if set(tool.needed_for) & set(uses))


def install_command(tools: tuple[Tool, ...], os_release: str | None = None) -> str:
    """Return the command that brings the tools on this distribution, or package names for two."""
    family = _family(os_release)
    if family is None:
        return f"Debian: {_packages(tools, 'debian')}; Fedora: {_packages(tools, 'fedora')}"
    field, command = family
    return f"{command} {_packages(tools, field)}"


def distribution_hint(**packages: str) -> str:
    """Return the command that installs one of the packages, which are named by family."""
    family = _family(None)
    if family is None or family[0] not in packages:
        return "; ".join(f"{name.capitalize()}: {package}" for name, package in packages.items())
    return f"{family[1]} {packages[family[0]]}"


def version_of(tool: Tool) -> tuple[Path, str] | None:
    """Return where a tool is and the version it states, or None where it is missing."""
    path = which(*tool.names)
    if path is None:
        return None
    try:
        done = run([path, *tool.version], ok=tuple(range(256)), timeout=10)
    except ToolError:
        return path, "does not answer"
    match = re.search(r"\d+\.\d+[\w.+~-]*", done.text + done.stderr)
    return path, match[0].rstrip(".") if match else "version unknown"


def _family(os_release: str | None) -> tuple[str, str] | None:
    """Return the column of the table and the install command of a distribution, by os-release."""
    if os_release is None:
        path = Path("/etc/os-release")
        os_release = path.read_text(errors="replace") if path.is_file() else ""
    ids = re.findall(r'^(?:ID|ID_LIKE)="?([^"\n]*)"?$', os_release, re.MULTILINE)
    return next((_FAMILIES[word] for word in " ".join(ids).split() if word in _FAMILIES), None)


def _packages(tools: tuple[Tool, ...], field: str) -> str:
    return " ".join(dict.fromkeys(getattr(tool, field) for tool in tools))
