"""A tree.Directory as files of the host, so that real tools can judge it. Tests only.

Root gets exact owners; anyone else gets everything but owners, which is exact for trees whose
owner is that user.
"""

from __future__ import annotations

import os
from pathlib import Path

from diskgen.tree import Directory, File, read


def materialise(root: Directory, place: Path) -> None:
    """Write a tree to a directory that does not exist yet; immutable flags are left out."""
    _directory(root, place, {})


def _directory(node: Directory, place: Path, seen: dict[int, Path]) -> None:
    place.mkdir()
    for name, child in node.entries.items():
        path = place / os.fsdecode(name)
        if isinstance(child, Directory):
            _directory(child, path, seen)
        elif id(child) in seen:
            path.hardlink_to(seen[id(child)])
        else:
            _file(child, path)
            seen[id(child)] = path
    _own(node, place)
    os.utime(place, ns=(0, node.mtime_ns))


def _file(node: File, path: Path) -> None:
    if node.is_symlink:
        path.symlink_to(os.fsdecode(node.target))
    else:
        assert node.is_regular
        assert node.content is not None
        path.write_bytes(read(node.content))
    _own(node, path)
    os.utime(path, ns=(0, node.mtime_ns), follow_symlinks=False)


def _own(node: File | Directory, path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, node.uid, node.gid, follow_symlinks=False)
    for name, value in node.xattrs:
        os.setxattr(path, name, value, follow_symlinks=False)
    if isinstance(node, File) and node.is_symlink:
        return
    path.chmod(node.mode & 0o7777)
