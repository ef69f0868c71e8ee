"""What a tree comes to as inodes of xfs: numbers, link counts, and whether xfs can hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Node
from ..placing import limits
from ..placing.limits import Limits
from .attributes import XattrError, encode
from .geometry import BLOCK
from .inode import FILE_TYPES

RESERVED: Final = 3  # root, and two of the realtime section that is not there
LIMITS: Final = Limits(
    name="xfs",
    size=(1 << 63) - BLOCK,
    target=1023,
    links=(1 << 31) - 1,
    major=1 << 9,  # the format has 14 bits, Linux looks at 9
    minor=1 << 18,
)
_HINT: Final = "change it in the image's build, or choose --rootfs ext4"

assert FILE_TYPES.keys() == limits.KINDS


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
        return limits.unfit(self.root, node, LIMITS, problem, _HINT)


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
        bad = limits.bad_name(directory, names)
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
                raise limits.at_two_places(name)
            else:
                links[slot] += 1
        stack.extend(reversed(below))
    _check(found)
    return found


def _check(found: Inventory) -> None:
    for node, links in zip(found.nodes, found.links, strict=True):
        if node is None:
            continue
        if problem := limits.of_owner(node):
            raise found.fault(node, problem)
        try:
            encode(node.xattrs)
        except XattrError as error:
            raise found.fault(node, str(error)) from None
        problem = limits.of_links(links, LIMITS)
        if problem is None and isinstance(node, File):
            problem = limits.of_kind(node, LIMITS)
        if problem:
            raise found.fault(node, problem)
