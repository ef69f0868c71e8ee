"""What a system that is to be set up holds: asked of an image's tree, or of what a medium notes.

A medium notes the few directories and tables that are asked for (``excerpt``), so that its
installer knows what the image lacks before it writes to a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..ostree.lookup import find, find_dir, find_link
from ..tree import Directory, File, Node, read, regular, symlink

NOWHERE: Final = "/dev/null"  # a unit that links there is masked
_BIN: Final = ("usr/bin", "usr/sbin", "bin", "sbin", "usr/local/bin", "usr/local/sbin")
_TABLES: Final = tuple(f"{place}/{name}" for place in ("etc", "usr/lib")
                       for name in ("passwd", "group"))  # fmt: skip
_TABLE_BYTES: Final = 4 * 1024 * 1024
UNITS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system",
                "usr/local/lib/systemd/system")  # fmt: skip
ZONES: Final = "usr/share/zoneinfo"
KEYMAPS: Final = ("usr/lib/kbd/keymaps", "usr/share/kbd/keymaps", "usr/share/keymaps")
LAYOUTS: Final = ("usr/share/X11/xkb/symbols", "usr/share/xkeyboard-config-2/symbols")
LOCALES: Final = "usr/lib/locale"
SERVICES: Final = ("etc/firewalld/services", "usr/lib/firewalld/services")
_NOTED: Final = (*_BIN, *UNITS, ZONES, *KEYMAPS, *LAYOUTS, LOCALES, *SERVICES)


class System(Protocol):
    """A system by the paths that it will have when it runs."""

    def knows(self, path: str) -> bool:
        """Say whether it tells if there is something at a path."""
        ...

    def has(self, path: str) -> bool:
        """Say whether there is a file, symlinks followed."""
        ...

    def names(self, path: str) -> Iterator[str]:
        """Yield the paths of all files below a directory, relative to it."""
        ...

    def link(self, path: str) -> str | None:
        """Return the target of a symlink."""

    def table(self, name: str) -> Iterator[list[str]]:
        """Yield the lines of ``passwd`` or ``group``, of /etc and of /usr/lib, as fields."""
        ...


@dataclass(frozen=True, slots=True)
class Tree:
    """A system in memory: of an image, or of an excerpt."""

    root: Directory
    whole: bool = True  # False: only what an excerpt notes is known

    def knows(self, path: str) -> bool:
        return self.whole or _is_noted(path.lstrip("/"))

    def has(self, path: str) -> bool:
        return isinstance(find(self.root, path), File)

    def names(self, path: str) -> Iterator[str]:
        folder = find_dir(self.root, path)
        for raw, node in folder.walk() if folder is not None else ():
            if isinstance(node, File):
                yield raw.decode(errors="replace")

    def link(self, path: str) -> str | None:
        return find_link(self.root, path)

    def table(self, name: str) -> Iterator[list[str]]:
        for place in ("etc", "usr/lib"):
            yield from fields(_text(find(self.root, f"{place}/{name}")))


def fields(text: str) -> Iterator[list[str]]:
    """Yield the lines of a table like passwd(5) as fields."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.split(":")


def program(system: System, *names: str) -> bool:
    """Say whether a system has one of some programs."""
    return any(system.has(f"{place}/{name}") for place in _BIN for name in names)


def _is_noted(path: str) -> bool:
    """Say whether an excerpt knows of a path."""
    return any(path == place or path.startswith(f"{place}/") for place in _NOTED)


def excerpt(root: Directory, digest: str, size: int) -> dict[str, Any]:
    """Return as JSON values what is asked of a system; ``size`` is that of its files in bytes.

    Links stand for what they lead to, but for those of directories and those that mask a unit.
    """
    files: list[str] = []
    links: dict[str, str] = {}
    seen: dict[int, str] = {}
    for place in _NOTED:
        folder = find_dir(root, place)
        if folder is None:
            continue
        first = seen.setdefault(id(folder), place)
        if first != place:  # as bin and usr/bin are one
            links[place] = f"/{first}"
            continue
        for path, node in folder.walk(place.encode()):
            try:
                name = path.decode()
            except UnicodeDecodeError:  # no kickstart could name it
                continue
            if isinstance(node, File) and node.target == NOWHERE.encode():
                links[name] = NOWHERE
            elif isinstance(node, File) and isinstance(find(root, path), File):
                files.append(name)
    texts = {path: _text(find(root, path)) for path in _TABLES}
    return {
        "digest": digest,
        "bytes": size,
        "files": files,
        "links": links,
        "tables": {path: text for path, text in texts.items() if text},
    }


def of_excerpt(values: Mapping[str, Any]) -> Tree:
    """Return the system that an excerpt is of. Raises KeyError, TypeError or ValueError."""
    root = Directory()
    for path in values["files"]:
        root.add(path, regular(b""))
    for path, target in values["links"].items():
        root.add(path, symlink(target))
    for path, text in values["tables"].items():
        root.add(path, regular(text.encode()))
    return Tree(root, whole=False)


def _text(node: Node | None) -> str:
    if not isinstance(node, File) or node.content is None or node.size > _TABLE_BYTES:
        return ""
    return read(node.content).decode(errors="replace")
