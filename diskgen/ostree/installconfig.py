"""What an image says of its installation: ``bootc/install/*.toml`` and ``bootc/kargs.d/*.toml``.

Formats: bootc-install-config(5) and bootc's "Kernel arguments" documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ..config import ROOT_FILESYSTEMS, STATEROOT
from ..documents import DocumentError, is_list, is_table, load_toml
from ..errors import SourceError
from ..tree import Directory
from .dropins import drop_ins
from .lookup import find_text

# In rising priority; a file hides one of the same name in an earlier directory.
_INSTALL: Final = (
    "usr/lib/bootc/install",
    "usr/local/lib/bootc/install",
    "etc/bootc/install",
    "run/bootc/install",
)
_KARGS: Final = ("usr/lib/bootc/kargs.d",)
_RUST_NAMES: Final = {"ppc64le": "powerpc64"}  # where Rust's name of a machine is not the kernel's
_SPEC: Final = re.compile(r"[^\s\"'\\$#]*")  # is a word of the command line and of fstab(5)
_LINE: Final = re.compile(r"[^\0\r\n]*")

_Table = dict[str, Any]
_LIST: Final = "a list of strings"
_TEXT: Final = "a string"
_BOOL: Final = "true or false"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of [install] that bootc reads: what it must be, and who obeys it.

    Where one does not, or not without a doubt, the text is what a machine gets; ``{loader}`` stands
    for its boot loader, ``{discovery}`` for how it finds its root.
    """

    kind: str
    diskgen: str | None = None  # None: obeyed, on disks and by its own installer
    anaconda: str | None = None


