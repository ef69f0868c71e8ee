"""What a FAT filesystem can hold by name, and tell apart.

Format: "Microsoft Extensible Firmware Initiative FAT32 File System Specification" 1.03, "Long
Directory Entries" and "Name Limits and Character Sets".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from ..budgets import ESP_FILES, ESP_FOLDERS
from ..errors import SourceError

# A dot or a space at the end of a name does not count, so none may be there.
_BAD: Final = r"\x00-\x1f\x7f\"*/:<>?\\\\|\ud800-\udfff"
_NAME: Final = re.compile(rf"[^{_BAD}]*[^{_BAD} .]")
_LONGEST: Final = 2 * 255  # bytes of a name, in UTF-16


def folders(files: Iterable[str]) -> set[str]:
    """Return the directories that files are in."""
    return {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}


def check(files: Iterable[str]) -> None:
    """Raise SourceError for paths that a FAT filesystem cannot hold, or cannot tell apart.

    Names are compared without regard to case, and dots and spaces at their end do not count
    (specification, "Name Matching" and "Limits" of long names).
    """
    paths = sorted(files)
    parents = folders(paths)
    for found, budget in ((paths, ESP_FILES), (parents, ESP_FOLDERS)):
        if len(found) > budget.limit:
            raise SourceError(f"the image's files for the ESP are {budget.exceeded}")
    known: dict[str, str] = {}
    for path in sorted({*paths, *parents}):
        name = path.rpartition("/")[2]
        if not _NAME.fullmatch(name) or len(name.encode("utf-16-le", "replace")) > _LONGEST:
            raise _unfit(f"'{path}' of the image has a name that a FAT filesystem cannot hold")
        other = known.setdefault("/".join(map(_folded, path.split("/"))), path)
        if other != path:
            raise _unfit(f"'{other}' and '{path}' of the image are one name on a FAT filesystem")
    both = parents & set(paths)
    if both:
        raise _unfit(f"'{min(both)}' of the image is a file and a directory")


def _folded(name: str) -> str:
    return name.upper().rstrip(". ")


def _unfit(reason: str) -> SourceError:
    return SourceError(
        f"the EFI system partition cannot be made: {reason}",
        hint="rename or remove it in the image",
    )
