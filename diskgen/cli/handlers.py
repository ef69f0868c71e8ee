"""Which function carries out a command: arguments in, an exit status out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ..place import PLACES
from .booting import boot
from .farming import farm
from .housekeeping import cache, completion, examine, other_line
from .inspecting import inspect
from .making import make, make_iso, make_several
from .planning import show_plan
from .publishing import publish

HANDLERS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = MappingProxyType(
    {
        **dict.fromkeys(PLACES, make),
        "build": make_several,
        "iso": make_iso,
        "plan": show_plan,
        "publish": publish,
        "inspect": inspect,
        "doctor": examine,
        "boot": boot,
        "cache": cache,
        "farm": farm,
        "bib": other_line,
        "completion": completion,
    }
)
