"""Options of the command that starts a disk or a medium."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...budgets import BOOT_SECONDS
from .. import values
from ..option import Option, Takes

_BOOT: Final = frozenset({"boot"})
_LOGIN: Final = "login"
FIRMWARES: Final = ("uefi", "secureboot", "bios", "ipl")

OPTIONS: Final = (
    Option(
        name="file",
        commands=_BOOT,
        positional=True,
        kind=Path,
        metavar="FILE",
        help="a raw or qcow2 disk, or an installer's medium",
        manual="",
    ),
    Option(
        name="disk",
        commands=_BOOT,
        kind=Path,
        metavar="DISK",
        otherwise="an empty one, thrown away",
        help="a disk file for the installer to write",
        manual="",
    ),
    Option(
        name="usb",
        commands=_BOOT,
        takes=Takes.NOTHING,
        help="show the medium as a USB stick, not as a CD",
        manual="",
    ),
    Option(
        name="no-network",
        commands=_BOOT,
        takes=Takes.NOTHING,
        help="give the machine no network",
        manual="",
    ),
    Option(
        name="firmware",
        commands=_BOOT,
        choices=FIRMWARES,
        otherwise="uefi, for s390x ipl",
        help="how to start it",
        manual="",
    ),
    Option(
        name="arch",
        commands=_BOOT,
        metavar="ARCH",
        otherwise="what the disk was made for",
        help="of the machine",
        manual="",
    ),
    Option(
        name="memory",
        commands=_BOOT,
        metavar="SIZE",
        default="2G",
        help="of the machine",
        manual="",
    ),
    Option(
        name="write",
        commands=_BOOT,
        takes=Takes.NOTHING,
        help="keep what the machine writes (by default it is thrown away)",
        manual="",
    ),
    Option(
        name="ssh",
        commands=_BOOT,
        group=_LOGIN,
        takes=Takes.MAYBE,
        metavar="COMMAND",
        help="log in as root by ssh as soon as that can be, and run COMMAND or a shell; the "
        "machine ends with it, and the status is the command's",
        manual="",
    ),
    Option(
        name="timeout",
        commands=_BOOT,
        group=_LOGIN,
        kind=values.seconds,
        metavar="SECONDS",
        default=BOOT_SECONDS.limit,
        help="how long --ssh waits for the machine",
        manual="",
    ),
    Option(
        name="user-key",
        commands=_BOOT,
        group=_LOGIN,
        kind=Path,
        metavar="FILE",
        repeatable=True,
        help="let root log in by the public keys in FILE",
        manual="",
    ),
    Option(
        name="root-password-hash",
        commands=_BOOT,
        group=_LOGIN,
        metavar="HASH",
        help="root's password, crypted (openssl passwd -6); for systemd 256 and newer",
        manual="",
    ),
    Option(
        name="credential",
        commands=_BOOT,
        group=_LOGIN,
        metavar="NAME=VALUE",
        repeatable=True,
        help="hand a credential to the machine's systemd; NAME=@FILE takes it from a file",
        manual="",
    ),
    Option(
        name="forward",
        commands=_BOOT,
        group=_LOGIN,
        metavar="HOST:GUEST",
        repeatable=True,
        help="let a port of this machine be one of the guest's: [ADDR:]PORT:PORT[/udp]",
        manual="",
    ),
)
