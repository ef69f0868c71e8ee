"""Options about an installer's medium."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ...config import MODES, PAYLOADS
from ..command import MEDIA
from ..option import Option, Takes
from . import disk

_GROUP: Final = "medium"

OPTIONS: Final = (
    Option(
        name="installer",
        commands=MEDIA,
        group=_GROUP,
        metavar="SRC",
        otherwise="diskgen's own installer, in REF itself",
        help="a vendor's boot ISO or DVD (a file), or a container image that holds Anaconda or can "
        "run diskgen's own installer",
        manual="",
    ),
    Option(
        name="payload",
        commands=MEDIA,
        group=_GROUP,
        choices=PAYLOADS,
        default=PAYLOADS[0],
        help="where the installer gets the image: from the medium, from the registry, or from the "
        "registry and if that fails from the medium",
        manual="",
    ),
    Option(
        name="remote-payload",
        commands=MEDIA,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="the same as --payload remote",
        manual="",
    ),
    Option(
        name="mode",
        commands=MEDIA,
        group=_GROUP,
        choices=(*MODES, "both"),
        default="both",
        otherwise="both, packages where their source is known",
        help="what the menu offers",
        manual="",
    ),
    Option(
        name="packages",
        commands=MEDIA,
        group=_GROUP,
        metavar="SRC",
        help="where packages come from: a directory with an RPM tree, an apt repository or .deb "
        "files, which goes onto the medium; or a URL, mirrorlist=URL or metalink=URL",
        manual="",
    ),
    Option(
        name="package",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        repeatable=True,
        help="a package, @group or @^environment of the traditional installation",
        manual="",
    ),
    Option(
        name="label",
        commands=MEDIA,
        group=_GROUP,
        metavar="LABEL",
        key="customizations.iso.volume_id",
        otherwise="as the distribution has it",
        help="of the medium",
        manual="",
    ),
    Option(
        name="product",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        otherwise="its PRETTY_NAME",
        help="what menus call the system",
        manual="",
    ),
    Option(
        name="embed-authfile",
        commands=MEDIA,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="put the credentials of --authfile for the image's repository onto the medium, where "
        "whoever has it can read them",
        manual="",
    ),
    Option(
        name="max-size",
        commands=MEDIA,
        group=_GROUP,
        metavar="SIZE",
        help="refuse to make a larger medium, such as 4.7G",
        manual="",
    ),
    replace(disk.SEED, commands=MEDIA, group=_GROUP),
    Option(
        name="karg",
        commands=MEDIA,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        help="add a kernel argument of the installer",
        manual="",
    ),
)
