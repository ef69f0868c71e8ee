"""What an xfs filesystem may have, so that the kernel that is to mount it can.

mkfs.xfs turns on what its own release knows: from 6.5 on more than kernel 5.14 mounts. The figures
are those of Linux's and xfsprogs's release notes; mkfs.xfs(8) describes the features.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: the option of mkfs.xfs and its section's flag.

    ``since`` is the first kernel, as (major, minor), that mounts it and that it is made for.
    """

    flag: str
    name: str
    since: tuple[int, int] | None  # None: never


_RELEASE: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")
FEATURES: Final = (
    Feature("-m", "crc", (3, 10)),
    Feature("-m", "finobt", (3, 16)),
    Feature("-i", "sparse", (4, 10)),
    Feature("-m", "reflink", (4, 16)),
    Feature("-m", "bigtime", (5, 10)),
    Feature("-m", "inobtcount", (5, 10)),
    Feature("-i", "nrext64", (6, 5)),
    Feature("-m", "rmapbt", None),  # for repairs of a mounted filesystem alone
    # GRUB up to 2.12 reads none of these.
    Feature("-i", "exchange", None),
    Feature("-n", "parent", None),
    Feature("-m", "metadir", None),
)


def options(release: str) -> list[tuple[str, str, bool]]:
    """Return (flag, name, whether on) for the kernel release of an image.

    A release that does not begin with a version gets what every kernel mounts.
    """
    match = _RELEASE.match(release)
    kernel = (int(match[1]), int(match[2])) if match else (0, 0)
    return [
        (row.flag, row.name, row.name == "crc" or (row.since is not None and kernel >= row.since))
        for row in FEATURES
    ]
