"""A mounted system as a tree in memory, and back: what changed there is written, nothing else.

So that a system of packages is given what machines are given by the one writer of such files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ..errors import HostError
from ..tree import Directory, File, Node, Packed, pieces

_NEW: Final = ".diskgen-new"  # while it is written


class Mounted:
    """A system below ``root``; other filesystems that are mounted in it are left alone.

    Raises HostError where it cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[int, Node] = {}  # by identity, which a changed file has not
        try:
            status = root.stat()
            self.tree = self._directory(root, status, status.st_dev)
        except OSError as error:
            raise HostError(f"'{root}' cannot be read: {error.strerror}") from error

    def save(self) -> tuple[str, ...]:
        """Write what is not as it was read; return what was made, of directories the topmost.

        Paths are the system's. Raises HostError.
        """
        made: list[Path] = []
        try:
            self._save(self._root, self.tree, made)
        except OSError as error:
            name = error.filename or self._root
            raise HostError(f"'{name}' cannot be written: {error.strerror}") from error
        return tuple(f"/{path.relative_to(self._root)}" for path in made)

    def _directory(self, path: Path, status: os.stat_result, device: int) -> Directory:
        made = Directory(mode=status.st_mode, uid=status.st_uid, gid=status.st_gid)
        if status.st_dev != device:
            return made
        self._read[id(made)] = made
        with os.scandir(path) as found:
            for entry in found:
                name, place = os.fsencode(entry.name), path / entry.name
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    made.entries[name] = self._directory(place, info, device)
                else:
                    made.entries[name] = self._file(place, info)
        return made

    def _file(self, path: Path, status: os.stat_result) -> File:
        made = File(mode=status.st_mode, uid=status.st_uid, gid=status.st_gid)
        if made.is_symlink:
            made.target = os.fsencode(path.readlink())
        elif made.is_regular:
            size = status.st_size
            extents = ((0, size, 0),) if size else ()
            made.content = Packed(pack=path, size=size, extents=extents)
        self._read[id(made)] = made
        return made

    def _save(self, path: Path, folder: Directory, made: list[Path]) -> None:
        if id(folder) in self._read:
            for entry in list(path.iterdir()):
                if os.fsencode(entry.name) not in folder.entries:
                    _remove(entry)
        for name, node in folder.entries.items():
            place = path / os.fsdecode(name)
            if isinstance(node, Directory):
                within = made
                if id(node) not in self._read and not place.is_dir():
                    place.mkdir(mode=0o700)
                    made.append(place)
                    within = []  # a label of the directory is one of all that it holds
                self._save(place, node, within)
            elif id(node) not in self._read:
                _write(place, node)
                made.append(place)
        status = path.stat()
        mode = stat.S_IMODE(folder.mode)
        if (status.st_uid, status.st_gid) != (folder.uid, folder.gid):
            os.chown(path, folder.uid, folder.gid)
            path.chmod(mode)
        elif stat.S_IMODE(status.st_mode) != mode:
            path.chmod(mode)


def _remove(path: Path) -> None:
    """Remove a file, or a directory of which nothing is left."""
    if path.is_dir() and not path.is_symlink():
        for entry in list(path.iterdir()):
            _remove(entry)
        path.rmdir()
    else:
        path.unlink()


def _write(path: Path, node: File) -> None:
    """Write a file in the place of another one, which programs see until it is complete."""
    new = path.with_name(_NEW)
    if node.is_symlink:
        new.symlink_to(os.fsdecode(node.target))
    else:
        assert node.content is not None
        new.touch(mode=0o600, exist_ok=False)
        with new.open("wb") as file:
            for piece in pieces(node.content):
                file.write(piece)
    os.chown(new, node.uid, node.gid, follow_symlinks=False)
    if not node.is_symlink:
        new.chmod(stat.S_IMODE(node.mode))
    new.replace(path)