# By their dotted names.
KEYS: Final[Mapping[str, Key]] = MappingProxyType(
    {
        "kargs": Key(_LIST),
        "karg-deletes": Key(_LIST),
        "match-architectures": Key(_LIST),
        "block": Key(
            _LIST,
            diskgen="the root filesystem is not encrypted",
            anaconda="the root filesystem is encrypted where whoever installs says so",
        ),
        "filesystem.root.type": Key(_TEXT),
        "root-fs-type": Key(_TEXT),
        "ostree.bls-append-except-default": Key(
            _TEXT, anaconda="Anaconda leaves it out of the repository's configuration"
        ),
        "stateroot": Key(_TEXT),
        "root-mount-spec": Key(_TEXT, anaconda="Anaconda names the root filesystem by itself"),
        "boot-mount-spec": Key(_TEXT, anaconda="Anaconda names /boot by itself, in /etc/fstab"),
        "bootloader": Key(
            _TEXT, diskgen="the machine gets {loader}", anaconda="the machine gets {loader}"
        ),
        "bootupd.skip-boot-uuid": Key(_BOOL, anaconda="Anaconda lets bootupd write it"),
        "discoverable-partitions": Key(
            _BOOL,
            diskgen="{discovery}",
            anaconda="Anaconda names the root filesystem by itself",
        ),
        "enforce-container-sigpolicy": Key(_BOOL),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallConfig:
    """The merged configuration; ``kargs`` holds kargs.d behind the install kargs.

    None means that the image does not say.
    """

    kargs: tuple[str, ...] = ()
    karg_deletes: tuple[str, ...] = ()
    root_filesystem: str | None = None
    stateroot: str = "default"
    bls_append_except_default: str | None = None
    bootloader: str | None = None
    block: tuple[str, ...] = ()
    skip_boot_uuid: bool = False
    discoverable_partitions: bool | None = None
    root_mount_spec: str | None = None  # what root= and boot= name; empty: they are left out
    boot_mount_spec: str | None = None
    enforce_signatures: bool = False
    said: Mapping[str, Any] = field(
        default_factory=dict[str, Any]
    )  # all that counts, by the dotted name
    warnings: tuple[str, ...] = ()


def read_config(root: Directory, machine: str) -> InstallConfig:
    """Return what the image's files say for a machine (a name of ``arch.MACHINES``).

    Raises SourceError naming the file that is broken.
    """
    arch = _RUST_NAMES.get(machine, machine)
    kargs: list[str] = []
    deletes: list[str] = []
    values: _Table = {}
    warnings: list[str] = []
    for path, document in _documents(root, _INSTALL, warnings):
        warnings += [f"'/{path}': unknown key '{key}'" for key in document if key != "install"]
        install = document.get("install", {})
        if not is_table(install):
            raise _bad(path, "'install' is no table")
        found = dict(_flat(install))
        for key in [key for key in found if key not in KEYS]:
            warnings.append(f"'/{path}': unknown key 'install.{key}'")
            del found[key]
        for key, value in found.items():
            _check(key, value, path)
        if not _matches(found, arch):
            continue
        kargs += found.pop("kargs", [])
        deletes += found.pop("karg-deletes", [])
        values |= found
    for path, document in _documents(root, _KARGS, warnings):
        for key, value in document.items():
            if key not in ("kargs", "match-architectures"):
                raise _bad(path, f"unknown key '{key}'")
            _check(key, value, path)
        if "kargs" not in document:
            raise _bad(path, "it has no 'kargs'")
        if _matches(document, arch):
            kargs += document["kargs"]
    return InstallConfig(
        kargs=tuple(kargs),
        karg_deletes=tuple(deletes),
        root_filesystem=values.get("filesystem.root.type", values.get("root-fs-type")),
        stateroot=values.get("stateroot", "default"),
        bls_append_except_default=values.get("ostree.bls-append-except-default"),
        bootloader=values.get("bootloader"),
        block=tuple(values.get("block", ())),
        skip_boot_uuid=values.get("bootupd.skip-boot-uuid", False),
        discoverable_partitions=values.get("discoverable-partitions"),
        root_mount_spec=values.get("root-mount-spec"),
        boot_mount_spec=values.get("boot-mount-spec"),
        said=values,
        enforce_signatures=values.get("enforce-container-sigpolicy", False),
        warnings=tuple(warnings),
    )


def _documents(
    root: Directory, places: tuple[str, ...], warnings: list[str]
) -> Iterator[tuple[str, _Table]]:
    """Yield (path, parsed file) of what counts, in the order of the file names."""
    found = drop_ins(root, places, b".toml")
    warnings += found.warnings
    for name in found.paths:
        path = name.decode(errors="backslashreplace")
        try:
            yield path, load_toml(find_text(root, name) or "")
        except DocumentError as error:
            raise _bad(path, str(error)) from None


def _flat(table: _Table, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names of a table's leaves."""
    for key, value in table.items():
        name = prefix + key
        if is_table(value) and name not in KEYS:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _check(key: str, value: object, path: str) -> None:
    wanted = KEYS[key].kind
    items: list[Any] = value if wanted == _LIST and is_list(value) else [value]
    kind = bool if wanted == _BOOL else str
    if (wanted == _LIST) != isinstance(value, list) or not all(isinstance(i, kind) for i in items):
        raise _bad(path, f"'{key}' is not {wanted}")
    for item in items:
        if isinstance(item, str) and not _LINE.fullmatch(item):
            raise _bad(path, f"'{key}' holds a line break")
    if key in ("filesystem.root.type", "root-fs-type") and value not in ROOT_FILESYSTEMS:
        raise _bad(path, f"'{key}' is '{value}', known are: " + ", ".join(ROOT_FILESYSTEMS))
    if key.endswith("-mount-spec") and not _SPEC.fullmatch(str(value)):
        raise _bad(path, f"'{value}' cannot name what is mounted ('{key}')")
    if key == "stateroot" and not STATEROOT.fullmatch(str(value)):
        raise _bad(path, f"'{value}' cannot name a stateroot")


def _matches(table: _Table, arch: str) -> bool:
    wanted = table.get("match-architectures")
    return wanted is None or arch in wanted


def _bad(path: str, reason: str) -> SourceError:
    return SourceError(f"'/{path}' of the image is broken: {reason}", hint="repair it in the image")
