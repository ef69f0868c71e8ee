"""Files of drop-in directories: which count, and which are hidden, masked or no files at all.

Rules: bootc's, which are systemd's (systemd.unit(5), "drop-in"): a name in a directory of higher
priority hides the same one in others, and a link to /dev/null there masks it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..tree import Directory, File, Node
from .lookup import find, find_dir

_MASK: Final = b"/dev/null"


@dataclass(frozen=True, slots=True)
class DropIns:
    """The paths of what counts, by the names of the files, and what is skipped, in words."""

    paths: tuple[bytes, ...]
    warnings: tuple[str, ...]


def drop_ins(root: Directory, places: Iterable[str], suffix: bytes = b"") -> DropIns:
    """Return the files of an image's directories, which rise in priority.

    Names that do not end in ``suffix``, or begin with a dot, are nobody's.
    """
    chosen: dict[bytes, bytes] = {}
    warnings: list[str] = []
    for place in places:
        folder = find_dir(root, place)
        for name, node in sorted(folder.entries.items()) if folder is not None else ():
            if not name.endswith(suffix) or name.startswith(b"."):
                continue
            path = place.encode() + b"/" + name
            if _is_mask(path, node):
                chosen.pop(name, None)
                continue
            found = find(root, path)
            if isinstance(found, File) and found.content is not None:
                chosen[name] = path
            else:
                shown = path.decode(errors="backslashreplace")
                warnings.append(f"'/{shown}' of the image is no file: it is skipped")
    return DropIns(tuple(chosen[name] for name in sorted(chosen)), tuple(warnings))


def _is_mask(path: bytes, node: Node) -> bool:
    if not isinstance(node, File) or not node.is_symlink:
        return False
    goal = posixpath.join(b"/", posixpath.dirname(path), node.target)
    return posixpath.normpath(goal) == _MASK
