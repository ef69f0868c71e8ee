"""Options about the image, and what machines made of it update from."""

from __future__ import annotations

from typing import Final

from ...arch import MACHINES
from ...config import BOUND_IMAGES
from ...reference import TRANSPORTS
from .. import values
from ..command import READERS
from ..option import Option

_GROUP: Final = "image"
_ARCHITECTURES: Final = ", ".join(MACHINES)

OPTIONS: Final = (
    Option(
        name="reference",
        commands=READERS,
        group=_GROUP,
        positional=True,
        metavar="REF",
        help="the container image: a registry reference such as quay.io/project/os:1, or "
        + ", ".join(f"{t}:" for t in TRANSPORTS if t != "docker"),
        manual="",
    ),
    Option(
        name="arch",
        commands=READERS,
        group=_GROUP,
        metavar="ARCH",
        default=values.host_arch,
        otherwise="this machine's",
        help=f"architecture of the machine: {_ARCHITECTURES}; with a variant of an index's image "
        "as x86_64/v3",
        manual="",
    ),
    Option(
        name="arch",
        commands=frozenset({"doctor"}),
        metavar="ARCH",
        default=values.host_arch,
        otherwise="this machine's",
        help="architecture to make and boot disks of",
        manual="",
    ),
    Option(
        name="target-imgref",
        commands=READERS,
        group=_GROUP,
        metavar="REF",
        help="the reference the machine updates from, when it is not REF",
        manual="",
    ),
    Option(
        name="target-signature",
        commands=READERS,
        group=_GROUP,
        metavar="RULE",
        help="what its updates must be signed with: ostree-unverified-registry (nothing), "
        "ostree-image-signed (what the image's containers policy wants), or "
        "ostree-remote-registry:REMOTE (the key of an ostree remote)",
        manual="",
    ),
    Option(
        name="bound-images",
        commands=READERS,
        group=_GROUP,
        choices=BOUND_IMAGES,
        otherwise="refuse such an image",
        help="leave out the images that the image is bound to: the machine fetches them at its "
        "next update",
        manual="",
    ),
)
