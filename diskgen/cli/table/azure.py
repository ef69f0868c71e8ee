"""Options of what becomes an image of Azure: of a disk that exists, and of one that is built."""

from __future__ import annotations

from typing import Final

from ...publish.azure.models import GENERATIONS
from .. import values
from ..option import Option, Takes

COMMANDS: Final = frozenset({"publish azure", "vhd"})
NAME: Final = "azure-image"
_GROUP: Final = "publishing to Azure"

OPTIONS: Final = (
    Option(
        name=NAME,
        commands=COMMANDS - {"vhd"},
        group=_GROUP,
        metavar="NAME",
        otherwise="the file's, without its suffix",
        help="of the image, or of the image definition in a gallery",
        manual="Name of the managed image; with `--gallery`, of the image definition, which is "
        "made unless it is there. Default: the file's, without its suffix.",
    ),
    Option(
        name=NAME,
        commands=COMMANDS & {"vhd"},
        group=_GROUP,
        metavar="NAME",
        help="make an image of this name of the disk",
        manual="For `vhd`: make an image of this name of the disk as soon as it is built; with "
        "`--gallery`, a version of the image definition of this name. Azure is asked beforehand "
        "whether it can be.",
    ),
    Option(
        name="resource-group",
        commands=COMMANDS,
        group=_GROUP,
        metavar="GROUP",
        help="in which the image is made",
        manual="The resource group in which the image is made, and in which the gallery is.",
    ),
    Option(
        name="subscription",
        commands=COMMANDS,
        group=_GROUP,
        metavar="ID",
        otherwise="AZURE_SUBSCRIPTION_ID",
        help="that pays for it",
        manual="The subscription, by its identifier. Default: `AZURE_SUBSCRIPTION_ID`.",
    ),
    Option(
        name="location",
        commands=COMMANDS,
        group=_GROUP,
        metavar="REGION",
        otherwise="the resource group's",
        help="where the image is made, such as westeurope",
        manual="The region in which the image is made, such as `westeurope`. Default: the resource "
        "group's.",
    ),
    Option(
        name="gallery",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        help="make a version in this compute gallery, not a managed image; aarch64 takes one",
        manual="Make a version of an image definition in this compute gallery, instead of a "
        "managed image. Images of aarch64 are in galleries alone.",
    ),
    Option(
        name="image-version",
        commands=COMMANDS,
        group=_GROUP,
        metavar="X.Y.Z",
        help="in the gallery",
        manual="The version in the gallery, three numbers.",
    ),
    Option(
        name="identifier",
        commands=COMMANDS,
        group=_GROUP,
        metavar="PUBLISHER:OFFER:SKU",
        otherwise="made of the name",
        help="of the image definition, where it is made",
        manual="Of the image definition where it is made: no two in a gallery have the same. "
        "Default: `diskgen`, the name, and architecture and generation.",
    ),
    Option(
        name="copy-to",
        commands=COMMANDS,
        group=_GROUP,
        metavar="REGION",
        repeatable=True,
        help="have the gallery keep the version in a further region",
        manual="Have the gallery keep the version in a further region, too, and wait until it is "
        "there.",
    ),
    Option(
        name="replicas",
        commands=COMMANDS,
        group=_GROUP,
        kind=values.count,
        metavar="N",
        default=1,
        help="of the version, in each region",
        manual="How many copies of the version the gallery keeps in each region.",
    ),
    Option(
        name="generation",
        commands=COMMANDS,
        group=_GROUP,
        choices=GENERATIONS,
        otherwise="V1 for a disk that starts by BIOS alone, else V2",
        help="of the machines: V1 starts by BIOS, V2 by UEFI",
        manual="Generation of the machines: `V1` starts by BIOS, `V2` by UEFI. Default: `V1` for a "
        "disk that starts by BIOS alone, else `V2`.",
    ),
    Option(
        name="tag",
        commands=COMMANDS,
        group=_GROUP,
        kind=values.pair,
        metavar="KEY=VALUE",
        repeatable=True,
        help="of the image",
        manual="A tag of the image, and of what is made on the way to it.",
    ),
    Option(
        name="direct",
        commands=COMMANDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="send the disk to a managed disk, which is what is done unless an account is named",
        manual="Send the disk to a managed disk, which is removed when the image is made. That is "
        "what is done unless `--storage-account`, or the environment, names an account.",
    ),
    Option(
        name="storage-account",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        otherwise="AZURE_STORAGE_ACCOUNT, or a managed disk",
        help="send the disk to a page blob in this account, instead of to a managed disk",
        manual="Send the disk to a page blob in this account, instead of to a managed disk: for "
        "identities that have the rights for that alone. The blob is removed when the image is "
        "made. Default: what `AZURE_STORAGE_ACCOUNT` or `AZURE_STORAGE_CONNECTION_STRING` names. "
        "That string, `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN` let us write to it; where "
        "there is none of them, the identity does.",
    ),
    Option(
        name="container",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        default="vhds",
        help="in the storage account",
        manual="The container in the storage account. It has to be there.",
    ),
)
