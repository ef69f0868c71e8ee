"""What an xfs may have, so that the kernel that is to mount it can, and GRUB reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RELEASE: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")
_SHARED_BLOCKS: Final = (4, 16)  # the first kernel that mounts "reflink", which we always write
_YEAR_2486: Final = (5, 10)  # and the first with these


@dataclass(frozen=True, slots=True)
class Features:
    """What only kernels since 5.10 mount: times after 2038, and counts of inode btree blocks."""

    bigtime: bool = True
    inode_counts: bool = True


def of_kernel(release: str) -> Features | None:
    """Return the features for the kernel release of an image, or None if it mounts none of ours.

    A release that does not begin with a version gets the least that we write.
    """
    match = _RELEASE.match(release)
    if match is None:
        return Features(bigtime=False, inode_counts=False)
    kernel = int(match[1]), int(match[2])
    if kernel < _SHARED_BLOCKS:
        return None
    recent = kernel >= _YEAR_2486
    return Features(bigtime=recent, inode_counts=recent)
