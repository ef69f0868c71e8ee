"""Our own installer on a medium: what a root must hold for it to run, and what is added to it.

It runs in any image with systemd and Python: a container made for it, or the payload itself. What
it takes besides comes along: this package, pykickstart, passlib, PyYAML, its units.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import passlib
import pykickstart
import yaml

from ... import resources
from ...arch import Machine
from ...errors import Problem
from ...ostree.lookup import find, find_dir
from ...tree import Directory, File, read, regular, symlink
from .roots import changes, directory, mask, start_by

PYTHON_PATH: Final = "usr/lib/diskgen/python"
_OLDEST: Final = (3, 11)
_COMPILED: Final = (".pyc", ".so")  # for this machine; the sources do without
_BIN: Final = ("usr/bin", "usr/sbin", "bin", "sbin")
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_UNITS: Final = (
    "diskgen-installer.target", "diskgen-installer.service", "diskgen-installer-failed.service",
)  # fmt: skip
_NETWORK: Final = "89-diskgen.network"
# Of the image's own services, those that ask questions or take other disks for theirs.
_MASKED: Final = (
    "systemd-firstboot.service", "systemd-remount-fs.service", "ostree-remount.service",
    "getty.target", "initial-setup.service", "cloud-init.target",
)  # fmt: skip
# What a system does after an update takes the most of a start, and a runtime has no use for it.
_UPDATES: Final = (
    "ldconfig.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service",
    "systemd-update-done.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A program of the runtime; ``names`` in order of preference."""

    names: tuple[str, ...]
    package: str
    only: str = ""  # attribute of Machine without which it is not needed


_PROGRAMS: Final = (
    Need(names=("sh",), package="dash or bash"),
    Need(names=("mount",), package="mount, util-linux"),
    Need(names=("switch_root",), package="util-linux, util-linux-extra"),
    Need(names=("losetup",), package="mount, util-linux"),
    Need(names=("blkid",), package="util-linux"),
    Need(names=("modprobe",), package="kmod"),
    *(Need(names=(name,), package="coreutils") for name in ("chroot", "cp", "mkdir", "sleep")),
    Need(names=("mke2fs",), package="e2fsprogs"),
    Need(names=("e2fsck",), package="e2fsprogs"),
    Need(names=("resize2fs",), package="e2fsprogs"),
    Need(names=("mkfs.vfat",), package="dosfstools", only="efi_suffix"),
    Need(names=("mcopy",), package="mtools", only="efi_suffix"),
    Need(
        names=("grub-mkimage", "grub2-mkimage"),
        package="grub-common, grub2-tools",
        only="bios_grub",
    ),
)
_MODULES: Final = {"parted": "python3-parted, python3-pyparted", "zstandard": "python3-zstandard"}


def problems(root: Directory, machine: Machine) -> Iterator[Problem]:
    """Yield what a flattened image lacks to run our installer."""
    lacks = [
        f"'{need.names[0]}' ({need.package})"
        for need in _PROGRAMS
        if (not need.only or getattr(machine, need.only)) and not has_program(root, *need.names)
    ]
    version = _python(root)
    if version is None or version < _OLDEST:
        lacks.insert(0, f"'python3' of {'.'.join(map(str, _OLDEST))} or later (python3)")
    else:
        lacks += [
            f"Python's '{name}' ({package})"
            for name, package in _MODULES.items()
            if not _has_module(root, name, version)
        ]
    if not has_program(root, "init"):
        lacks.append("'/usr/sbin/init' (systemd)")
    if lacks:
        yield Problem(
            code="installer",
            message="this image holds no Anaconda, and diskgen's own installer cannot run in it: "
            "it lacks " + ", ".join(lacks),
            hint="install these packages in the image, or name another one, or an Anaconda ISO",
            setting="installer",
        )


def has_program(root: Directory, *names: str) -> bool:
    """Say whether an image has one of the programs where programs are."""
    return any(isinstance(find(root, f"{place}/{name}"), File) for name in names for place in _BIN)


def add_to(root: Directory) -> None:
    """Add our installer to a root that is to be a medium's runtime. Raises SourceError."""
    with changes():
        _add(root)


def fingerprint() -> str:
    """Return what tells this version of the installer from others, as hex digits."""
    added = Directory()
    _add(added)
    digest = hashlib.sha256()
    for path, node in added.walk():
        if isinstance(node, File) and node.content is not None:
            digest.update(path + b"\0" + hashlib.sha256(read(node.content)).digest())
    digest.update(resources.data("installer", "init"))
    return digest.hexdigest()


def _add(root: Directory) -> None:
    for library in (pykickstart, passlib, yaml):
        _add_sources(root, Path(str(library.__file__)).resolve().parent)
    _add_sources(root, _PACKAGE)
    for name in _UNITS:
        root.add(f"usr/lib/systemd/system/{name}", regular(resources.data("installer", name)))
    network = regular(resources.data("installer", _NETWORK))
    root.add(f"usr/lib/systemd/network/{_NETWORK}", network)
    start_by(root, _UNITS[0])
    mask(root, "system", *_MASKED, *_UPDATES)
    etc = directory(root, "etc")
    etc.add("fstab", regular(b""))
    etc.add("machine-id", regular(b""))
    etc.add("resolv.conf", symlink("../run/systemd/resolve/stub-resolv.conf"))
    if find_dir(root, "etc/selinux") is not None:
        directory(root, "etc/selinux").add("config", regular(b"SELINUX=disabled\n"))
    for name, mode in (("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755),
                       ("mnt", 0o755), ("tmp", 0o1777), ("var", 0o755)):  # fmt: skip
        if find(root, name) is None and name.encode() not in root.entries:
            root.make_dirs(name, mode=mode)


def _add_sources(root: Directory, package: Path) -> None:
    """Add a Python package's sources and data, in an order of their own."""
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in _COMPILED:
            where = f"{PYTHON_PATH}/{package.name}/{path.relative_to(package)}"
            root.add(where, regular(path.read_bytes()))


def _python(root: Directory) -> tuple[int, int] | None:
    """Return the version of an image's Python, by the names that its program has."""
    versions = [
        (int(match[1]), int(match[2]))
        for place in _BIN
        if (folder := find_dir(root, place)) is not None
        for name in folder.entries
        if (match := re.fullmatch(rb"python(\d)\.(\d+)", name))
    ]
    return max(versions) if versions and has_program(root, "python3") else None


def _has_module(root: Directory, name: str, version: tuple[int, int]) -> bool:
    number = f"{version[0]}.{version[1]}"
    places = [
        f"usr/{lib}/python{which}/{kind}-packages/{name}"
        for lib in ("lib", "lib64", "local/lib", "local/lib64")
        for which in ("3", number)
        for kind in ("dist", "site")
    ]
    return any(find_dir(root, place) is not None for place in places)
