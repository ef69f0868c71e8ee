"""What an image says of its installation: ``bootc/install/*.toml`` and ``bootc/kargs.d/*.toml``.

Formats: bootc-install-config(5) and bootc's "Kernel arguments" documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..config import ROOT_FILESYSTEMS
from ..documents import DocumentError, load_toml
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
_STATEROOT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LINE: Final = re.compile(r"[^\0\r\n]*")

_Table = dict[str, Any]
_LIST: Final = "a list of strings"
_TEXT: Final = "a string"
_BOOL: Final = "true or false"
# Every key of [install] that bootc reads, by its dotted name, and what it must be.
_KEYS: Final[Mapping[str, str]] = {
    "kargs": _LIST,
    "karg-deletes": _LIST,
    "match-architectures": _LIST,
    "block": _LIST,
    "filesystem.root.type": _TEXT,
    "root-fs-type": _TEXT,
    "ostree.bls-append-except-default": _TEXT,
    "stateroot": _TEXT,
    "root-mount-spec": _TEXT,
    "boot-mount-spec": _TEXT,
    "bootloader": _TEXT,
    "bootupd.skip-boot-uuid": _BOOL,
    "discoverable-partitions": _BOOL,
    "enforce-container-sigpolicy": _BOOL,
}


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
    enforce_signatures: bool = False
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
        if not isinstance(install, dict):
            raise _bad(path, "'install' is no table")
        found = dict(_flat(install))
        for key in [key for key in found if key not in _KEYS]:
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
        if isinstance(value, dict) and name not in _KEYS:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _check(key: str, value: object, path: str) -> None:
    wanted = _KEYS[key]
    items = value if wanted == _LIST and isinstance(value, list) else [value]
    kind = bool if wanted == _BOOL else str
    if (wanted == _LIST) != isinstance(value, list) or not all(isinstance(i, kind) for i in items):
        raise _bad(path, f"'{key}' is not {wanted}")
    for item in items:
        if isinstance(item, str) and not _LINE.fullmatch(item):
            raise _bad(path, f"'{key}' holds a line break")
    if key in ("filesystem.root.type", "root-fs-type") and value not in ROOT_FILESYSTEMS:
        raise _bad(path, f"'{key}' is '{value}', known are: " + ", ".join(ROOT_FILESYSTEMS))
    if key == "stateroot" and not _STATEROOT.fullmatch(str(value)):
        raise _bad(path, f"'{value}' cannot name a stateroot")


def _matches(table: _Table, arch: str) -> bool:
    wanted = table.get("match-architectures")
    return wanted is None or arch in wanted


def _bad(path: str, reason: str) -> SourceError:
    return SourceError(f"'/{path}' of the image is broken: {reason}", hint="repair it in the image")
