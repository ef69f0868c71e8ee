"""What a filesystem on a disk holds, whoever made it: the same questions to each kind.

Nothing is mounted or replayed. Every structure may be hostile.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ..errors import VerifyError

ReadAt = Callable[[int, int], bytes]  # (offset, length) of the disk, both in bytes
_MAX_LINKS: Final = 40  # as the kernel has it


@dataclass(frozen=True, slots=True)
class Facts:
    """What a superblock says; sizes in bytes. ``free`` includes what is kept for root."""

    uuid: UUID
    label: str
    size: int
    free: int
    unclean: bool  # its journal has what is to be replayed, or it was not unmounted


@dataclass(frozen=True, slots=True)
class Node:
    """An inode."""

    number: int
    mode: int
    size: int  # bytes
    flags: int = 0
    block: bytes = b""  # of ext4, i_block: the extent tree's root, or a short target

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Reader(ABC):
    """One filesystem; everything raises VerifyError for what is damaged, or is not read."""

    facts: Facts

    @property
    @abstractmethod
    def top(self) -> Node:
        """The root directory."""

    @abstractmethod
    def node(self, number: int) -> Node:
        """Return an inode."""

    @abstractmethod
    def entries(self, node: Node) -> dict[bytes, int]:
        """Return the inode numbers of a directory's entries by name, without ``.`` and ``..``."""

    @abstractmethod
    def target(self, node: Node) -> bytes:
        """Return where a symlink leads."""

    @abstractmethod
    def read(self, node: Node, limit: int) -> bytes:
        """Return what a file holds, holes as zeros, of ``limit`` bytes at most."""

    def find(self, path: str | bytes, base: Node | None = None) -> Node | None:
        """Return what a path means below a directory, which is the root of absolute symlinks.

        None for nothing. Raises VerifyError for symlinks without an end.
        """
        top = base if base is not None else self.top
        way = [top]
        todo = (path.encode() if isinstance(path, str) else path).split(b"/")[::-1]
        links = 0
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                way = way[:-1] or [top]
                continue
            number = self.entries(way[-1]).get(name) if way[-1].is_dir else None
            if number is None:
                return None
            found = self.node(number)
            if not found.is_link:
                way.append(found)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise VerifyError("symlinks lead in a circle")
            target = self.target(found)
            if target.startswith(b"/"):
                way = [top]
            todo += target.split(b"/")[::-1]
        return way[-1]
