"""Options of what becomes an AMI: with a disk that exists, and with one that is built."""

from __future__ import annotations

from typing import Final

from ...publish.aws.models import BOOT_MODES
from .. import values
from ..option import Option, Takes

COMMANDS: Final = frozenset({"publish aws", "ami"})
NAME: Final = "ami-name"
_GROUP: Final = "publishing to AWS"

OPTIONS: Final = (
    Option(
        name=NAME,
        commands=COMMANDS - {"ami"},
        group=_GROUP,
        metavar="NAME",
        otherwise="the file's, without its suffix",
        help="of the AMI",
        manual="Name of the AMI. Default: the file's, without its suffix.",
    ),
    Option(
        name=NAME,
        commands=COMMANDS & {"ami"},
        group=_GROUP,
        metavar="NAME",
        help="make an AMI of this name of the disk",
        manual="For `ami`: make an AMI of this name of the disk as soon as it is built. EC2 is "
        "asked beforehand whether it can be.",
    ),
    Option(
        name="region",
        commands=COMMANDS,
        group=_GROUP,
        metavar="REGION",
        otherwise="as configured for AWS",
        help="where the AMI is made",
        manual="Where the AMI is made. Default: `AWS_REGION`, or the region of the profile.",
    ),
    Option(
        name="copy-to",
        commands=COMMANDS,
        group=_GROUP,
        metavar="REGION",
        repeatable=True,
        help="copy the AMI to a further region",
        manual="Copy the AMI to a further region, and wait until it is there.",
    ),
    Option(
        name="share-with",
        commands=COMMANDS,
        group=_GROUP,
        metavar="ACCOUNT",
        repeatable=True,
        help="let another account (12 digits) start the AMI, and read its snapshot",
        manual="Let another account (12 digits) start the AMI and its copies, and read the "
        "snapshots below them.",
    ),
    Option(
        name="tag",
        commands=COMMANDS,
        group=_GROUP,
        kind=values.pair,
        metavar="KEY=VALUE",
        repeatable=True,
        help="of the AMI and its snapshot",
        manual="A tag of the AMI and of its snapshot. *Name* is the AMI's unless it is given.",
    ),
    Option(
        name="description",
        commands=COMMANDS,
        group=_GROUP,
        metavar="TEXT",
        otherwise="the name",
        help="of the AMI and its snapshot",
        manual="Description of the AMI and of its snapshot. Default: the name.",
    ),
    Option(
        name="boot-mode",
        commands=COMMANDS,
        group=_GROUP,
        choices=BOOT_MODES,
        otherwise="by what can start the disk",
        help="how EC2 starts it",
        manual="How EC2 starts it. Default: by what can start the disk, `uefi-preferred` where "
        "that is both.",
    ),
    Option(
        name="tpm",
        commands=COMMANDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="give the machines a TPM 2.0; they start by UEFI then",
        manual="Give the machines a TPM 2.0. They start by UEFI then.",
    ),
    Option(
        name="imds",
        commands=COMMANDS,
        group=_GROUP,
        choices=("required", "optional"),
        default="required",
        help="whether machines need a token to ask for their metadata (IMDSv2)",
        manual="Whether machines need a token to ask for their metadata (IMDSv2): `required` or "
        "`optional`. Every agent of today uses one.",
    ),
    Option(
        name="encrypted",
        commands=COMMANDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="encrypt the snapshot, by the account's default key unless --kms-key names one",
        manual="Encrypt the snapshot, and copies of the AMI, by the default key of the account in "
        "each region, unless `--kms-key` names one. An account may encrypt all its snapshots "
        "without this.",
    ),
    Option(
        name="kms-key",
        commands=COMMANDS,
        group=_GROUP,
        metavar="ARN",
        help="encrypt the snapshot by this key",
        manual="Encrypt the snapshot by this key of KMS. Keys are of one region: copies are "
        "encrypted by the default key of theirs.",
    ),
    Option(
        name="bucket",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        help="upload to this bucket, and import from it, instead of by EBS direct",
        manual="Upload the disk to this bucket, as a VMDK, and have EC2 import it by the role that "
        "`--import-role` names, instead of by EBS direct: for accounts that have the rights for "
        "that alone. The object is removed afterwards. An import cannot be gone on with.",
    ),
    Option(
        name="import-role",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        default="vmimport",
        help="by which EC2 reads the bucket",
        manual="Role by which EC2 reads the bucket.",
    ),
    Option(
        name="profile",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        otherwise="AWS_PROFILE, or the default one",
        help="of the configuration of AWS",
        manual="Profile of the configuration of AWS. Default: `AWS_PROFILE`, or the default one. "
        "Credentials are looked for where AWS's own programs look: environment, profiles, SSO, "
        "roles, containers, the machine's metadata.",
    ),
)
