"""Options about what is written and said."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...config import COMPRESSIONS, SUBFORMATS
from ..command import BUILDS, FARM_WAITS, PLANS, PUBLISHED, PUBLISHING, READERS, SEVERAL
from ..option import Option, Takes

_GROUP: Final = "output"
PROGRESS_MODES: Final = ("auto", "terminal", "plain", "json", "none")  # of ui.renderer

OPTIONS: Final = (
    Option(
        name="format",
        commands=SEVERAL,
        group=_GROUP,
        metavar="FORMAT",
        repeatable=True,
        help="what to make, or several of them with commas between",
        manual="What to make of the disk: the name of a command for disks, or several of them with "
        "commas between. The disk has a size that every place takes.",
    ),
    Option(
        name="output",
        short="o",
        commands=SEVERAL & BUILDS,
        group=_GROUP,
        kind=Path,
        metavar="DIR",
        otherwise="this directory",
        help="the directory to write to, each file by the image's name and its format's suffix",
        manual="For `build`: the directory to write to. Each file has the image's name with its "
        "format's suffix.",
    ),
    Option(
        name="output",
        short="o",
        commands=BUILDS - SEVERAL,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        otherwise="NAME.{suffix} in this directory",
        help="the file to write",
        manual="The file to write. Default: the image's name with the format's suffix, in this "
        "directory.",
    ),
    Option(
        name="force",
        commands=BUILDS | {"farm download"},
        group=_GROUP,
        takes=Takes.NOTHING,
        help="replace FILE if it exists",
        manual="Replace FILE if it exists.",
    ),
    Option(
        name="compression",
        commands=frozenset({"qcow2", "oci", "containerdisk", "vagrant", "build"}),
        group=_GROUP,
        choices=COMPRESSIONS,
        otherwise="zstd, of oci zlib",
        help="zstd needs QEMU 5.1 to read, zlib any; none is quickest",
        manual="Of a qcow2: `zstd` (QEMU 5.1 or newer reads it), `zlib` or `none`.",
    ),
    Option(
        name="subformat",
        commands=frozenset({"vmdk", "build"}),
        group=_GROUP,
        choices=SUBFORMATS,
        default=SUBFORMATS[0],
        help="of a vmdk: stream to import it, sparse for a machine that writes to it as it is",
        manual="Of a vmdk: `stream` (streamOptimized: compressed, to be imported by vSphere or "
        "VirtualBox), or `sparse` (monolithicSparse: a machine of VMware Workstation or Fusion "
        "writes to it as it is).",
    ),
    Option(
        name="json",
        commands=PLANS
        | PUBLISHING
        | PUBLISHED
        | FARM_WAITS
        | {"build", "inspect", "doctor", "cache ls", "farm ls", "farm doctor"},
        takes=Takes.NOTHING,
        help="print JSON",
        manual="Print JSON.",
    ),
    Option(
        name="progress",
        commands=READERS | PUBLISHING | FARM_WAITS | {"farm download"},
        choices=PROGRESS_MODES,
        default=PROGRESS_MODES[0],
        help="how to show progress on standard error",
        manual="How progress is shown on standard error. `auto` is a live display on a terminal, "
        "else plain lines. `json` writes one object a line; the first line carries the version.",
    ),
)
