"""How a device or a fifo that an image would keep is refused."""

from __future__ import annotations

import stat
from typing import Final

from ..errors import SourceError
from .index import Entry
from .tarstream import show

_NAMES: Final = {
    stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device", stat.S_IFIFO: "a fifo",
}  # fmt: skip


def refusal(diff_id: str, entry: Entry) -> SourceError:
    """Return the error for an entry of a layer."""
    what = _NAMES.get(stat.S_IFMT(entry.mode), "a special file")
    return SourceError(
        f"layer '{diff_id}' is refused: '{show(entry.path)}' is {what}, which no image may carry",
        hint="remove it in the image's build",
    )
