"""xfs_repair judges a filesystem that we wrote; it changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ...errors import VerifyError
from ...run import run
from ...workspace import neutral

# What it says of a filesystem without fault: phases and what it did in them.
_NEUTRAL: Final = re.compile(
    r"""Phase\ \d+\ -\ .* | \s+-\ .*
    | No\ modify\ flag\ set,\ skipping\ (phase\ 5|filesystem\ flush\ and\ exiting\.)
    # Of the filesystem that the file is on, which is seldom xfs.
    | Cannot\ get\ host\ filesystem\ geometry\.
    | Repair\ may\ fail\ if\ there\ is\ a\ sector\ size\ mismatch\ between
    | the\ image\ and\ the\ host\ filesystem\.""",
    re.VERBOSE,
)
_TAIL: Final = 2000


def check(image: Path) -> None:
    """Let xfs_repair judge the xfs that begins the file ``image``.

    Raises VerifyError, with the end of what it said, for any complaint whatever, and HostError
    where there is no xfs_repair.
    """
    with neutral(image) as name:
        outcome = run(["xfs_repair", "-n", "-f", name], ok=range(256))
    said = [*outcome.text.splitlines(), *outcome.stderr.splitlines()]
    complaints = [line for line in said if line.strip() and not _NEUTRAL.fullmatch(line)]
    if outcome.status or complaints:
        tail = "\n".join(complaints or said)[-_TAIL:]
        raise VerifyError("xfs_repair finds fault with the xfs filesystem", said=tail)
