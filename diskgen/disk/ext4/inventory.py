"""What a tree comes to as inodes: numbers, link counts, and whether ext4 can hold it at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ...errors import SourceError
from ...fsverity import Seal
from ...tree import Directory, File, Node
from ..placing import limits
from ..placing.limits import Limits
from .inode import FAST_SYMLINK, FILE_TYPES, MAX_LINKS
from .superblock import BLOCK, FIRST_INODE
from .xattr import XattrError, encode

ROOT: Final = 2
LOST_FOUND: Final = 11
LOST_FOUND_NAME: Final = b"lost+found"
LIMITS: Final = Limits(
    name="ext4",
    size=((1 << 32) - 1) * BLOCK,  # the number of a block in a file has 32 bits
    target=BLOCK - 1,
    links=MAX_LINKS,
    major=1 << 12,
    minor=1 << 20,
)
LOST_FOUND_BLOCKS: Final = 4  # room for e2fsck to put names without allocating


@dataclass(slots=True)
class Inventory:
    """Each inode once, in the order of their numbers.

    ``nodes[i]`` and ``links[i]`` belong to inode FIRST_INODE + i; root and lost+found come extra.
    Directories stand for themselves in ``numbers``, so do files of several names.
    """

    root: Directory
    lost_found: Directory
    nodes: list[Node] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    numbers: dict[Node, int] = field(default_factory=dict)
    parents: dict[Node, int] = field(default_factory=dict)

    def entries(self, directory: Directory) -> dict[bytes, Node]:
        """Return the entries of a directory, lost+found in the root included."""
        if directory is self.root and LOST_FOUND_NAME not in directory.entries:
            return {**directory.entries, LOST_FOUND_NAME: self.lost_found}
        return directory.entries

    def __iter__(self) -> Iterator[tuple[int, Node]]:
        """Yield (number, node) of every inode of ours, in ascending order."""
        yield ROOT, self.root
        yield LOST_FOUND, self.lost_found
        yield from enumerate(self.nodes, FIRST_INODE)

    def sealed(self) -> Iterator[tuple[int, Seal]]:
        """Yield (number, seal) of every inode under fs-verity, in ascending order."""
        for number, node in enumerate(self.nodes, FIRST_INODE):
            if isinstance(node, File) and node.seal is not None:
                yield number, node.seal

    @property
    def end(self) -> int:
        """The number after the last inode's."""
        return FIRST_INODE + len(self.nodes)

    def fault(
        self, node: Node, problem: str, *, hint: str = "change it in the image's build"
    ) -> SourceError:
        """Return the error that says what is wrong with a node, by its path in the image."""
        return limits.unfit(self.root, node, LIMITS, problem, hint)


def take(root: Directory, timestamp: int = 0) -> Inventory:
    """Number every inode of a tree: the children of a directory one after another.

    Raises SourceError for a name, owner, size, device, link count or attribute that ext4 does not
    have, and for a directory that is at two places (which would be a loop or a second parent).
    """
    present = root.entries.get(LOST_FOUND_NAME)
    if isinstance(present, File):
        raise SourceError(
            "the image has a file '/lost+found', where ext4 keeps a directory",
            hint="remove or rename it in the image",
        )
    default = Directory(mode=stat.S_IFDIR | 0o700, mtime_ns=timestamp * 10**9)
    lost_found = default if present is None else present
    found = Inventory(root, lost_found, numbers={root: ROOT, lost_found: LOST_FOUND})
    found.parents.update({root: ROOT, lost_found: ROOT})
    nodes, links, numbers = found.nodes, found.links, found.numbers
    stack = [root]
    while stack:
        directory = stack.pop()
        names = sorted(directory.entries)
        _check_names(found, directory, names)
        below: list[Directory] = []
        for name in names:
            node = directory.entries[name]
            number = numbers.get(node)
            if number is None:
                numbers[node] = FIRST_INODE + len(nodes)
                nodes.append(node)
                links.append(1)
                if isinstance(node, Directory):
                    found.parents[node] = numbers[directory]
                    below.append(node)
            elif directory is root and name == LOST_FOUND_NAME:
                below.append(lost_found)
            elif isinstance(node, Directory):
                raise limits.at_two_places(name)
            else:
                links[number - FIRST_INODE] += 1
        stack.extend(reversed(below))
    _check_nodes(found)
    return found


def _check_names(found: Inventory, directory: Directory, names: list[bytes]) -> None:
    bad = limits.bad_name(directory, names)
    if bad is not None:
        raise found.fault(directory, f"it has an entry called '{bad}'")


def _check_nodes(found: Inventory) -> None:
    for number, node in found:
        if problem := limits.of_owner(node):
            raise found.fault(node, problem)
        try:
            encode(node.xattrs)
        except XattrError as error:
            raise found.fault(node, str(error), hint=_ATTRIBUTES_HINT) from None
        if isinstance(node, Directory):
            continue
        problem = limits.of_links(found.links[number - FIRST_INODE], LIMITS)
        if problem := problem or limits.of_kind(node, LIMITS):
            raise found.fault(node, problem)


_ATTRIBUTES_HINT: Final = (
    "remove what the file does not need (setfattr -x NAME FILE) in the image's build, or choose "
    "--rootfs xfs, which holds more"
)


assert FILE_TYPES.keys() == limits.KINDS


def has_content(node: Node) -> bool:
    """Say whether a node has data blocks of its own (directories' blocks are not meant)."""
    if isinstance(node, Directory):
        return False
    return node.is_regular or (node.is_symlink and len(node.target) >= FAST_SYMLINK)
