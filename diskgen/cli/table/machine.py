"""Options about the machine that a disk is of, or that a medium installs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from ...config import KICKSTART_VERSIONS
from ..command import DISKS, MEDIA
from ..option import Option, Takes
from . import disk

_GROUP: Final = "machine"
_INSTALLED: Final = "installed machine"
ACCOUNTS: Final = "accounts"  # each option of an account belongs to the one before it

INSTALLED: Final = (
    Option(
        name="target-signature-key",
        commands=MEDIA,
        group=_INSTALLED,
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
        group=_INSTALLED,
        metavar="DISK",
        help="add menu entries which erase DISK (such as vda, or only) and install without a "
        "question",
        manual="Add menu entries which erase *DISK* (a name such as vda, or a link below "
        "/dev/disk) and install without a question. `only` stands for the one disk that a machine "
        "has; of several none is erased. The key installer.unattended of a description says that, "
        "too.",
    ),
    Option(
        name="kickstart",
        commands=MEDIA,
        group=_INSTALLED,
        kind=Path,
        metavar="FILE",
        help="add menu entries which install as this kickstart says; payload and origin are added",
        manual="Add menu entries which install as this kickstart (UTF-8) says. What belongs to "
        "the payload is added to it; the file must not have its own `ostreecontainer`, and in "
        "image mode no %packages and no source of packages. What options say is added as well: "
        "kernel arguments, accounts, keys and devices add up; a command that an option and the "
        "file both have is refused by its line. The key installer.kickstart.contents of a "
        "description is such a kickstart, too; this option wins over it. With `--unattended` the "
        "disk is that one, if the file has no command about disks, and what the file does not say "
        "is as without it. `diskgen plan iso` shows what comes from where. Own %post scripts run "
        "before the last check: they may choose other updates, such as by `bootc switch` to an "
        "image in a registry, with every installer. What `%include` brings is seen by the "
        "installer alone; a warning says so. The rules of diskgen's own installer are applied "
        "when the medium is made. Where the image is read, it is also asked whether it has what "
        "the kickstart takes: services to enable, shells, interpreters of %post scripts, "
        "firewalld for `firewall`, and free numbers for accounts and groups. What is missing is "
        "refused; a time zone, a keyboard or a language that is not there, and a service to "
        "disable, are warnings. The installer asks the same before it writes to a disk. An image "
        "from a registry it asks as soon as it was read, which takes room at the end of the disk; "
        "it says so first.",
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
        group=_INSTALLED,
        choices=KICKSTART_VERSIONS,
        otherwise="by its os-release",
        help="of the installer's kickstart language",
        manual="Of the installer's kickstart language.",
    ),
    replace(
        disk.NO_ENCRYPTION,
        commands=MEDIA,
        group=_INSTALLED,
        manual="As for disks. Where people or a kickstart of their own choose the partitions in "
        "Anaconda, a warning takes the place of the refusal.",
    ),
    Option(
        name="install-karg",
        commands=MEDIA,
        group=_INSTALLED,
        metavar="ARG",
        repeatable=True,
        key="customizations.kernel.append",
        help="add a kernel argument of the installed machine",
        manual="A kernel argument of the installed machine.",
    ),
)

OPTIONS: Final = (
    Option(
        name="config",
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="FILE",
        help="what the machine is given, as bootc-image-builder's config.toml or config.json says "
        "it; - is JSON on standard input",
        manual="All that the machine is given in one file: a blueprint as bootc-image-builder "
        "takes it, TOML or JSON by the suffix; `-` is JSON on standard input. See *Configuration*. "
        "Options win over it.",
    ),
    Option(
        name="strict",
        commands=DISKS | MEDIA,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="refuse what the image or the format cannot take of it, instead of a warning",
        manual="What the image or the format cannot take of it is an error, not a warning.",
    ),
    Option(
        name="user",
        commands=DISKS | MEDIA,
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
        commands=DISKS | MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="GROUPS",
        key="customizations.user[].groups",
        help="groups of the account named before it, by commas",
        manual="Groups of the account before it, separated by commas.",
    ),
    Option(
        name="user-password-hash",
        commands=DISKS | MEDIA,
        group=_GROUP,
        together=ACCOUNTS,
        metavar="HASH",
        key="customizations.user[].password",
        help="its password, as 'openssl passwd -6' has it",
        manual="Its password, as `openssl passwd -6` prints it.",
    ),
    Option(
        name="user-key",
        commands=DISKS | MEDIA,
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
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="HASH",
        otherwise="what the image says; locked where an installer asks nobody",
        help="password of root",
        manual="Password of root.",
    ),
    Option(
        name="root-key",
        commands=DISKS | MEDIA,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        repeatable=True,
        key="customizations.user[].key",
        help="a public key for ssh that opens root",
        manual="A public key for ssh that opens root.",
    ),
    Option(
        name="add",
        commands=DISKS,
        group=_GROUP,
        metavar="FILE:PATH[:MODE[:OWNER]]",
        repeatable=True,
        key="customizations.files[].path",
        help="write FILE to a PATH of the machine below /etc or /var",
        manual="Write *FILE* to a *PATH* of the machine below /etc or /var, or one that the image "
        "links there. It has mode 0644 and is root's, unless another mode (octal) or owner (a name "
        "or a number; the file gets its group) is given.",
    ),
    Option(
        name="network",
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="SPEC",
        repeatable=True,
        otherwise="by DHCP",
        help="how a network device is set up, such as device=enp1s0,ip=192.0.2.5/24,"
        "gateway=192.0.2.1,dns=192.0.2.53",
        manual="How a network device is set up, by an installer too while it installs: words of "
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
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="NAME",
        key="customizations.hostname",
        help="name of the machine",
        manual="Name of the machine.",
    ),
    Option(
        name="language",
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="LOCALE",
        key="customizations.locale.languages",
        help="such as de_DE.UTF-8",
        manual="Language of the machine, such as `de_DE.UTF-8`.",
    ),
    Option(
        name="keyboard",
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="LAYOUT",
        key="customizations.locale.keyboard",
        help="such as de",
        manual="Keyboard of the machine, such as `de`. It may have a variant: "
        "us(intl), de-nodeadkeys.",
    ),
    Option(
        name="timezone",
        commands=DISKS | MEDIA,
        group=_GROUP,
        metavar="ZONE",
        key="customizations.timezone.timezone",
        help="such as Europe/Berlin",
        manual="Time zone of the machine, such as `Europe/Berlin`.",
    ),
)
