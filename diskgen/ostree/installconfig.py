"""What an image says of its installation: ``bootc/install/*.toml`` and ``bootc/kargs.d/*.toml``.

Formats: bootc-install-config(5) and bootc's "Kernel arguments" documentation.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any, Final

from ..errors import SourceError
from ..tree import Directory, read

# In rising priority; a file hides one of the same name in an earlier directory. Where the tree is
# a commit, /etc is still usr/etc.
_DIRECTORIES: Final = (
    "usr/lib/bootc/install",
    "usr/local/lib/bootc/install",
    "usr/etc/bootc/install",
)
_KARGS: Final = "usr/lib/bootc/kargs.d"
_SMALL: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallConfig:
    """The merged configuration; ``kargs`` holds kargs.d behind the install kargs."""

    kargs: tuple[str, ...] = ()
    karg_deletes: tuple[str, ...] = ()
    root_filesystem: str | None = None
    stateroot: str = "default"
    bls_append_except_default: str | None = None
    bootloader: str | None = None
    warnings: tuple[str, ...] = ()


_KNOWN: Final = frozenset(
    {
        "filesystem", "root-fs-type", "block", "kargs", "karg-deletes", "match-architectures",
        "ostree", "stateroot", "root-mount-spec", "boot-mount-spec", "bootupd", "bootloader",
        "discoverable-partitions", "enforce-container-sigpolicy",
    }
)  # fmt: skip


def read_config(root: Directory, arch: str) -> InstallConfig:
    """Return what the image's files say for an architecture. Raises SourceError naming the file."""
    kargs: list[str] = []
    deletes: list[str] = []
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for path, document in _documents(root, _DIRECTORIES):
        install = document.get("install", {})
        if not isinstance(install, dict):
            raise _bad(path, "'install' is no table")
        if not _matches(install, arch, path):
            continue
        warnings += [
            f"'/{path}': unknown key 'install.{key}'" for key in install if key not in _KNOWN
        ]
        kargs += _strings(install, "kargs", path)
        deletes += _strings(install, "karg-deletes", path)
        values |= {key: value for key, value in install.items() if key in _KNOWN}
    for path, document in _documents(root, (_KARGS,)):
        unknown = set(document) - {"kargs", "match-architectures"}
        if unknown:
            raise _bad(path, f"unknown key '{min(unknown)}'")
        if _matches(document, arch, path):
            kargs += _strings(document, "kargs", path)
    return InstallConfig(
        kargs=tuple(kargs),
        karg_deletes=tuple(deletes),
        root_filesystem=_nested(values, "filesystem", "root", "type")
        or _text(values, "root-fs-type"),
        stateroot=_text(values, "stateroot") or "default",
        bls_append_except_default=_nested(values, "ostree", "bls-append-except-default"),
        bootloader=_text(values, "bootloader"),
        warnings=tuple(warnings),
    )


def _documents(root: Directory, places: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    chosen: dict[bytes, str] = {}
    for place in places:
        folder = root.get_dir(place)
        for name in folder.entries if folder else ():
            if name.endswith(b".toml") and not name.startswith(b"."):
                chosen[name] = f"{place}/{name.decode(errors='replace')}"
    documents = []
    for name in sorted(chosen):
        path = chosen[name]
        file = root.get_file(path)
        if file is None or file.content is None or file.size > _SMALL:
            raise _bad(path, "it is no regular file of moderate size")
        try:
            documents.append((path, tomllib.loads(read(file.content).decode())))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _bad(path, str(error)) from None
    return documents


def _matches(table: dict[str, Any], arch: str, path: str) -> bool:
    wanted = _strings(table, "match-architectures", path)
    return not wanted or arch in wanted


def _strings(table: dict[str, Any], key: str, path: str) -> list[str]:
    value = table.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _bad(path, f"'{key}' is no list of strings")
    for item in value:
        if "\n" in item or "\0" in item:
            raise _bad(path, f"'{key}' holds a line break")
    return value


def _nested(values: dict[str, Any], *keys: str) -> str | None:
    current: Any = values
    for key in keys:
        current = current.get(key) if isinstance(current, dict) else None
    return current if isinstance(current, str) else None


def _text(values: dict[str, Any], key: str) -> str | None:
    return _nested(values, key)


def _bad(path: str, reason: str) -> SourceError:
    return SourceError(f"'/{path}' of the image is broken: {reason}")
