"""Which addresses are of this machine: what is said there, nobody on the way reads."""

from __future__ import annotations

import re
from typing import Final

_HERE: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.IGNORECASE | re.ASCII)


def is_here(host: str) -> bool:
    """Say whether a host is this machine, by its name or its number."""
    return _HERE.fullmatch(host) is not None
