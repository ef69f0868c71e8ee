"""Options about the machine that a medium installs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from ...config import KICKSTART_VERSIONS
from ..command import MEDIA
from ..option import Option
from . import disk

_GROUP: Final = "installed machine"
ACCOUNTS: Final = "accounts"  # each option of an account belongs to the one before it

OPTIONS: Final = (
    Option(
        name="target-signature-key",
        commands=MEDIA,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="the public key (OpenPGP) of the ostree remote that --target-signature names",
        manual="",
    ),
    Option(
        name="unattended",
        commands=MEDIA,
        group=_GROUP,
        metavar="DISK",
        help="add menu entries which erase DISK (such as vda) and install without a question",
        manual="",
    ),
    Option(
        name="kickstart",
        commands=MEDIA,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        key="customizations.installer.kickstart.contents",
        help="add menu entries which install as this kickstart says; payload and origin are added",
        manual="",
    ),
    Option(
        name="write-kickstart",
        commands=frozenset({"plan iso"}),
        kind=Path,
        metavar="FILE",
        help="write the kickstart by which the medium installs without a question, for a server "
        "(see --kickstart, --unattended, --payload)",
        manual="",
    ),
    Option(
        name="kickstart-version",
        commands=MEDIA,
        group=_GROUP,
        choices=KICKSTART_VERSIONS,
        otherwise="by its os-release",
        help="of the installer's kickstart language",
        manual="",
    ),
    replace(disk.NO_ENCRYPTION, commands=MEDIA, group=_GROUP, manual=""),
    Option(
        name="install-karg",
        commands=MEDIA,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        key="customizations.kernel.append",
        help="add a kernel argument of the installed machine",
        manual="",
    ),
    Option(
        name="user",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="NAME",
        repeatable=True,
        key="customizations.user[].name",
        help="an account to create; may be given several times",
        manual="",
    ),
    Option(
        name="user-groups",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="GROUPS",
        key="customizations.user[].groups",
        help="groups of the account named before it, by commas",
        manual="",
    ),
    Option(
        name="user-password-hash",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="HASH",
        key="customizations.user[].password",
        help="its password, as 'openssl passwd -6' has it",
        manual="",
    ),
    Option(
        name="user-key",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        kind=Path,
        metavar="FILE",
        key="customizations.user[].key",
        help="its public key for ssh",
        manual="",
    ),
    Option(
        name="root-password-hash",
        commands=MEDIA,
        group=_GROUP,
        metavar="HASH",
        otherwise="locked where nobody is asked",
        help="password of root",
        manual="",
    ),
    Option(
        name="network",
        commands=MEDIA,
        group=_GROUP,
        metavar="SPEC",
        repeatable=True,
        otherwise="by DHCP",
        help="how a network device is set up, such as device=enp1s0,ip=192.0.2.5/24,"
        "gateway=192.0.2.1,dns=192.0.2.53; may be given several times",
        manual="",
    ),
    Option(
        name="hostname",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        key="customizations.hostname",
        help="name of the machine",
        manual="",
    ),
    Option(
        name="language",
        commands=MEDIA,
        group=_GROUP,
        metavar="LOCALE",
        key="customizations.locale.languages",
        help="such as de_DE.UTF-8",
        manual="",
    ),
    Option(
        name="keyboard",
        commands=MEDIA,
        group=_GROUP,
        metavar="LAYOUT",
        key="customizations.locale.keyboard",
        help="such as de",
        manual="",
    ),
    Option(
        name="timezone",
        commands=MEDIA,
        group=_GROUP,
        metavar="ZONE",
        key="customizations.timezone.timezone",
        help="such as Europe/Berlin",
        manual="",
    ),
)
