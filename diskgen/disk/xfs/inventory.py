"""What a tree comes to as inodes of xfs: numbers, link counts, and whether xfs can hold it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Node
from ..ext4 import inventory as common
from .attributes import XattrError, encode
from .geometry import BLOCK
from .inode import FILE_TYPES

RESERVED: Final = 3  # root, and two of the realtime section that is not there
MAX_LINKS: Final = (1 << 31) - 1
MAX_TARGET: Final = 1023  # bytes of a symlink
_MAX_SIZE: Final = (1 << 63) - BLOCK
_HINT: Final = "change it in the image's build, or choose --rootfs ext4"


@dataclass(slots=True)
class Inventory:
    """Each inode once; ``nodes[i]`` is in slot i, and slots 1 and 2 are not the tree's (None)."""

    root: Directory
    nodes: list[Node | None] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    slots: dict[Node, int] = field(default_factory=dict)
    parents: dict[Node, int] = field(default_factory=dict)

    def fault(self, node: Node, problem: str) -> SourceError:
        """Return the error that says what is wrong with a node, by its path in the image."""
        path = common.shown_path(self.root, node)
        return SourceError(f"'{path}' of the image does not fit in xfs: {problem}", hint=_HINT)


def take(root: Directory) -> Inventory:
    """Number every inode of a tree: the children of a directory one after another.

    Raises SourceError for what xfs does not have, and for a directory that is at two places.
    """
    found = Inventory(root, [root, None, None], [2, 1, 1], {root: 0}, {root: 0})
    nodes, links, slots = found.nodes, found.links, found.slots
    stack = [root]
    while stack:
        directory = stack.pop()
        names = sorted(directory.entries)
        bad = common.bad_name(directory, names)
        if bad is not None:
            raise found.fault(directory, f"it has an entry called '{bad}'")
        below: list[Directory] = []
        own = slots[directory]
        for name in names:
            node = directory.entries[name]
            slot = slots.get(node)
            if slot is None:
                slots[node] = len(nodes)
                nodes.append(node)
                if isinstance(node, Directory):
                    links.append(2)
                    links[own] += 1
                    found.parents[node] = own
                    below.append(node)
                else:
                    links.append(1)
            elif isinstance(node, Directory):
                shown = name.decode(errors="backslashreplace")
                raise SourceError(f"a directory of the image, '{shown}', is at two places")
            else:
                links[slot] += 1
        stack.extend(reversed(below))
    _check(found)
    return found


def _check(found: Inventory) -> None:
    for node, links in zip(found.nodes, found.links, strict=True):
        if node is None:
            continue
        if not 0 <= node.uid < 1 << 32 or not 0 <= node.gid < 1 << 32:
            raise found.fault(node, f"its owner is '{node.uid}:{node.gid}'")
        try:
            encode(node.xattrs)
        except XattrError as error:
            raise found.fault(node, str(error)) from None
        if links > MAX_LINKS:
            raise found.fault(node, f"it has '{links}' hard links, at most '{MAX_LINKS}' can be")
        if isinstance(node, Directory):
            continue
        check = _CHECKS.get(stat.S_IFMT(node.mode))
        problem = check(node) if check is not None else f"its mode is '{node.mode:o}'"
        if problem:
            raise found.fault(node, problem)


def _regular(node: File) -> str:
    return f"it has '{node.size}' bytes" if node.size > _MAX_SIZE else ""


def _symlink(node: File) -> str:
    if not 0 < len(node.target) <= MAX_TARGET or b"\0" in node.target:
        size = len(node.target)
        return f"its target has '{size}' bytes, '1' to '{MAX_TARGET}' without NUL can be"
    return ""


def _device(node: File) -> str:
    major, minor = node.rdev
    # The format has 14 bits for the major number, Linux looks at 9.
    if not 0 <= major < 1 << 9 or not 0 <= minor < 1 << 18:
        return f"its device number is '{major}:{minor}'"
    return ""


def _other(_node: File) -> str:
    return ""


_CHECKS: Final[dict[int, Callable[[File], str]]] = {
    stat.S_IFREG: _regular, stat.S_IFLNK: _symlink, stat.S_IFCHR: _device,
    stat.S_IFBLK: _device, stat.S_IFIFO: _other, stat.S_IFSOCK: _other,
}  # fmt: skip
assert _CHECKS.keys() | {stat.S_IFDIR} == FILE_TYPES.keys()
