"""The deployments on a disk: what libostree and bootc left on its filesystems, without a mount.

Formats: ostree's ``ostree-sysroot.c`` and ``ostree-core.h`` (names, commits), the origin's key file
(ostree-ext), UAPI Group "Boot Loader Specification", type 1.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ..disk.reading import Node, Reader
from ..errors import DiskgenError
from ..gvariant import unpack, unpack_string, unpack_vardict
from ..ostree.facts import parse_os_release
from ..reference import split_origin
from ..units import KIB, MIB
from .accounts import accounts

_NAME: Final = re.compile(r"(?P<commit>[0-9a-f]{64})\.(?P<serial>[0-9]{1,9})", re.ASCII)
_KARG: Final = re.compile(r"/?(ostree/boot\.[01](?:\.[01])?/[^/]+/[^/]+/[0-9]+)", re.ASCII)
_SEALED: Final = ("composefs", "state/deploy")  # what bootc's composefs backend has on the root
_SEALED_NOTE: Final = "its deployments are those of bootc's composefs backend, which are not shown"
_NONE_NOTE: Final = "there is no deployment in what can be read"
_MOST: Final = 64  # deployments and entries that are shown
_MAX_TEXT: Final = 256 * KIB
_MAX_COMMIT: Final = 16 * MIB
_LATEST: Final = 253402300799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Entry:
    """A boot loader entry: the name of its file, and its keys."""

    name: str
    keys: Mapping[str, str]

    @property
    def order(self) -> int:
        """A higher one comes first in the menu."""
        version = self.keys.get("version", "")
        return int(version) if version.isdecimal() and len(version) < 10 else 0


@dataclass(slots=True)
class Looked:
    """What was found, and what could not be shown."""

    deployments: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look(readers: Sequence[Reader]) -> Looked:
    """Return the deployments on the filesystems of a disk, in the order of its menu."""
    found = Looked()
    root = next((reader for reader in readers if _has(reader, "ostree/repo", found)), None)
    if root is None:
        sealed = any(_has(reader, place, found) for reader in readers for place in _SEALED)
        found.notes.append(_SEALED_NOTE if sealed else _NONE_NOTE)
        return found
    entries: list[Entry] = []
    for reader in readers:
        for place in ("loader/entries", "boot/loader/entries"):
            if not entries:
                entries = list(_entries(reader, place, found))
    by_node = _by_deployment(root, entries, found)
    for stateroot, name, node in _folders(root, found):
        if len(found.deployments) == _MOST:
            found.notes.append(f"there are more than {_MOST} deployments")
            break
        try:
            entry = by_node.get(node.number)
            found.deployments.append(_deployment(root, stateroot, name, node, entry))
        except DiskgenError as error:
            found.notes.append(f"deployment '{name}' cannot be read: {error.message}")
    if not found.deployments:
        found.notes.append(_NONE_NOTE)
    ranks = {entry.name: rank for rank, entry in enumerate(_sorted(entries))}
    found.deployments.sort(key=lambda item: ranks.get(item["entry"], len(ranks)))
    return found


def _has(reader: Reader, path: str, found: Looked) -> bool:
    try:
        node = reader.find(path)
    except DiskgenError as error:
        found.notes.append(f"a filesystem cannot be read: {error.message}")
        return False
    return node is not None and node.is_dir


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (-entry.order, entry.name))


def _entries(reader: Reader, place: str, found: Looked) -> Iterator[Entry]:
    try:
        folder = reader.find(place)
        names = reader.entries(folder) if folder is not None and folder.is_dir else {}
        for raw, number in sorted(names.items())[:_MOST]:
            if not raw.endswith(b".conf"):
                continue
            text = _read(reader, reader.node(number)) or ""
            pairs = (line.strip().partition(" ") for line in text.splitlines())
            keys = {key: value.strip() for key, _space, value in pairs if key}
            yield Entry(raw.decode(errors="replace"), keys)
    except DiskgenError as error:
        found.notes.append(f"the boot loader entries cannot be read: {error.message}")


def _by_deployment(root: Reader, entries: Sequence[Entry], found: Looked) -> dict[int, Entry]:
    """Return the entries by the inode of the deployment that they start."""
    starts: dict[int, Entry] = {}
    for entry in _sorted(entries):
        words = entry.keys.get("options", "").split()
        value = next((w.partition("=")[2] for w in words if w.startswith("ostree=")), "")
        match = _KARG.fullmatch(value)
        try:
            node = root.find(match[1]) if match is not None else None
        except DiskgenError as error:
            found.notes.append(f"'{entry.name}' cannot be followed: {error.message}")
            continue
        if node is not None:
            starts.setdefault(node.number, entry)
        elif value:
            found.notes.append(f"the menu's '{entry.name}' starts a deployment that is not there")
    return starts


def _folders(root: Reader, found: Looked) -> Iterator[tuple[str, str, Node]]:
    """Yield stateroot, name and inode of every deployment."""
    try:
        top = root.find("ostree/deploy")
        for stateroot, number in sorted((root.entries(top) if top else {}).items())[:_MOST]:
            folder = root.find("deploy", root.node(number))
            if folder is None or not folder.is_dir:
                continue
            for raw, inner in sorted(root.entries(folder).items()):
                node = root.node(inner)
                name = raw.decode(errors="replace")
                if node.is_dir and _NAME.fullmatch(name):
                    yield stateroot.decode(errors="replace"), name, node
    except DiskgenError as error:
        found.notes.append(f"the deployments cannot be read: {error.message}")


def _deployment(
    root: Reader, stateroot: str, name: str, node: Node, entry: Entry | None
) -> dict[str, Any]:
    match = _NAME.fullmatch(name)
    assert match is not None
    folder = f"ostree/deploy/{stateroot}/deploy"
    origin = _origin(_text(root, f"{folder}/{name}.origin") or "")
    rule, reference = split_origin(origin) if origin is not None else (None, None)
    commit = _commit(root, match["commit"])
    release = parse_os_release(
        _text(root, "etc/os-release", node) or _text(root, "usr/lib/os-release", node) or ""
    )
    keys: Mapping[str, str] = entry.keys if entry is not None else {}
    return {
        "stateroot": stateroot,
        "commit": match["commit"],
        "serial": int(match["serial"]),
        "entry": entry.name if entry is not None else None,
        "title": keys.get("title"),
        "digest": commit.get("digest"),
        "reference": reference,
        "signature": rule,
        "origin": origin,
        "created": commit.get("created"),
        "os": {
            "id": release.get("ID"),
            "name": release.get("PRETTY_NAME"),
            "version": release.get("VERSION_ID"),
            "image_version": commit.get("version"),
        },
        "kernels": _kernels(root, node),
        "kargs": keys["options"].split() if "options" in keys else None,
        "composefs": root.find(".ostree.cfs", node) is not None,
        "accounts": accounts(root, node, root.find(f"ostree/deploy/{stateroot}/var")),
    }


def _kernels(root: Reader, node: Node) -> list[str]:
    """Return the releases of the kernels that a deployment has."""
    folder = root.find("usr/lib/modules", node)
    names = root.entries(folder) if folder is not None and folder.is_dir else {}
    return [
        raw.decode(errors="replace")
        for raw, number in sorted(names.items())[:_MOST]
        if root.find("vmlinuz", root.node(number)) is not None
    ]


def _origin(text: str) -> str | None:
    """Return what a key file of an origin says that updates come from."""
    group = ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip()
        key, equals, value = line.partition("=")
        known = ("container-image-reference", "refspec", "baserefspec")
        if group == "[origin]" and equals and key.strip() in known:
            return value.strip()
    return None


def _commit(root: Reader, checksum: str) -> dict[str, str | None]:
    """Return what a commit's object says of the image, as far as it can be read."""
    node = root.find(f"ostree/repo/objects/{checksum[:2]}/{checksum[2:]}.commit")
    if node is None or not node.is_file:
        return {}
    try:
        parts = unpack(root.read(node, _MAX_COMMIT), None, None, None, None, None, (8, 8), None,
                       None)  # fmt: skip
        values = unpack_vardict(parts[0])
    except ValueError:
        return {}
    seconds = int.from_bytes(parts[5], "big")
    return {
        "digest": unpack_string(values.get("ostree.manifest-digest", b"")),
        "version": unpack_string(values.get("version", b"")),
        "created": datetime.fromtimestamp(min(seconds, _LATEST), UTC).isoformat(),
    }


def _text(root: Reader, path: str, base: Node | None = None) -> str | None:
    node = root.find(path, base)
    return _read(root, node) if node is not None else None


def _read(reader: Reader, node: Node) -> str | None:
    if not stat.S_ISREG(node.mode):
        return None
    return reader.read(node, _MAX_TEXT).decode(errors="replace")
