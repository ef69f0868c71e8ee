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
    manual="Derive all identifiers (of the table, its partitions, filesystems and their hashes; "
    "of a medium likewise) from the image's digest and *TEXT*. By default two disks of one image "
    "have the same identifiers, and cannot be attached to one machine. Without it, the "
    "identifiers that an image's first boot replaces are those by which it knows to do so.",
)
NO_ENCRYPTION: Final = Option(
    name="no-encryption",
    commands=DISKS,
    group=_GROUP,
    takes=Takes.NOTHING,
    help="leave the root filesystem unencrypted where the image asks for encryption",
    manual="Leave the root filesystem unencrypted where the image asks for encryption (`block` "
    "in its install configuration). diskgen encrypts none, and refuses such an image without this "
    "option.",
)

OPTIONS: Final = (
    Option(
        name="disk-size",
        commands=DISKS,
        group=_GROUP,
        metavar="SIZE",
        otherwise="room for two deployments, at least 10G",
        help="size of the disk, such as 20G",
        manual="Size of the disk, such as `20G`. Default: room for two deployments, at least 10 "
        "GiB. The file is sparse. /boot has at least 1 GiB, and room for the kernels of three "
        "deployments where they fit. What has no room for a second deployment is named in a "
        "warning.",
    ),
    Option(
        name="sector-size",
        commands=DISKS,
        group=_GROUP,
        kind=int,
        choices=SECTOR_SIZES,
        default=SECTOR_SIZES[0],
        help="of the device the disk is for, in bytes",
        manual="Bytes of a sector of the device the disk is for. A disk for 4096-byte sectors "
        "starts on no device with 512, and no BIOS starts it.",
    ),
    Option(
        name="rootfs",
        commands=DISKS,
        group=_GROUP,
        choices=ROOT_FILESYSTEMS,
        otherwise="what the image asks for, else ext4",
        help="the root filesystem, written by diskgen itself",
        manual="The root filesystem. Default: what the image's install configuration asks for, "
        "else ext4. All are written in seconds and without root. xfs has features that the image's "
        "kernel mounts, and is judged by `xfs_repair`(8). btrfs has sums of all contents and two "
        "copies of its metadata, and is judged by `btrfs-check`(8); the root is the subvolume that "
        "`rootflags=subvol=` names, else `root`, and is mounted where none is named. Its contents "
        "are not compressed: what `rootflags=compress=` asks for holds for what the machine "
        "writes.",
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
        manual="Add a kernel argument.",
    ),
    Option(
        name="karg-delete",
        commands=DISKS,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        help="drop a kernel argument of the image: KEY or KEY=VALUE",
        manual="Drop a kernel argument that the image brings, *KEY* or *KEY=VALUE*.",
    ),
    Option(
        name="no-console",
        commands=DISKS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="add no console= arguments (by default screen and serial line, unless the image "
        "names consoles)",
        manual="Add no `console=` arguments. By default screen and serial line are consoles, "
        "unless the image names some.",
    ),
    SEED,
)
