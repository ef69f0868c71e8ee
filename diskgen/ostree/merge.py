"""Layers on top of each other, as ``ostree checkout --union --whiteouts`` stacks them.

Whiteouts: OCI image specification 1.1, "Image Layer Filesystem Changeset". As in the tools that
update the machine later, a directory keeps the owner and mode of the lowest layer that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..errors import SourceError
from ..tree import Directory, File

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_NOTHING: Final = frozenset({b"", b".", b".."})
_EMPTIED: Final = (b"hostname", b"resolv.conf")  # build tools leave them behind, empty
_EXAMPLES: Final = 3


def merge(layers: Sequence[Directory]) -> tuple[Directory, list[str]]:
    """Return the merged tree, sharing the layers' files, and warnings. Layers stay untouched.

    Raises SourceError for a whiteout that names nothing.
    """
    ignored: list[bytes] = []
    merged = _bare(layers[0]) if layers else Directory()
    for layer in layers:
        _overlay(merged, layer, b"", ignored)
    etc = merged.get_dir(b"usr/etc")
    for name in _EMPTIED if etc is not None else ():
        assert etc is not None
        node = etc.entries.get(name)
        if isinstance(node, File) and node.is_regular and node.size == 0:
            del etc.entries[name]
    return merged, [_warning(ignored)] if ignored else []


def _overlay(target: Directory, layer: Directory, path: bytes, ignored: list[bytes]) -> None:
    entries = layer.entries
    if isinstance(entries.get(_OPAQUE), File):
        target.entries.clear()
    folders: list[tuple[bytes, Directory]] = []
    # In the order libostree takes them: names sorted, directories after everything else.
    for name in sorted(entries):
        node = entries[name]
        if isinstance(node, Directory):
            folders.append((name, node))
        elif name.startswith(_WHITEOUT) and not node.is_symlink:
            hidden = name[len(_WHITEOUT) :]
            if hidden in _NOTHING:
                shown = b"/".join(part for part in (path, name) if part).decode()
                raise SourceError(
                    f"the image is malformed: '{shown}' is a whiteout of nothing",
                    hint="rebuild the image",
                )
            target.entries.pop(hidden, None)
        else:
            target.entries[name] = node
    for name, folder in folders:
        below = path + b"/" + name if path else name
        existing = target.entries.get(name)
        if not isinstance(existing, Directory) or isinstance(folder.entries.get(_OPAQUE), File):
            # An opaque directory is a new one, with the later layer's owner and mode.
            existing = target.entries[name] = _bare(folder)
        elif _metadata(existing) != _metadata(folder):
            ignored.append(below)
        _overlay(existing, folder, below, ignored)


def _bare(directory: Directory) -> Directory:
    """Return an empty directory with the same owner, mode and attributes."""
    return replace(directory, entries={})


def _metadata(directory: Directory) -> tuple[object, ...]:
    return directory.mode, directory.uid, directory.gid, directory.xattrs


def _warning(ignored: list[bytes]) -> str:
    names = ", ".join(f"'/{path.decode()}'" for path in ignored[:_EXAMPLES])
    more = len(ignored) - _EXAMPLES
    return (
        f"later layers change owner, mode or attributes of {len(ignored)} "
        f"director{'y' if len(ignored) == 1 else 'ies'} ({names}"
        + (f" and {more} more" if more > 0 else "")
        + "): ostree keeps those of the first layer, now and at every update"
    )
