"""Options about a disk."""

from __future__ import annotations

from typing import Final

from ...config import ROOT_FILESYSTEMS, SECTOR_SIZES
from ..command import DISKS
from ..option import Option, Takes

_GROUP: Final = "disk"

SEED: Final = Option(
    name="seed",
    commands=DISKS,
    group=_GROUP,
    metavar="TEXT",
    otherwise="from the digest alone",
    help="derive all identifiers from the image's digest and TEXT, so that disks of one image can "
    "be told apart",
    manual="",
)
NO_ENCRYPTION: Final = Option(
    name="no-encryption",
    commands=DISKS,
    group=_GROUP,
    takes=Takes.NOTHING,
    help="leave the root filesystem unencrypted where the image asks for encryption",
    manual="",
)

OPTIONS: Final = (
    Option(
        name="disk-size",
        commands=DISKS,
        group=_GROUP,
        metavar="SIZE",
        otherwise="room for two deployments, at least 10G",
        help="size of the disk, such as 20G",
        manual="",
    ),
    Option(
        name="sector-size",
        commands=DISKS,
        group=_GROUP,
        kind=int,
        choices=SECTOR_SIZES,
        default=SECTOR_SIZES[0],
        help="of the device the disk is for, in bytes",
        manual="",
    ),
    Option(
        name="rootfs",
        commands=DISKS,
        group=_GROUP,
        choices=ROOT_FILESYSTEMS,
        otherwise="what the image asks for, else ext4",
        help="the root filesystem: ext4 in seconds, xfs and btrfs by libguestfs in minutes",
        manual="",
    ),
    NO_ENCRYPTION,
    Option(
        name="karg",
        commands=DISKS,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        key="customizations.kernel.append",
        help="add a kernel argument",
        manual="",
    ),
    Option(
        name="karg-delete",
        commands=DISKS,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        help="drop a kernel argument of the image: KEY or KEY=VALUE",
        manual="",
    ),
    Option(
        name="no-console",
        commands=DISKS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="add no console= arguments (by default screen and serial line, unless the image "
        "names consoles)",
        manual="",
    ),
    SEED,
)
