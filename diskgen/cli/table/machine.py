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
        manual="The public key (OpenPGP) of the ostree remote that `--target-signature "
        "ostree-remote-registry:`*REMOTE* names. The installed machine gets the remote and the "
        "key.",
    ),
    Option(
        name="unattended",
        commands=MEDIA,
        group=_GROUP,
        metavar="DISK",
        help="add menu entries which erase DISK (such as vda) and install without a question",
        manual="Add menu entries which erase *DISK* (a name such as vda, or a link below "
        "/dev/disk) and install without a question.",
    ),
    Option(
        name="kickstart",
        commands=MEDIA,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="add menu entries which install as this kickstart says; payload and origin are added",
        manual="Add menu entries which install as this kickstart (UTF-8) says. What belongs to "
        "the payload is added to it; the file must not have its own `ostreecontainer`, and in "
        "image mode no %packages and no source of packages. What options say is added as well: "
        "kernel arguments, accounts, keys and devices add up; a command that an option and the "
        "file both have is refused by its line. With `--unattended` the disk is that one, if the "
        "file has no command about disks, and what the file does not say is as without it. "
        "`diskgen plan iso` shows what comes from where. Own %post scripts run before the last "
        "check: they may choose other updates, such as by `bootc switch` to an image in a "
        "registry, with every installer. What `%include` brings is seen by the installer alone; a "
        "warning says so. The rules of diskgen's own installer are applied when the medium is "
        "made. Where the image is read, it is also asked whether it has what the kickstart takes: "
        "the programs that make accounts, groups and passwords, services to enable, shells, "
        "interpreters of %post scripts, firewalld for `firewall`, and free numbers for accounts "
        "and groups. What is missing is refused; a time zone, a keyboard or a language that is "
        "not there, and a service to disable, are warnings. The installer asks the same before it "
        "writes to a disk. An image from a registry it asks as soon as it was read, which takes "
        "room at the end of the disk; it says so first.",
    ),
    Option(
        name="write-kickstart",
        commands=frozenset({"plan iso"}),
        kind=Path,
        metavar="FILE",
        help="write the kickstart by which the medium installs without a question, for a server "
        "(see --kickstart, --unattended, --payload)",
        manual="Write the kickstart of the unattended entries into a new file, for a server: "
        "what `--kickstart`, `--unattended` and the other options say, with the payload, its "
        "origin and the checks that belong to it. With `--payload remote` it names the image in "
        "its registry, and any installer takes it; else the image on the medium, and it is for a "
        "machine that was started from that. Name it by `inst.ks=URL` at the boot menu, or on the "
        "server that starts the machine. It is readable by its owner alone where it carries "
        "secrets.",
    ),
    Option(
        name="kickstart-version",
        commands=MEDIA,
        group=_GROUP,
        choices=KICKSTART_VERSIONS,
        otherwise="by its os-release",
        help="of the installer's kickstart language",
        manual="Of the installer's kickstart language.",
    ),
    replace(
        disk.NO_ENCRYPTION,
        commands=MEDIA,
        group=_GROUP,
        manual="As for disks. Where people or a kickstart of their own choose the partitions in "
        "Anaconda, a warning takes the place of the refusal.",
    ),
    Option(
        name="install-karg",
        commands=MEDIA,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        key="customizations.kernel.append",
        help="add a kernel argument of the installed machine",
        manual="A kernel argument of the installed machine.",
    ),
    Option(
        name="user",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="NAME",
        repeatable=True,
        key="customizations.user[].name",
        help="an account to create",
        manual="An account to create. What follows belongs to the account before it: "
        "`--user-groups`, `--user-password-hash` and `--user-key`. An account without a password "
        "is locked. Names of accounts and groups have up to 32 letters, digits, _, - and dots. "
        "Groups that the image has in /usr/lib alone are taken over into /etc.",
    ),
    Option(
        name="user-groups",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="GROUPS",
        key="customizations.user[].groups",
        help="groups of the account named before it, by commas",
        manual="Groups of the account before it, separated by commas.",
    ),
    Option(
        name="user-password-hash",
        commands=MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="HASH",
        key="customizations.user[].password",
        help="its password, as 'openssl passwd -6' has it",
        manual="Its password, as `openssl passwd -6` prints it.",
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
        manual="Its public key for ssh.",
    ),
    Option(
        name="root-password-hash",
        commands=MEDIA,
        group=_GROUP,
        metavar="HASH",
        otherwise="locked where nobody is asked",
        help="password of root",
        manual="Password of root.",
    ),
    Option(
        name="network",
        commands=MEDIA,
        group=_GROUP,
        metavar="SPEC",
        repeatable=True,
        otherwise="by DHCP",
        help="how a network device is set up, such as device=enp1s0,ip=192.0.2.5/24,"
        "gateway=192.0.2.1,dns=192.0.2.53",
        manual="How a network device is set up, while it is installed and ever after: words of "
        "the form KEY=VALUE, separated by commas. Default: by DHCP. Such as\n\n"
        "`--network device=enp1s0,ip=192.0.2.5/24,gateway=192.0.2.1,dns=192.0.2.53`\n\n"
        "`device` is a name, a hardware address, or `link` (default): the one with a cable in it. "
        "`ip` is ADDRESS/PREFIX, `dhcp` (default) or `off`; `ipv6` is ADDRESS/PREFIX, `auto` "
        "(default), `dhcp` or `off`. `gateway` and `ipv6gateway` go with such addresses. `dns` "
        "(of either kind) and `search` may be there several times. `mtu` is in bytes; `onboot=no` "
        "leaves the device down.",
    ),
    Option(
        name="hostname",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        key="customizations.hostname",
        help="name of the machine",
        manual="Name of the installed machine.",
    ),
    Option(
        name="language",
        commands=MEDIA,
        group=_GROUP,
        metavar="LOCALE",
        key="customizations.locale.languages",
        help="such as de_DE.UTF-8",
        manual="Language of the installed machine, such as `de_DE.UTF-8`.",
    ),
    Option(
        name="keyboard",
        commands=MEDIA,
        group=_GROUP,
        metavar="LAYOUT",
        key="customizations.locale.keyboard",
        help="such as de",
        manual="Keyboard of the installed machine, such as `de`. It may have a variant: "
        "us(intl), de-nodeadkeys.",
    ),
    Option(
        name="timezone",
        commands=MEDIA,
        group=_GROUP,
        metavar="ZONE",
        key="customizations.timezone.timezone",
        help="such as Europe/Berlin",
        manual="Time zone of the installed machine, such as `Europe/Berlin`.",
    ),
)
