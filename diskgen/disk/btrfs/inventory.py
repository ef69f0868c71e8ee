"""What a tree comes to as inodes of subvolumes: numbers, names, and whether btrfs can hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Node
from ..placing import limits
from ..placing.limits import Limits
from . import items
from .attributes import XattrError, encode
from .names import FIRST_INDEX, Name, of_hashes, of_names

LIMITS: Final = Limits(
    name="btrfs",
    size=(1 << 63) - 4096,
    target=4095,
    links=65535,
    major=1 << 12,
    minor=1 << 20,
)
_HINT: Final = "change it in the image's build, or choose --rootfs ext4 or xfs"

assert items.FILE_TYPES.keys() == limits.KINDS


@dataclass(slots=True)
class Subvolume:
    """A tree of files: ``nodes[i]`` is inode FIRST_INODE + i, ``names[i]`` are its names.

    ``base`` tells inodes of several subvolumes apart. ``at`` is where its parent has it.
    """

    tree: int
    root: Directory
    base: int
    parent: int = 0
    at: Name = (0, 0, b"")
    nodes: list[Node] = field(default_factory=list)
    names: list[list[Name]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[int, int, Node, list[Name]]]:
        """Yield (number, slot, node, names) of every inode in ascending order."""
        for at, (node, names) in enumerate(zip(self.nodes, self.names, strict=True)):
            yield items.FIRST_INODE + at, self.base + at, node, names


@dataclass(slots=True)
class Inventory:
    """Every subvolume, the top first, and the number of each inode in its own.

    ``trees`` are those of the directories that are subvolumes.
    """

    root: Directory
    subvolumes: list[Subvolume] = field(default_factory=list)
    numbers: dict[Node, int] = field(default_factory=dict)
    trees: dict[Directory, int] = field(default_factory=dict)

    def fault(self, node: Node, problem: str) -> SourceError:
        """Return the error that says what is wrong with a node, by its path in the image."""
        return limits.unfit(self.root, node, LIMITS, problem, _HINT)

    @property
    def sealed(self) -> bool:
        """Whether fs-verity guards any file."""
        return any(
            isinstance(node, File) and node.seal is not None
            for subvolume in self.subvolumes
            for node in subvolume.nodes
        )

    @property
    def inodes(self) -> int:
        return sum(len(subvolume.nodes) for subvolume in self.subvolumes)


def take(root: Directory, subvolumes: Sequence[bytes] = ()) -> Inventory:
    """Number every inode of a tree: the children of a directory one after another.

    ``subvolumes`` are paths of directories which are to be one each. Raises SourceError for what
    btrfs does not have, for a file with names in two subvolumes, and for a directory that is at
    two places.
    """
    found = Inventory(root)
    for number, path in enumerate(subvolumes, items.FIRST_SUBVOLUME):
        directory = root.get_dir(path)
        assert directory is not None
        found.trees[directory] = number
    waiting = [Subvolume(items.TOP, root, 0)]
    base = 0
    while waiting:
        subvolume = waiting.pop(0)
        subvolume.base = base
        found.subvolumes.append(subvolume)
        waiting += _fill(found, subvolume)
        base += len(subvolume.nodes)
    found.subvolumes.sort(key=lambda each: each.tree)
    _check(found)
    return found


def _fill(found: Inventory, own: Subvolume) -> list[Subvolume]:
    """Number the inodes of a subvolume; return those that are right below it."""
    numbers, nodes, all_names = found.numbers, own.nodes, own.names
    numbers[own.root] = items.FIRST_INODE
    nodes.append(own.root)
    all_names.append([(items.FIRST_INODE, 0, b"..")])
    stack: list[Directory] = [own.root]
    below: list[Subvolume] = []
    while stack:
        directory = stack.pop()
        names = sorted(directory.entries)
        bad = limits.bad_name(directory, names)
        if bad is not None:
            raise found.fault(directory, f"it has an entry called '{bad}'")
        parent = numbers[directory]
        deeper: list[Directory] = []
        for index, name in enumerate(names, FIRST_INDEX):
            node = directory.entries[name]
            number = numbers.get(node)
            place = (parent, index, name)
            if number is None:
                if isinstance(node, Directory):
                    if node in found.trees:
                        numbers[node] = items.FIRST_INODE
                        below.append(Subvolume(found.trees[node], node, 0, own.tree, place))
                        continue
                    deeper.append(node)
                numbers[node] = items.FIRST_INODE + len(nodes)
                nodes.append(node)
                all_names.append([place])
            elif isinstance(node, Directory):
                raise limits.at_two_places(name)
            else:
                slot = number - items.FIRST_INODE
                if slot >= len(nodes) or nodes[slot] is not node:
                    raise found.fault(node, "it has names in two subvolumes")
                all_names[slot].append(place)
        stack.extend(reversed(deeper))
    return below


def _check(found: Inventory) -> None:
    for subvolume in found.subvolumes:
        for _, _, node, names in subvolume:
            problem = limits.of_owner(node)
            if problem is None and isinstance(node, File):
                problem = limits.of_links(len(names), LIMITS) or of_names(names)
                problem = problem or limits.of_kind(node, LIMITS)
            elif problem is None and isinstance(node, Directory):
                problem = of_hashes(node)
            if problem:
                raise found.fault(node, problem)
            try:
                encode(node.xattrs)
            except XattrError as error:
                raise found.fault(node, str(error)) from None
