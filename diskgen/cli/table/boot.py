"""Options of the command that starts a disk or a medium."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...budgets import BOOT_SECONDS
from .. import values
from ..option import Option, Takes

COMMANDS: Final = frozenset({"boot"})
_LOGIN: Final = "login"
FIRMWARES: Final = ("uefi", "secureboot", "bios", "ipl")

HOW_THEY_GET_IN: Final = (
    "Keys, password and credentials reach the machine by its firmware (SMBIOS strings, through "
    "files that nobody else can read) and systemd 252 or newer, so that the disk stays as it is; "
    "with `--write` the machine keeps them. A SELinux policy may keep systemd from them, as "
    "Debian's does when it is enforced. A machine of s390x has no such firmware, and they are "
    "refused for it."
)

OPTIONS: Final = (
    Option(
        name="file",
        commands=COMMANDS,
        positional=True,
        kind=Path,
        metavar="FILE",
        help="a raw, qcow2, VHD or VMDK disk, or an installer's medium",
        manual="A disk (raw, qcow2, VHD or VMDK), or an installer's medium.",
    ),
    Option(
        name="disk",
        commands=COMMANDS,
        kind=Path,
        metavar="DISK",
        otherwise="an empty one, thrown away",
        help="a disk file for the installer to write",
        manual="With an installer's medium: the disk file that it may write. Default: an empty "
        "one of 20 GiB, which is thrown away.",
    ),
    Option(
        name="usb",
        commands=COMMANDS,
        takes=Takes.NOTHING,
        help="show the medium as a USB stick, not as a CD",
        manual="Show the medium as a USB stick, not as a CD.",
    ),
    Option(
        name="no-network",
        commands=COMMANDS,
        takes=Takes.NOTHING,
        help="give the machine no network",
        manual="Give the machine no network: an installation from an embedded image needs none.",
    ),
    Option(
        name="firmware",
        commands=COMMANDS,
        choices=FIRMWARES,
        otherwise="uefi, for s390x ipl",
        help="how to start it",
        manual="How to start the machine. Default: `uefi`, for s390x `ipl`, which is the only "
        "way there.",
    ),
    Option(
        name="arch",
        commands=COMMANDS,
        metavar="ARCH",
        otherwise="what the disk was made for",
        help="of the machine",
        manual="Architecture of the machine. Default: what the disk was made for.",
    ),
    Option(
        name="memory",
        commands=COMMANDS,
        metavar="SIZE",
        default="2G",
        help="of the machine",
        manual="Memory of the machine.",
    ),
    Option(
        name="write",
        commands=COMMANDS,
        takes=Takes.NOTHING,
        help="keep what the machine writes (by default it is thrown away)",
        manual="Keep what the machine writes to FILE. By default it is thrown away. To a VMDK "
        "nothing can be written; archives (gce, ova) are to be unpacked first.",
    ),
    Option(
        name="ssh",
        commands=COMMANDS,
        group=_LOGIN,
        takes=Takes.MAYBE,
        metavar="COMMAND",
        help="log in as root by ssh as soon as that can be, and run COMMAND or a shell; the "
        "machine ends with it, and the status is the command's",
        manual="Log in as root by `ssh`(1) as soon as that can be, and run COMMAND, or a shell; "
        "then end the machine. Standard streams are those of diskgen, and the status is the "
        "command's, 255 where the connection was lost. The key is made for this run and gone "
        "afterwards; nothing of the user's configuration of ssh is read or written. The serial "
        "line is shown where nobody can log in. With `--write` the machine is switched off by its "
        "own means at the end. The image needs an ssh server that takes root with a key. FILE "
        "goes before this option.",
    ),
    Option(
        name="timeout",
        commands=COMMANDS,
        group=_LOGIN,
        kind=values.seconds,
        metavar="SECONDS",
        default=BOOT_SECONDS.limit,
        help="how long --ssh waits for the machine",
        manual="How long `--ssh` waits until it can log in: an emulated machine takes minutes.",
    ),
    Option(
        name="user-key",
        commands=COMMANDS,
        group=_LOGIN,
        kind=Path,
        metavar="FILE",
        repeatable=True,
        help="let root log in by the public keys in FILE",
        manual="Let root log in by the public keys in FILE, beside those that the disk has.",
    ),
    Option(
        name="root-password-hash",
        commands=COMMANDS,
        group=_LOGIN,
        metavar="HASH",
        help="root's password, crypted (openssl passwd -6); for systemd 256 and newer",
        manual="The password of root, as `openssl passwd -6` prints it. Images in which root "
        "exists need systemd 256 or newer for it; older ones (RHEL 9, Debian 12) set it for an "
        "account alone that they make at their first boot.",
    ),
    Option(
        name="credential",
        commands=COMMANDS,
        group=_LOGIN,
        metavar="NAME=VALUE",
        repeatable=True,
        help="hand a credential to the machine's systemd; NAME=@FILE takes it from a file",
        manual="Hand a credential to the machine's systemd, see `systemd.system-credentials`(7). "
        "`NAME=@`*FILE* takes the value from a file, which keeps it from whoever lists processes.",
    ),
    Option(
        name="forward",
        commands=COMMANDS,
        group=_LOGIN,
        metavar="HOST:GUEST",
        repeatable=True,
        help="let a port of this machine be one of the guest's: [ADDR:]PORT:PORT[/udp]",
        manual="Let a port of this machine be one of the guest's: [*ADDR*:]*PORT*:*PORT*[/udp]. "
        "ADDR is an IPv4 address of this machine, default 127.0.0.1.",
    ),
)
