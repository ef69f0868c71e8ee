"""Newlines where bootc's reader of layers takes them for the end of a pax record.

Such a record has its length before it (IEEE Std 1003.1, "pax Extended Header"), but the reader of
many versions of bootc splits at newlines, and refuses the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..image.index import LayerIndex
from ..image.tarstream import show
from ..tree import Xattrs

_NEWLINE = b"\n"


def doubts(indexes: Sequence[LayerIndex]) -> Iterator[str]:
    """Yield a warning for each layer that a machine might not be able to fetch again."""
    for index in indexes:
        harmless: set[Xattrs] = {()}
        harmful: set[Xattrs] = set()
        first, count = b"", 0
        for entry in index.entries:
            xattrs = entry.xattrs
            if xattrs not in harmless and xattrs not in harmful:
                broken = any(_NEWLINE in name or _NEWLINE in value for name, value in xattrs)
                (harmful if broken else harmless).add(xattrs)
            if _NEWLINE in entry.path or _NEWLINE in entry.target or xattrs in harmful:
                first = first or entry.path
                count += 1
        if count:
            shown = show(first).replace("\n", "\\n")
            yield (
                f"layer '{index.diff_id}' has a newline in the name, the link target or an "
                f"attribute of {count} entr{'y' if count == 1 else 'ies'} ('/{shown}'"
                f"{' for one' if count > 1 else ''}): many versions of bootc cannot read it, "
                "so that a machine may never fetch it again"
            )
