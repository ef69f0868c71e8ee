"""A guest whose kernel gets no timer interrupts any more: what it says of that, and what it means.

Emulation on a busy host loses them, seldom; such a guest never gets on. Neither its disk nor its
firmware is to blame, and the next start of the same machine is a new throw.
"""

from __future__ import annotations

import re
from typing import Final

_SIGN: Final = re.compile(r"rcu\w*: rcu_\w+ kthread timer wakeup didn't happen for \d+ jiffies")

MEANING: Final = "the emulated machine's timers stand still"


def seen(serial: str) -> bool:
    """Say whether a Linux guest reported on its serial line that its timers stand still."""
    return _SIGN.search(serial) is not None
