"""Devices and fifos in layers: what a later layer removes does no harm, what stays is refused.

libostree commits none. Whiteouts of overlay filesystems, which are devices, do not occur in images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..image.index import Kind, LayerIndex
from ..image.special import refusal
from ..tree import Directory, File


def settle(
    indexes: Sequence[LayerIndex], trees: Sequence[Directory], merged: Directory
) -> Iterator[str]:
    """Remove devices and fifos from the trees of layers; yield warnings.

    Raises SourceError for one that is in the merged tree, or hides something.
    """
    for index, tree in zip(indexes, trees, strict=True):
        removed = 0
        for entry in index.entries:
            if entry.kind is not Kind.SPECIAL:
                continue
            path = b"usr/" + entry.path if entry.path.startswith(b"etc/") else entry.path
            name = path.rpartition(b"/")[2]
            if _is_special(merged.get(path)) or name.startswith(b".wh."):
                raise refusal(index.diff_id, entry)
            parent = tree.get_dir(path.rpartition(b"/")[0])
            if parent is not None and _is_special(parent.entries.get(name)):
                del parent.entries[name]
                removed += 1
        if removed:
            yield (
                f"layer '{index.diff_id}' has {removed} device{'' if removed == 1 else 's'} or "
                f"fifo{'' if removed == 1 else 's'}, which a later layer removes: this disk is "
                "sound, but no machine can fetch the layer anew; rebuild the image without"
            )


def _is_special(node: object) -> bool:
    return isinstance(node, File) and not node.is_regular and not node.is_symlink
