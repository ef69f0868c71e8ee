"""Layers on top of each other, as ``ostree checkout --union --whiteouts`` stacks them.

Whiteouts: OCI image specification 1.1, "Image Layer Filesystem Changeset". As in the tools that
update the machine later, a directory keeps the owner and mode of the lowest layer that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import SourceError
from ..tree import Directory, File
from .layertree import with_metadata

_OPAQUE: Final = b".wh..wh..opq"
_WHITEOUT: Final = b".wh."
_EMPTIED: Final = (b"hostname", b"resolv.conf")  # build tools leave them behind, empty


def merge(layers: Sequence[Directory]) -> tuple[Directory, tuple[str, ...]]:
    """Return the merged tree, sharing the layers' files, and warnings. Layers stay untouched.

    Raises SourceError for a whiteout that names nothing.
    """
    ignored: list[bytes] = []
    merged = with_metadata(layers[0]) if layers else Directory()
    for layer in layers:
        _overlay(merged, layer, b"", ignored)
    etc = merged.get_dir(b"usr/etc")
    if etc is not None:
        for name in _EMPTIED:
            node = etc.entries.get(name)
            if isinstance(node, File) and node.is_regular and node.size == 0:
                del etc.entries[name]
    warnings: tuple[str, ...] = ()
    if ignored:
        names = ", ".join(f"'/{path.decode(errors='replace')}'" for path in ignored[:3])
        more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
        warnings = (
            f"later layers change owner, mode or attributes of directories ({names}{more}): "
            "ostree keeps those of the first layer, now and at every update",
        )
    return merged, warnings


def _overlay(target: Directory, layer: Directory, path: bytes, ignored: list[bytes]) -> None:
    entries = layer.entries
    if _OPAQUE in entries:
        target.entries.clear()
    folders = []
    # In the order libostree takes them: names sorted, directories after everything else.
    for name in sorted(entries):
        node = entries[name]
        if isinstance(node, Directory):
            folders.append((name, node))
        elif name.startswith(_WHITEOUT):
            hidden = name[len(_WHITEOUT) :]
            if not hidden:
                raise SourceError(f"'/{path.decode()}/.wh.' is a whiteout of nothing")
            if name != _OPAQUE:
                target.entries.pop(hidden, None)
        else:
            target.entries[name] = node
    for name, folder in folders:
        below = path + b"/" + name if path else name
        existing = target.entries.get(name)
        if not isinstance(existing, Directory):
            existing = target.entries[name] = with_metadata(folder)
        elif _metadata(existing) != _metadata(folder):
            ignored.append(below)
        _overlay(existing, folder, below, ignored)


def _metadata(directory: Directory) -> tuple[object, ...]:
    return directory.mode, directory.uid, directory.gid, directory.xattrs
