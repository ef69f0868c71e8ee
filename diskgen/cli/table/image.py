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
        manual="The container image, or for `inspect` a disk or a medium, too: see *Image "
        "references*.",
    ),
    Option(
        name="arch",
        commands=READERS,
        group=_GROUP,
        every="arches",
        metavar="ARCH",
        default=values.host_arch,
        otherwise="this machine's",
        help=f"architecture of the machine: {_ARCHITECTURES}; with a variant of an index's image "
        "as x86_64/v3",
        manual="Architecture of the machine: x86_64, aarch64 or s390x. An image index is "
        "searched for it as the machine's own registry client does: for x86_64 only an image "
        "without a variant is taken. Who wants another one names it: `x86_64/v3`; a warning says "
        "what the machine's updates would take instead. Which image of an index was taken is in "
        "the plan and in the line about fetching. A farm makes a disk for each that is named.",
    ),
    Option(
        name="arch",
        commands=frozenset({"doctor"}),
        metavar="ARCH",
        default=values.host_arch,
        otherwise="this machine's",
        help="architecture to make and boot disks of",
        manual="Architecture to make and boot disks of.",
    ),
    Option(
        name="target-imgref",
        commands=READERS,
        group=_GROUP,
        metavar="REF",
        help="the reference the machine updates from, when it is not REF",
        manual="What the machine updates from, when it is not the reference the disk is made of. "
        "A disk made of an image that is on this host alone never updates without it: a warning "
        "says so, and `iso` refuses.",
    ),
    Option(
        name="target-signature",
        commands=READERS,
        group=_GROUP,
        metavar="RULE",
        help="what its updates must be signed with: ostree-unverified-registry (nothing), "
        "ostree-image-signed (what the image's containers policy wants), or "
        "ostree-remote-registry:REMOTE (the key of an ostree remote)",
        manual="What those updates must be signed with: `ostree-unverified-registry` (nothing), "
        "`ostree-image-signed` (what `containers-policy.json`(5) in the image wants), or "
        "`ostree-remote-registry:`*REMOTE* (the key of that ostree remote). Default: the second "
        "where the image's install configuration has `enforce-container-sigpolicy`, else the "
        "first, for disks and media alike. A medium whose installer fetches the image takes a "
        "policy for the second (`--signature-policy`, or that of the installer or of the image): "
        "what it installs has to be signed as well.",
    ),
    Option(
        name="bound-images",
        commands=READERS,
        group=_GROUP,
        choices=BOUND_IMAGES,
        otherwise="refuse such an image",
        help="leave out the images that the image is bound to: the machine fetches them at its "
        "next update",
        manual="Leave out the images to which the image is logically bound "
        "(*/usr/lib/bootc/bound-images.d*): the machine fetches them at its next update, and what "
        "needs them before fails.",
    ),
)
