"""Options of what becomes an image of Compute Engine: a disk that exists, or one that is built."""

from __future__ import annotations

from typing import Final

from ...publish.gcp.models import FEATURES
from .. import values
from ..option import Option, Takes

COMMANDS: Final = frozenset({"publish gcp", "gce"})
NAME: Final = "gcp-image"
_GROUP: Final = "publishing to Google Cloud"

OPTIONS: Final = (
    Option(
        name=NAME,
        commands=COMMANDS - {"gce"},
        group=_GROUP,
        metavar="NAME",
        otherwise="the file's, without its suffix",
        help="of the image",
        manual="Name of the image. Default: the file's, without its suffix.",
    ),
    Option(
        name=NAME,
        commands=COMMANDS & {"gce"},
        group=_GROUP,
        metavar="NAME",
        help="make an image of this name of the disk",
        manual="For `gce`: make an image of this name of the disk as soon as it is built. Google "
        "is asked beforehand whether it can be.",
    ),
    Option(
        name="bucket",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        help="upload to this bucket, from which the image is made",
        manual="Upload the archive to this bucket, from which the image is made. The object is "
        "removed afterwards.",
    ),
    Option(
        name="keep-object",
        commands=COMMANDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="leave the archive in the bucket",
        manual="Leave the archive in the bucket when the image is there.",
    ),
    Option(
        name="project",
        commands=COMMANDS,
        group=_GROUP,
        metavar="ID",
        otherwise="as configured for Google Cloud",
        help="that gets the image",
        manual="Project that gets the image. Default: `GOOGLE_CLOUD_PROJECT`, or that of the "
        "credentials. Credentials are Google's application default ones: a file that "
        "`GOOGLE_APPLICATION_CREDENTIALS` names, `gcloud auth application-default login`, "
        "federation, the machine's metadata.",
    ),
    Option(
        name="family",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        help="whose newest image it is then",
        manual="Family of images, whose newest one it is then.",
    ),
    Option(
        name="label",
        commands=COMMANDS,
        group=_GROUP,
        kind=values.pair,
        metavar="KEY=VALUE",
        repeatable=True,
        help="of the image",
        manual="A label of the image.",
    ),
    Option(
        name="description",
        commands=COMMANDS,
        group=_GROUP,
        metavar="TEXT",
        otherwise="the name",
        help="of the image",
        manual="Description of the image. Default: the name.",
    ),
    Option(
        name="storage-location",
        commands=COMMANDS,
        group=_GROUP,
        metavar="LOCATION",
        otherwise="the multi-region nearest to the bucket",
        help="where the image is kept, such as eu or europe-west3",
        manual="Where the image is kept, such as `eu` or `europe-west3`. Default: the multi-region "
        "nearest to the bucket.",
    ),
    Option(
        name="guest-os-feature",
        commands=COMMANDS,
        group=_GROUP,
        metavar="FEATURE",
        choices=FEATURES,
        repeatable=True,
        help="what the image can do beside GVNIC, VIRTIO_SCSI_MULTIQUEUE and, where it starts by "
        "UEFI, UEFI_COMPATIBLE",
        manual="What the system of the image can do, such as `SEV_CAPABLE` or `IDPF`, beside "
        "`GVNIC` and `VIRTIO_SCSI_MULTIQUEUE`, which any kernel of today can, and "
        "`UEFI_COMPATIBLE`, which it gets if it starts by UEFI.",
    ),
)
