"""What of the kickstart language this installer does not do: refused by name, file and line.

An option that is not done is refused as well, where a machine without it would be another one than
its kickstart describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .. import accounts, keymap
from ..config import STATEROOT
from ..errors import UsageError
from ..link import host_fault
from .language import FETCHED, PACKAGES, SCRIPTS, Parsed

FILESYSTEMS: Final = ("ext4", "xfs", "btrfs")
# Their answers are ours already, or do not matter here.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "text", "cmdline", "graphical", "skipx", "xconfig", "firstboot", "eula", "logging",
        "mediacheck", "zerombr", "autostep", "authselect", "authconfig", "displaymode", "sshpw",
    }
)  # fmt: skip
_TAKEN: Final = frozenset(
    {
        "autopart", "bootloader", "clearpart", "firewall", "ignoredisk", "part", "partition",
        "reqpart", "keyboard", "lang", "network", "ostreecontainer", "poweroff", "shutdown", "halt",
        "reboot", "rootpw", "selinux", "services", "sshkey", "timesource", "timezone", "user",
        "group", "url", "repo",
    }
)  # fmt: skip
_PARTITION: Final = re.compile(
    r"(?:[shv]d|xvd|dasd)[a-z]+[0-9]+|(?:nvme[0-9]+n[0-9]+|mmcblk[0-9]+|nbd[0-9]+|md[0-9]+)p[0-9]+"
    r"|disk/by-[a-z]+/.+-part[0-9]+|disk/by-(?:uuid|label|partuuid|partlabel)/.+",
    re.ASCII,
)
_PLACES: Final = ("/", "/boot", "/boot/efi", "biosboot")
_RUN: Final = (0, 1)  # of language.SCRIPTS
_CLEAR_ALL: Final = 1  # of pykickstart's constants
_PLAIN: Final = (None, 0)
_DEFAULT_GROUP: Final = 1
# Anything else would be more than one value to dnf and apt.
_URL: Final = re.compile(r"(https?|ftp|file)://[^\s,'\"\\\[\]]+")
_OF_SOURCES: Final = (
    "includepkgs", "excludepkgs", "ignoregroups", "proxy", "noverifyssl", "sslcacert",
    "sslclientcert", "sslclientkey",
)  # fmt: skip
_DISKS: Final = "it makes plain partitions for /, /boot and /boot/efi; leave the rest out"
_LINKS: Final = "it sets up Ethernet devices; write what is more than that by a %post script"
# Options of 'network', as pykickstart calls what they set.
_MORE_THAN_ETHERNET: Final = {
    "vlanid": "--vlanid", "interfacename": "--interfacename", "bondslaves": "--bondslaves",
    "bondopts": "--bondopts", "bridgeslaves": "--bridgeslaves", "bridgeopts": "--bridgeopts",
    "teamslaves": "--teamslaves", "teamconfig": "--teamconfig", "essid": "--essid",
    "wepkey": "--wepkey", "wpakey": "--wpakey", "ethtool": "--ethtool",
    "dhcpclass": "--dhcpclass",
}  # fmt: skip
_PROTOCOLS: Final = ("", "dhcp", "bootp", "static")


def check(parsed: Parsed) -> None:
    """Refuse what this installer does not do. Raises UsageError naming the file and the line."""
    check_names(parsed)
    handler, name = parsed.handler, parsed.name
    unknown = [
        (command.lineno, word)
        for word, command in handler.commands.items()
        if command is not None and command.seen and word not in _TAKEN | _WITHOUT_EFFECT
    ]
    unknown += [(script.lineno, SCRIPTS[script.type]) for script in handler.scripts
                if script.type not in _RUN]  # fmt: skip
    unknown += [(line, word) for line, word in parsed.sections if word != PACKAGES]
    unknown += [(line, words) for line, words in parsed.hidden if words.startswith(FETCHED)]
    if unknown:
        shown = ", ".join(f"'{word}' (line {line})" for line, word in sorted(set(unknown)))
        raise UsageError(
            f"'{name}' has what this installer does not do: {shown}",
            hint="leave it out, or install by Anaconda",
        )
    for line, what, hint in _refused(handler):
        where = f", line {line}" if line else ""
        raise UsageError(
            f"'{name}'{where}: this installer does not do '{what}'",
            hint=hint or "leave it out, or install by Anaconda",
        )


def clears_all(handler: Any) -> bool:  # noqa: ANN401
    """Say whether a kickstart lets go of everything that its disk holds."""
    return bool(handler.clearpart.seen and handler.clearpart.type == _CLEAR_ALL)


def _refused(handler: Any) -> Iterator[tuple[int, str, str | None]]:  # noqa: ANN401
    """Yield line, words and hint of options that are not done."""
    for line, what, there in _of_storage(handler):
        if there:
            yield line, what, _DISKS
    if handler.ignoredisk.ignoredisk or getattr(handler.ignoredisk, "interactive", False):
        yield handler.ignoredisk.lineno, "ignoredisk --drives", "name the disk: --only-use=NAME"
    loader = handler.bootloader
    for option, there in (
        ("--password", loader.password),
        ("--location", loader.seen and loader.location not in ("mbr", "boot")),
        ("--nombr", getattr(loader, "nombr", False)),
        ("--sdboot", getattr(loader, "sdboot", False)),
    ):
        if there:
            yield loader.lineno, f"bootloader {option}", None
    for link in handler.network.network:
        if link.bootProto not in _PROTOCOLS:
            yield link.lineno, f"network --bootproto={link.bootProto}", _LINKS
        if link.device == "bootif":
            yield link.lineno, "network --device=bootif", "name the device, or its MAC"
        for field, option in _MORE_THAN_ETHERNET.items():
            if getattr(link, field, None):
                yield link.lineno, f"network {option}", _LINKS
    for source in handler.timesource.timesource_list:
        if source.nts:
            yield source.lineno, "timesource --nts", None
    for user in handler.user.userList:
        if user.homedir and accounts.home_fault(user.homedir) is not None:
            hint = accounts.home_fault(user.homedir)
            yield user.lineno, f"user --homedir={user.homedir}", hint
    keyboard = handler.keyboard
    for text in (keyboard.vc_keymap, keyboard.keyboard, *(keyboard.x_layouts or ())):
        if text and keymap.split(text) is None:
            yield keyboard.lineno, f"keyboard {text}", "write it as us, de-nodeadkeys or us(intl)"
    yield from _of_image(handler.ostreecontainer)
    yield from _of_disks(handler)
    yield from _of_packages(handler)


def _of_image(command: Any) -> Iterator[tuple[int, str, str | None]]:  # noqa: ANN401
    if not command.seen:
        return
    # pykickstart names a remote by the stateroot where nobody names one.
    if command.remote and command.remote != command.stateroot:
        hint = "leave it out: updates are verified as the medium says"
        yield command.lineno, f"ostreecontainer --remote={command.remote}", hint
    if command.stateroot and not STATEROOT.fullmatch(command.stateroot):
        hint = "name it by letters, digits and . _ -"
        yield command.lineno, f"ostreecontainer --stateroot={command.stateroot}", hint


def _of_disks(handler: Any) -> Iterator[tuple[int, str, str | None]]:  # noqa: ANN401
    named = [(handler.ignoredisk, name) for name in handler.ignoredisk.onlyuse or ()]
    named += [(handler.clearpart, name) for name in handler.clearpart.drives or ()]
    named += [(part, part.disk) for part in handler.partition.partitions if part.disk]
    for command, name in named:
        if is_partition(name):
            yield command.lineno, f"a disk that is a partition, {name}", "name the whole disk"


def is_partition(name: str) -> bool:
    """Say whether a kernel's name, or a link below /dev/disk, is a partition's."""
    return _PARTITION.fullmatch(name.removeprefix("/dev/")) is not None


def check_names(parsed: Parsed) -> None:
    """Refuse what no installer can make an account, a group, a key or a machine's name of.

    Raises UsageError naming the file and the line.
    """
    handler = parsed.handler
    named = [(user.lineno, user.name) for user in handler.user.userList]
    for user in handler.user.userList:
        named += [(user.lineno, group_name(group)) for group in user.groups]
    named += [(group.lineno, group.name) for group in handler.group.groupList]
    named += [(key.lineno, key.username) for key in handler.sshkey.sshUserList]
    for line, name in named:
        if (fault := accounts.name_fault(name)) is not None:
            raise UsageError(
                f"'{parsed.name}', line {line}: no account or group can be called '{name}'",
                hint=fault,
            )
    for key in handler.sshkey.sshUserList:
        if (fault := accounts.key_fault(key.key)) is not None:
            raise UsageError(
                f"'{parsed.name}', line {key.lineno}: '{key.key}' is no public key: {fault}",
                hint="write the whole line of a .pub file, in quotes",
            )
    for link in handler.network.network:
        if link.hostname and (fault := host_fault(link.hostname)) is not None:
            raise UsageError(
                f"'{parsed.name}', line {link.lineno}: no machine can be called '{link.hostname}'",
                hint=fault,
            )


def group_name(value: str | tuple[str, object]) -> str:
    """Return a group's name, which pykickstart gives alone or with a number."""
    return (value[0] if isinstance(value, tuple) else value).partition("(")[0].strip()


