"""Files of a commit's tree by the paths they have in the running image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..budgets import DOCUMENT_BYTES
from ..errors import SourceError
from ..tree import Directory, File, Node, read

_MAX_LINKS: Final = 40  # as the kernel has it


def find(root: Directory, path: str | bytes) -> Node | None:
    """Return what a path means in the image, symlinks followed within it; None for nothing.

    A commit keeps ``etc`` as ``usr/etc``; here it is ``etc``, as it is in a container's root.
    """
    place = _followed(path, lambda names: _node(root, names), missing=False)
    return _node(root, place) if place is not None else None


def resolve(root: Directory, path: str | bytes) -> list[bytes] | None:
    """Return the names on the way to where a path leads, whether or not anything is there.

    Links are followed within the root, the last one too. None for links in a circle, and for what
    would lie below a file. ``root`` is a machine's, whose /etc is in its place.
    """
    return _followed(path, lambda names: root.get(b"/".join(names)), missing=True)


def _followed(
    path: str | bytes, at: Callable[[list[bytes]], Node | None], *, missing: bool
) -> list[bytes] | None:
    """Return the names on a path without symlinks; None where it leads nowhere.

    ``at`` returns what has some names, ``missing`` allows for what is not there.
    """
    raw = path.encode(errors="surrogateescape") if isinstance(path, str) else path
    todo = raw.split(b"/")[::-1]
    goes_on = _has_names if missing else bool
    place: list[bytes] = []
    links = 0
    while todo:
        name = todo.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            del place[-1:]
            continue
        node = at([*place, name])
        if isinstance(node, File) and node.is_symlink:
            links += 1
            if links > _MAX_LINKS:
                return None
            if node.target.startswith(b"/"):
                place.clear()
            todo += node.target.split(b"/")[::-1]
        elif (isinstance(node, File) and goes_on(todo)) or (node is None and not missing):
            return None
        else:
            place.append(name)
    return place


def _has_names(parts: list[bytes]) -> bool:
    return any(part not in (b"", b".") for part in parts)


def find_link(root: Directory, path: str) -> str | None:
    """Return the target of the symlink at a path, whose directories are followed; or None."""
    parent, _slash, name = path.rpartition("/")
    folder = find_dir(root, parent)
    node = folder.entries.get(name.encode()) if folder is not None else None
    if isinstance(node, File) and node.is_symlink:
        return node.target.decode(errors="backslashreplace")
    return None


def find_dir(root: Directory, path: str | bytes) -> Directory | None:
    """Return the directory a path means in the image, or None."""
    node = find(root, path)
    return node if isinstance(node, Directory) else None


def find_text(root: Directory, path: str | bytes) -> str | None:
    """Return the text of a small file of the image, None where there is none.

    Raises SourceError for a file that is too large to be configuration, or is no UTF-8.
    """
    return _text(find(root, path), path)


def text_at(root: Directory, path: str) -> str | None:
    """Like :func:`find_text`, but of the very path: no symlink is followed."""
    return _text(root.get(path), path)


def _text(node: Node | None, path: str | bytes) -> str | None:
    if not isinstance(node, File) or node.content is None:
        return None
    shown = path if isinstance(path, str) else path.decode(errors="backslashreplace")
    if node.content.size > DOCUMENT_BYTES.limit:
        raise SourceError(
            f"'/{shown}' of the image has {DOCUMENT_BYTES.exceeded}, which is too large for a "
            "configuration file"
        )
    try:
        return read(node.content).decode()
    except UnicodeDecodeError:
        raise SourceError(f"'/{shown}' of the image is no UTF-8 text") from None


def _node(root: Directory, place: list[bytes]) -> Node | None:
    if place[:1] == [b"etc"] and root.get(b"usr/etc") is not None:
        place = [b"usr", *place]
    return root.get(b"/".join(place))
