"""What a filesystem can hold, by a table of each; and how a node is named that it cannot."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Node

_SHOWN: Final = 300  # bytes of a path in a message, from its end
_NAMES: Final = re.compile(rb"[^/\0]{1,255}+(?:\0[^/\0]{1,255}+)*+")
_LARGEST_ID: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a filesystem takes; of device numbers the first that it does not."""

    name: str
    size: int  # bytes of a file
    target: int  # bytes of a symlink's
    links: int  # of a file
    major: int
    minor: int


def unfit(root: Directory, node: Node, limits: Limits, problem: str, hint: str) -> SourceError:
    """Return the error that says what is wrong with a node, by its path in the image."""
    path = shown(_path(root, node)[-_SHOWN:])
    return SourceError(f"'{path}' of the image does not fit in {limits.name}: {problem}", hint=hint)


def shown(name: bytes) -> str:
    """Return a name for a message."""
    return name.decode(errors="backslashreplace")


def bad_name(directory: Directory, names: list[bytes]) -> str | None:
    """Return a name of a directory that no filesystem of Linux takes, or None.

    All are checked at once: a tree has many, and hardly ever a bad one.
    """
    joined = b"\0".join(names)
    good = joined.count(b"\0") == len(names) - 1 and _NAMES.fullmatch(joined) is not None
    if not names or (good and b"." not in directory.entries and b".." not in directory.entries):
        return None
    bad = next(n for n in names if n in (b".", b"..") or b"\0" in n or not _NAMES.fullmatch(n))
    return shown(bad)[:80]


def at_two_places(name: bytes) -> SourceError:
    """Return the error for a directory that is met again under a name."""
    return SourceError(f"a directory of the image, '{shown(name)}', is at two places")


def of_owner(node: Node) -> str | None:
    """Return what is wrong with a node's owner, or None."""
    if 0 <= node.uid <= _LARGEST_ID and 0 <= node.gid <= _LARGEST_ID:
        return None
    return f"its owner is '{node.uid}:{node.gid}'"


def of_links(count: int, limits: Limits) -> str | None:
    """Return what is wrong with a number of links, or None."""
    if count <= limits.links:
        return None
    return f"it has '{count}' hard links, at most '{limits.links}' can be"


def of_kind(node: File, limits: Limits) -> str | None:
    """Return what is wrong with a file of its type, or None."""
    check = _CHECKS.get(stat.S_IFMT(node.mode))
    return check(node, limits) if check is not None else f"its mode is '{node.mode:o}'"


def _regular(node: File, limits: Limits) -> str | None:
    return f"it has '{node.size}' bytes" if node.size > limits.size else None


def _symlink(node: File, limits: Limits) -> str | None:
    if 0 < len(node.target) <= limits.target and b"\0" not in node.target:
        return None
    return f"its target has '{len(node.target)}' bytes, '1' to '{limits.target}' without NUL can be"


def _device(node: File, limits: Limits) -> str | None:
    major, minor = node.rdev
    if 0 <= major < limits.major and 0 <= minor < limits.minor:
        return None
    return f"its device number is '{major}:{minor}'"


def _other(_node: File, _limits: Limits) -> str | None:
    return None


# Where a deployment has the image's files, and a stateroot what is below its /var.
_DEPLOYED: Final = re.compile(
    rb"/ostree/deploy/[^/]+/(?:deploy/[^/]+(?P<path>/.+)|(?P<var>var/?.*))", re.DOTALL
)
_CHECKS: Final[dict[int, Callable[[File, Limits], str | None]]] = {
    stat.S_IFREG: _regular, stat.S_IFLNK: _symlink, stat.S_IFCHR: _device,
    stat.S_IFBLK: _device, stat.S_IFIFO: _other, stat.S_IFSOCK: _other,
}  # fmt: skip
KINDS: Final = _CHECKS.keys() | {stat.S_IFDIR}  # of nodes, as st_mode has them


def _path(root: Directory, wanted: Node) -> bytes:
    """Return a node's path in the image, else the first there is; only for messages: it is slow."""
    elsewhere: bytes | None = None
    stack: list[tuple[bytes, Directory]] = [(b"", root)]
    while stack:
        prefix, directory = stack.pop()
        for name, node in directory.entries.items():
            path = prefix + b"/" + name
            if node is wanted:
                deployed = _DEPLOYED.match(path)
                if deployed is not None:
                    return deployed["path"] or b"/" + deployed["var"]
                elsewhere = elsewhere or path
            if isinstance(node, Directory):
                stack.append((path, node))
    return b"/" if root is wanted else elsewhere or b"?"
