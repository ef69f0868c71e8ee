"""The files of a machine that are its own, by the paths that it will have.

Of an image these are /etc and /var: the rest no machine can change. One of packages owns them all.
Links mean what they mean on the machine, and nothing outside of what is its own is written.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..budgets import DOCUMENT_BYTES
from ..ostree.lookup import find, resolve
from ..tree import Data, Directory, File, Node, read, symlink

_OWN: Final = (b"etc", b"var")


class RefusalError(Exception):
    """The machine of this image cannot take something; ``hint`` says what can be done."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Files:
    """A machine's tree. ``deployment`` holds its /etc, ``var`` is what it mounts there.

    Without ``var`` it is the tree of a machine that has no image.
    """

    def __init__(self, deployment: Directory, var: Directory | None) -> None:
        self._whole = var is None
        self.root = deployment
        if var is None:
            return
        usr = deployment.get_dir("usr") or Directory()
        rest = {name: node for name, node in usr.entries.items() if name != b"etc"}
        self.root = Directory(
            entries={**deployment.entries, b"usr": replace(usr, entries=rest), b"var": var}
        )

    def find(self, path: str) -> Node | None:
        """Return what is at a path, links followed."""
        return find(self.root, path)

    def directory(self, path: str) -> Directory | None:
        """Return the directory at a path, links followed."""
        node = self.find(path)
        return node if isinstance(node, Directory) else None

    def data(self, path: str) -> bytes | None:
        """Return a small file's bytes; None where there is none. Raises RefusalError."""
        node = self.find(path)
        if not isinstance(node, File) or node.content is None:
            return None
        if node.size > DOCUMENT_BYTES.limit:
            raise RefusalError(f"'/{path}' of the image has {DOCUMENT_BYTES.exceeded}")
        return read(node.content)

    def text(self, path: str) -> str | None:
        """Return a small file's text; bytes that are none survive writing it again."""
        data = self.data(path)
        return data.decode(errors="surrogateescape") if data is not None else None

    def write(
        self, path: str, data: bytes | str, *, mode: int | None = None, uid: int = 0, gid: int = 0
    ) -> None:
        """Write a file; a link in its place is replaced. Raises RefusalError.

        Without ``mode`` a file that is there keeps its mode, owner and group.
        """
        raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        folder, name = self._place(path)
        old = folder.entries.get(name)
        if isinstance(old, Directory):
            raise RefusalError(f"'/{path.lstrip('/')}' is a directory on this machine")
        there = self.find(path)  # behind a link, too: what it says is written in the link's place
        if mode is None and isinstance(there, File) and there.is_regular:
            mode, uid, gid = there.mode, there.uid, there.gid
        kind = stat.S_IFREG | stat.S_IMODE(0o644 if mode is None else mode)
        folder.entries[name] = File(mode=kind, uid=uid, gid=gid, content=Data(raw))

    def link(self, path: str, target: str) -> None:
        """Make a symlink; a file or link in its place is replaced. Raises RefusalError."""
        folder, name = self._place(path)
        if isinstance(folder.entries.get(name), Directory):
            raise RefusalError(f"'/{path.lstrip('/')}' is a directory on this machine")
        folder.entries[name] = symlink(target)

    def make(self, path: str, *, mode: int = 0o755) -> Directory:
        """Return the directory at a path, made with those above it where missing.

        Raises RefusalError for one to make that is not the machine's own, and for other files.
        """
        found = self.directory(path)
        if found is not None:
            return found
        parts = self._resolved(path)
        if not self._is_own(parts):
            raise _not_own(path)
        folder = self.root
        for number, name in enumerate(parts, 1):
            child = folder.entries.get(name)
            if child is None:
                bits = mode if number == len(parts) else 0o755
                child = folder.entries[name] = Directory(mode=stat.S_IFDIR | bits)
            if not isinstance(child, Directory):
                raise RefusalError(f"'/{path.lstrip('/')}' is no directory on this machine")
            folder = child
        return folder

    def own_directory(self, path: str) -> Directory:
        """Return a directory of the machine's own, to change or to fill. Raises RefusalError."""
        parts = self._resolved(path)
        if not self._is_own(parts):
            raise _not_own(path)
        return self.make(path)

    def where(self, path: str) -> str:
        """Return where a path leads, from the root on. Raises RefusalError."""
        return "/" + b"/".join(self._resolved(path)).decode(errors="surrogateescape")

    def _is_own(self, parts: Sequence[bytes]) -> bool:
        return self._whole or (len(parts) > 0 and parts[0] in _OWN)

    def _place(self, path: str) -> tuple[Directory, bytes]:
        parent, _slash, name = path.rstrip("/").rpartition("/")
        return self.own_directory(parent), name.encode(errors="surrogateescape")

    def _resolved(self, path: str) -> list[bytes]:
        parts = resolve(self.root, path.encode(errors="surrogateescape"))
        if parts is None:
            raise RefusalError(f"'/{path.lstrip('/')}' leads nowhere on this machine")
        return parts


def _not_own(path: str) -> RefusalError:
    return RefusalError(
        f"'/{path.lstrip('/')}' is a part of the image, and stays as it is",
        "name a path below /etc or /var, or one that the image links there; or put it into the "
        "image's build",
    )
