"""What tells one medium from every other: an identifier that is derived from what it holds.

The kernel's command line has it, and so has the name of a file on the medium. Labels alone do not
tell two media of one version of a system apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from ...tree import Directory, File, pieces
from ...units import MIB
from .names import MAX_LABEL

ARGUMENT: Final = "diskgen.id"
_DIGITS: Final = 16
_IN_LABEL: Final = 6  # digits of it at the end of a label
_NAMED: Final = "container/blobs/"  # files whose names are their digests
_SUMMED: Final = 16 * MIB  # larger files (packages, whose names have versions) are not read for it


def derive(ours: Directory, words: Mapping[str, object]) -> str:
    """Return the identifier of a medium: hex digits.

    ``ours`` is our place on it; ``words`` say what else it is made of: its installer, its menu.
    """
    digest = hashlib.sha256(repr(sorted(words.items())).encode())
    for line in _described(ours):
        digest.update(repr(line).encode())
    return digest.hexdigest()[:_DIGITS]


def mark(identifier: str) -> str:
    """Return the name of the file, in our place on the medium, that says which one it is."""
    return f"id-{identifier}"


def labelled(label: str, identifier: str, room: int = MAX_LABEL) -> str:
    """Return a label that no other build has; it keeps its beginning, as far as there is room.

    ``room`` is how many characters it may have.

    Joliet's label is the first half of it. That is cut off, not another: what looks for a label
    takes the whole one where both begin alike (libblkid).
    """
    end = f"-{identifier[:_IN_LABEL]}"
    return label[: room - len(end)].rstrip("-_.+") + end


def _described(ours: Directory) -> Iterator[tuple[object, ...]]:
    for path, node in ours.walk():
        if not isinstance(node, File):
            continue
        summed = hashlib.sha256(node.target)
        if node.content is not None and node.size <= _SUMMED and _NAMED.encode() not in path:
            for piece in pieces(node.content):
                summed.update(piece)
        yield path, node.mode, node.size, summed.digest()
