"""``btrfs check`` judges a filesystem that we wrote; it changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ...errors import VerifyError
from ...run import run
from ...workspace import neutral

# It ends well, too, where one of two copies of a node is damaged; but it says so.
_COMPLAINT: Final = re.compile(
    r"error|fail|mismatch|corrupt|\bbad\b|invalid|wrong|unexpected|warning|not match|missing",
    re.IGNORECASE,
)
_NEUTRAL: Final = re.compile(r"found \d+ bytes used, no error found|\[\d+/\d+\] .*")
_TAIL: Final = 2000


def check(image: Path) -> None:
    """Let ``btrfs check`` judge the metadata of the btrfs that begins the file ``image``.

    Raises VerifyError, with the end of what it said, for any complaint whatever, and HostError
    where there is no such program.
    """
    with neutral(image) as name:
        outcome = run(["btrfs", "check", "--readonly", name], ok=range(256))
    said = [*outcome.text.splitlines(), *outcome.stderr.splitlines()]
    complaints = [s for s in said if _COMPLAINT.search(s) and not _NEUTRAL.fullmatch(s)]
    if outcome.status or complaints:
        tail = "\n".join(complaints or said)[-_TAIL:]
        raise VerifyError("btrfs check finds fault with the btrfs filesystem", said=tail)
