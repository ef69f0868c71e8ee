"""An installer's packed runtime in the cache: what did not change is not compressed again.

Its name says all that its bytes come from: the tree, the time, and how it is packed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ...disk import squashfs
from ...image.store import Store
from ...run import run
from ...tree import Content, Data, Directory, File, Packed, pieces

_VERSION: Final = 1  # counts changes of how a tree becomes an image


def make(
    store: Store, root: Directory, *, timestamp: int, advance: Callable[[int], None]
) -> tuple[Path, bool]:
    """Return a tree's squashfs image in the cache, and whether it was there.

    Raises what ``squashfs.make`` raises.
    """
    name = _name(store, root, timestamp)
    known = store.runtime(name)
    if known is not None:
        return known, True
    with store.scratch() as scratch:
        image = scratch / "image"
        squashfs.make(image, root, timestamp=timestamp, advance=advance)
        return store.keep_runtime(name, image), False


def _name(store: Store, root: Directory, timestamp: int) -> str:
    """Return the digest of all that makes an image of a tree what it is."""
    packer = run(["mksquashfs", "-version"], ok=range(256)).text.partition("\n")[0]
    digest = hashlib.sha256(repr((_VERSION, packer, squashfs.how(), timestamp)).encode())
    for words in _described(store, root):
        digest.update(repr(words).encode() + b"\n")
    return digest.hexdigest()


def _described(store: Store, root: Directory) -> Iterator[tuple[object, ...]]:
    """Yield all that there is to know of every entry of a tree."""
    numbers: dict[int, int] = {}  # of inodes: a second name of one is another tree than a copy
    for path, node in ((b"", root), *root.walk()):
        known = numbers.setdefault(id(node), len(numbers))
        common = (path, known, node.mode, node.uid, node.gid, node.mtime_ns, node.xattrs)
        if isinstance(node, File):
            yield (*common, node.target, node.rdev, _content(store, node.content))
        else:
            yield common


def _content(store: Store, content: Content | None) -> object:
    """Return what tells a content: a layer's pack is named by the layer's digest."""
    if isinstance(content, Packed) and content.pack.parent == store.layers:
        return (content.pack.name, content.size, content.extents)
    if isinstance(content, Data):
        return hashlib.sha256(content.data).digest()
    digest = hashlib.sha256()
    for piece in pieces(content) if content is not None else ():
        digest.update(piece)
    return digest.digest() if content is not None else None
