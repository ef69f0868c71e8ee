"""A directory of the user's as a tree: the files stay where they are, nothing leads out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ...tree import Directory, File, Node, Packed, symlink

_MAX_DEPTH: Final = 64  # so that trees may be walked by recursion
_MAX_ENTRIES: Final = 1_000_000
_MAX_LINKS: Final = 40  # as the kernel has it
_KINDS: Final = {
    stat.S_IFBLK: "a block device", stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a fifo", stat.S_IFSOCK: "a socket",
}  # fmt: skip


class Outside(Exception):  # noqa: N818 - an answer, the caller has the words for the error
    """A path leads out of the tree, or in circles."""


def refusal(message: str, hint: str | None = None) -> UsageError:
    """Return the error for a source of packages that cannot be used."""
    return UsageError(message, hint=hint, setting="packages")


def show(path: bytes) -> str:
    """Return a path for a message; bytes that are no text are escaped."""
    return path.decode("utf-8", "backslashreplace")


def scan(place: Path) -> Directory:
    """Return a directory as it goes onto a medium: owned by root, readable by all, without times.

    Raises UsageError for what a medium cannot hold and for symlinks that leave it, and OSError.
    """
    root = Directory()
    links: list[bytes] = []
    todo: list[tuple[Path, bytes, Directory]] = [(place, b"", root)]
    count = 0
    while todo:
        folder, prefix, made = todo.pop()
        if prefix.count(b"/") >= _MAX_DEPTH:
            raise refusal(f"'{folder}' is nested more than {_MAX_DEPTH} levels deep")
        for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
            name = os.fsencode(path.name)
            count += 1
            if count > _MAX_ENTRIES:
                raise refusal(
                    f"'{place}' has more than {_MAX_ENTRIES} files",
                    "give the directory that holds the packages, and nothing else",
                )
            node = _node(path)
            made.entries[name] = node
            if isinstance(node, Directory):
                todo.append((path, prefix + name + b"/", node))
            elif node.is_symlink:
                links.append(prefix + name)
    for link in sorted(links):
        try:
            follow(root, link)
        except Outside:
            path = place / os.fsdecode(link)
            raise refusal(
                f"'{path}' is a symlink to '{path.readlink()}', which is not below the directory, "
                "or leads in circles",
                "replace the link by what it points to: a medium has nothing but the directory",
            ) from None
    return root


def follow(root: Directory, path: bytes) -> Node | None:
    """Return what a path means in a tree, symlinks followed; None for nothing.

    Raises Outside where it leaves the tree.
    """
    todo = path.split(b"/")[::-1]
    if path.startswith(b"/"):
        raise Outside
    place: list[bytes] = []
    links = 0
    while todo:
        name = todo.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not place:
                raise Outside
            place.pop()
            continue
        node = root.get(b"/".join([*place, name]))
        if not isinstance(node, File) or not node.is_symlink:
            place.append(name)
            continue
        links += 1
        if links > _MAX_LINKS or node.target.startswith(b"/"):
            raise Outside
        todo += node.target.split(b"/")[::-1]
    return root.get(b"/".join(place))


def regular_at(root: Directory, path: bytes) -> File | None:
    """Return the regular file that a path means in a tree, None for anything else."""
    try:
        node = follow(root, path)
    except Outside:
        return None
    return node if isinstance(node, File) and node.is_regular else None


def host_path(node: File) -> Path:
    """Return where a file of a scanned tree is."""
    assert isinstance(node.content, Packed)
    return node.content.pack


def _node(path: Path) -> Node:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        return Directory()
    if kind == stat.S_IFLNK:
        return symlink(os.fsencode(path.readlink()))
    if kind != stat.S_IFREG:
        raise refusal(
            f"'{path}' is {_KINDS.get(kind, 'no file')}, which no source of packages has",
            "remove it, or give the directory that holds the packages",
        )
    if not os.access(path, os.R_OK):
        raise refusal(f"'{path}' cannot be read", "make it readable for the user who runs diskgen")
    size = status.st_size
    extents = ((0, size, 0),) if size else ()
    return File(mode=stat.S_IFREG | 0o644, content=Packed(path, size, extents))