def _of_packages(handler: Any) -> Iterator[tuple[int, str, str | None]]:  # noqa: ANN401
    sources = [("url", handler.url)] if handler.url.seen else []
    sources += [("repo", repo) for repo in handler.repo.repoList]
    for word, source in sources:
        if word == "repo" and not source.baseurl:
            yield source.lineno, "repo without --baseurl", None
        for attribute in _OF_SOURCES:
            if getattr(source, attribute, None):
                yield source.lineno, f"{word} --{attribute}", None
        for attribute in ("url", "mirrorlist", "metalink", "baseurl"):
            url = getattr(source, attribute, None)
            if url and not _URL.fullmatch(url):
                hint = "write one URL of http, https, ftp or file; blanks in it as %20"
                yield source.lineno, f"{word} --{attribute}={url}", hint
    found = handler.packages
    for option, there in (
        ("--default", found.default),
        ("--inst-langs", found.instLangs is not None),
        ("--multilib", found.multiLib),
    ):
        if there:
            yield 0, f"%packages {option}", None
    for group in found.groupList:
        if group.include != _DEFAULT_GROUP:
            yield 0, f"@{group.name} with options", "name the packages that you want of it"
    for group in found.excludedGroupList:
        yield 0, f"-@{group.name}", "leave out its packages by their names"


def _of_storage(handler: Any) -> Iterator[tuple[int, str, object]]:  # noqa: ANN401
    auto = handler.autopart
    if auto.seen:
        yield auto.lineno, "autopart --type", auto.type not in _PLAIN
        yield auto.lineno, "autopart --encrypted", auto.encrypted
    for part in handler.partition.partitions:
        yield part.lineno, "--encrypted", part.encrypted
        yield part.lineno, "--onpart", part.onPart
        yield part.lineno, "--noformat", not part.format
        yield part.lineno, f"a partition for {part.mountpoint}", part.mountpoint not in _PLACES
