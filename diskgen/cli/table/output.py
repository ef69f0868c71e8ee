"""Options about what is written and said."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...config import COMPRESSIONS
from ...ui import PROGRESS_MODES
from ..command import BUILDS, PLANS, READERS
from ..option import Option, Takes

_GROUP: Final = "output"

OPTIONS: Final = (
    Option(
        name="output",
        short="o",
        commands=BUILDS,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        otherwise="NAME.{suffix} in this directory",
        help="the file to write",
        manual="",
    ),
    Option(
        name="force",
        commands=BUILDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="replace FILE if it exists",
        manual="",
    ),
    Option(
        name="compression",
        commands=frozenset({"qcow2"}),
        group=_GROUP,
        choices=COMPRESSIONS,
        default=COMPRESSIONS[0],
        help="zstd needs QEMU 5.1 to read, zlib any; none is quickest",
        manual="",
    ),
    Option(
        name="json",
        commands=PLANS | {"inspect", "doctor", "cache ls"},
        takes=Takes.NOTHING,
        help="print JSON",
        manual="",
    ),
    Option(
        name="progress",
        commands=READERS,
        choices=PROGRESS_MODES,
        default=PROGRESS_MODES[0],
        help="how to show progress on standard error",
        manual="",
    ),
)
