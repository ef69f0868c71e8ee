"""What a tree comes to as inodes: numbers, link counts, and whether ext4 can hold it at all."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ...errors import SourceError
from ...tree import Directory, File, Node
from .inode import FAST_SYMLINK, FILE_TYPES, MAX_LINKS
from .superblock import BLOCK, FIRST_INODE
from .xattr import XattrError, encode

ROOT: Final = 2
LOST_FOUND: Final = 11
LOST_FOUND_NAME: Final = b"lost+found"
LOST_FOUND_BLOCKS: Final = 4  # room for e2fsck to put names without allocating
MAX_BLOCKS: Final = (1 << 32) - 1  # of a file: the number of a block in it has 32 bits

_SHOWN: Final = 300  # bytes of a path in a message, from its end
_NAMES: Final = re.compile(rb"[^/\0]{1,255}+(?:\0[^/\0]{1,255}+)*+")


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

    @property
    def end(self) -> int:
        """The number after the last inode's."""
        return FIRST_INODE + len(self.nodes)

    def fault(
        self, node: Node, problem: str, *, hint: str = "change it in the image's build"
    ) -> SourceError:
        """Return the error that says what is wrong with a node, by its path in the image."""
        path = shown_path(self.root, node)
        return SourceError(f"'{path}' of the image does not fit in ext4: {problem}", hint=hint)


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
                raise SourceError(f"a directory of the image, '{_text(name)}', is at two places")
            else:
                links[number - FIRST_INODE] += 1
        stack.extend(reversed(below))
    _check_nodes(found)
    return found


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _check_names(found: Inventory, directory: Directory, names: list[bytes]) -> None:
    bad = bad_name(directory, names)
    if bad is not None:
        raise found.fault(directory, f"it has an entry called '{bad}'")


def bad_name(directory: Directory, names: list[bytes]) -> str | None:
    """Return a name of a directory that no filesystem of Linux takes, or None.

    All are checked at once: a tree has many, and hardly ever a bad one.
    """
    joined = b"\0".join(names)
    good = joined.count(b"\0") == len(names) - 1 and _NAMES.fullmatch(joined) is not None
    if not names or (good and b"." not in directory.entries and b".." not in directory.entries):
        return None
    bad = next(n for n in names if n in (b".", b"..") or b"\0" in n or not _NAMES.fullmatch(n))
    return _text(bad)[:80]


def _check_nodes(found: Inventory) -> None:
    for number, node in found:
        if not 0 <= node.uid < 1 << 32 or not 0 <= node.gid < 1 << 32:
            raise found.fault(node, f"its owner is '{node.uid}:{node.gid}'")
        try:
            encode(node.xattrs)
        except XattrError as error:
            raise found.fault(node, str(error), hint=_ATTRIBUTES_HINT) from None
        if isinstance(node, Directory):
            continue
        if found.links[number - FIRST_INODE] > MAX_LINKS:
            count = found.links[number - FIRST_INODE]
            raise found.fault(node, f"it has '{count}' hard links, at most '{MAX_LINKS}' can be")
        check = _CHECKS.get(stat.S_IFMT(node.mode))
        if check is None:
            raise found.fault(node, f"its mode is '{node.mode:o}'")
        problem = check(node)
        if problem:
            raise found.fault(node, problem)


def _regular(node: File) -> str:
    return f"it has '{node.size}' bytes" if node.size > MAX_BLOCKS * BLOCK else ""


def _symlink(node: File) -> str:
    if not 0 < len(node.target) < BLOCK or b"\0" in node.target:
        return f"its target has '{len(node.target)}' bytes, '1' to '4095' without NUL can be"
    return ""


def _device(node: File) -> str:
    major, minor = node.rdev
    if not 0 <= major < 1 << 12 or not 0 <= minor < 1 << 20:
        return f"its device number is '{major}:{minor}'"
    return ""


def _other(_node: File) -> str:
    return ""


_ATTRIBUTES_HINT: Final = (
    "remove what the file does not need (setfattr -x NAME FILE) in the image's build, or choose "
    "--rootfs xfs, which holds more"
)
# Where a deployment has the image's files, and a stateroot what is below its /var.
_DEPLOYED: Final = re.compile(
    rb"/ostree/deploy/[^/]+/(?:deploy/[^/]+(?P<path>/.+)|(?P<var>var/?.*))", re.DOTALL
)
_CHECKS: Final[dict[int, Callable[[File], str]]] = {
    stat.S_IFREG: _regular, stat.S_IFLNK: _symlink, stat.S_IFCHR: _device,
    stat.S_IFBLK: _device, stat.S_IFIFO: _other, stat.S_IFSOCK: _other,
}  # fmt: skip
assert _CHECKS.keys() | {stat.S_IFDIR} == FILE_TYPES.keys()


def has_content(node: Node) -> bool:
    """Say whether a node has data blocks of its own (directories' blocks are not meant)."""
    if isinstance(node, Directory):
        return False
    return node.is_regular or (node.is_symlink and len(node.target) >= FAST_SYMLINK)


def shown_path(root: Directory, node: Node) -> str:
    """Return a node's path in the image for a message."""
    return _text(_path(root, node)[-_SHOWN:])


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
