"""Kickstarts for Anaconda: the fragments of ``kickstart/`` filled in, users' own ones merged.

Commands: pykickstart's documentation ("Kickstart Documentation"); which installer implements which
is in the table. Every text is checked by pykickstart for the installer's version.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pykickstart.base import BaseHandler
from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from .. import resources
from ..config import KICKSTART_VERSIONS, User
from ..errors import UsageError
from ..link import Link, Way, is_mac
from ..link import named as device_named
from . import partitions

VERSIONS: Final = KICKSTART_VERSIONS  # of installers
UNVERIFIED_ORIGIN: Final = "ostree-unverified-registry:"
MEDIUM: Final = "/run/install/repo/diskgen"  # where an installer mounts our part of the medium
_LATER: Final = "@@REF@@"  # is replaced in the installer, when the reference is known
_NETWORK: Final = "network --bootproto=dhcp --device=link --activate --onboot=on"
_ROOM: Final = "kickstart"
_PLACEHOLDER: Final = re.compile(r"(?<!@)@([A-Z]+)@(?!@)")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:/+-]*", re.ASCII)
_HASH: Final = re.compile(r"\$[A-Za-z0-9./$,=_-]+")  # crypt(5)
_PLAIN: Final = re.compile(r"[^'\"\\$`\n\0]+")
# What is always ours in an image-mode kickstart, so that a user's own must not have it.
_PAYLOADS: Final = ("ostreecontainer", "ostreesetup", "bootc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """Where traditional mode gets packages from, and which; ``command`` names the kind of URL."""

    url: str  # a mirror, a mirror list, or file: below MEDIUM
    kind: str = "url"  # or mirrorlist, metalink
    names: tuple[str, ...] = ("@core",)  # groups with @, environments with @^


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the installed machine is to be; None and empty leave it to whoever installs."""

    reference: str  # what the machine updates from
    digest: str
    stateroot: str = "default"
    rule: str = UNVERIFIED_ORIGIN  # what is before the reference in the origin
    verified: bool = False  # the installer's policy says who signs what it fetches
    remote: tuple[str, bytes] | None = None  # an ostree remote, and the key of its signatures
    product: str = "this system"
    payload: str = "embedded"  # one of config.PAYLOADS
    packages: Packages | None = None
    language: str | None = None
    keyboard: str | None = None
    timezone: str | None = None
    hostname: str | None = None
    users: tuple[User, ...] = ()
    root_password: str | None = None  # crypted
    links: tuple[Link, ...] = ()
    graphical: bool = False  # the image's default target
    kargs: tuple[str, ...] = ()
    package_kargs: tuple[str, ...] = ()  # where packages are installed
    boot: str = "reqpart --add-boot"  # the commands that make it


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattended:
    """An installation that asks nothing. ``disk`` is a kernel name or a link below /dev."""

    disk: str
    filesystem: str | None = None  # of the root; None: the installer decides
    gpt: bool = True


def fragments(settings: Settings, version: str) -> Mapping[str, str]:
    """Return the kickstarts of a medium by file name, all checked. Raises UsageError."""
    common = named(settings)
    made = {
        "chooser.ks": _fill(
            "chooser.ks",
            PRODUCT=_plain(settings.product, "product"),
            REFERENCE=_reference(settings.reference),
            PAYLOAD=_word(settings.payload, "payload"),
        ),
        "image-offline.ks": common + payload(settings, mode="image", offline=True),
        "image-remote.ks": common + _image(settings, "registry", _LATER, _LATER),
        "package.ks": common + (_package(settings) if settings.packages is not None else ""),
    }
    for name, text in made.items():
        check(text, version, name)
    return MappingProxyType(made)


def unattended(
    settings: Settings, how: Unattended, version: str, *, mode: str, offline: bool
) -> str:
    """Return a whole kickstart that erases ``how.disk`` and installs without a question.

    Raises UsageError for what the installer would not take.
    """
    storage = _fill(
        "storage.ks",
        DISK=_word(how.disk.removeprefix("/dev/"), "disk"),
        DISKLABEL="--disklabel=gpt" if how.gpt else "",
        BOOT=settings.boot,
        ROOT=partitions.root(how.filesystem),
    )
    lines = ["text", *_machine(settings), "poweroff"]
    text = storage + "\n".join(lines) + "\n" + payload(settings, mode=mode, offline=offline)
    check(text, version, f"unattended-{mode}.ks")
    return text


def payload(settings: Settings, *, mode: str, offline: bool) -> str:
    """Return the payload's part of a kickstart. Raises UsageError without a source of packages."""
    if mode == "package":
        return _package(settings)
    where = ("oci", f"{MEDIUM}/container") if offline else ("registry", settings.reference)
    return _image(settings, *where, settings.reference)


def named(settings: Settings) -> str:
    """Return the commands for what the settings name, which a user's own may follow."""
    return "".join(f"{line}\n" for line in _named(settings))


def merge(own: str, user: str, version: str, name: str, links: Sequence[Link] = ()) -> str:
    """Return ``user``'s kickstart with the payload and the scripts of ``own`` behind it.

    Raises UsageError naming file and line for what the installer does not know, and for a payload
    or for one of the devices ``links`` of the user's, which would contradict ours.
    """
    handler = check(user, version, name)
    for command in _PAYLOADS:
        data = getattr(handler, command, None)
        if data is not None and data.seen:
            raise UsageError(
                f"'{name}' has its own '{command}' (line {data.lineno})",
                hint="leave it out: diskgen writes that command, and what belongs to it",
                setting="kickstart",
            )
    ours = {link.device for link in links}
    for line in handler.network.network:
        device = device_named(line.device)
        if device in ours and (line.device or not line.hostname):
            raise UsageError(
                f"'{name}' sets up the device '{device or 'link'}' as well (line {line.lineno})",
                hint="leave it out there or here",
                setting="network",
            )
    section = re.search(r"^%packages\b", user, re.MULTILINE)
    if section is not None and any(command in own for command in _PAYLOADS):
        line = user.count("\n", 0, section.start()) + 1
        raise UsageError(
            f"'{name}' has a section %packages (line {line}), which image mode would ignore",
            hint="leave it out, or give it for traditional mode",
            setting="kickstart",
        )
    return user.rstrip("\n") + "\n" + own


def check(text: str, version: str, name: str) -> BaseHandler:
    """Parse a kickstart as an installer of that version does; return what pykickstart made of it.

    Includes are not followed. Raises UsageError naming file and line.
    """
    if version not in VERSIONS:
        raise UsageError(
            f"'{version}' is no version of an installer", hint="known are: " + ", ".join(VERSIONS)
        )
    handler = makeVersion(version)
    parser = KickstartParser(handler, followIncludes=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of commands that go away in later versions
            parser.readKickstartFromString(text)
    except KickstartError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(
            f"'{name}'{line}: {str(error.message).strip()}",
            hint=f"the installer's version of the language is {version}",
            setting="kickstart",
        ) from error
    except ValueError as error:  # of quotes without an end
        lines = text.splitlines()
        wrong = parser._line.rstrip("\n")  # noqa: SLF001
        number = f", line {lines.index(wrong) + 1}" if wrong in lines else ""
        raise UsageError(f"'{name}'{number}: {error}", setting="kickstart") from error
    return handler


def _image(settings: Settings, transport: str, url: str, reference: str) -> str:
    head = "".join(f"{line}\n" for line in _image_lines(settings))
    verified = settings.verified and transport == "registry"
    text = _fill(
        "image.ks",
        TRANSPORT=transport,
        URL=url if url == _LATER else _word(url, "image"),
        STATEROOT=_word(settings.stateroot, "stateroot"),
        VERIFICATION="" if verified else "--no-signature-verification",
        REFERENCE=reference if reference == _LATER else _reference(reference),
        RULE=_word(settings.rule, "target-signature"),
        DIGEST=_word(settings.digest, "image") if transport == "oci" else "",
    )
    return head + text + _remote(settings) + _fill("done.ks")


def _remote(settings: Settings) -> str:
    """Return the script that tells a machine the remote whose key verifies its updates."""
    if settings.remote is None:
        return ""
    name, key = settings.remote
    return _fill(
        "remote.ks",
        REMOTE=_word(name, "target-signature"),
        HOST=_word(settings.reference.partition("/")[0], "target-imgref"),
        KEY=base64.encodebytes(key).decode().rstrip(),
    )


def _image_lines(settings: Settings) -> Iterator[str]:
    if settings.graphical:  # or Anaconda makes it a machine that boots to text
        yield "xconfig --startxonboot"
    yield from _bootloader(settings.kargs)


def _bootloader(kargs: Sequence[str]) -> Iterator[str]:
    if kargs:
        yield f'bootloader --append="{" ".join(_plain(karg, "karg") for karg in kargs)}"'


def _package(settings: Settings) -> str:
    source = settings.packages
    if source is None:
        raise UsageError("there is no source of packages", setting="packages")
    if source.kind not in ("url", "mirrorlist", "metalink"):
        raise UsageError(f"'{source.kind}' is no kind of a package source", setting="packages")
    names = "\n".join(_package_name(name) for name in source.names)
    head = "".join(f"{line}\n" for line in _bootloader(settings.package_kargs))
    text = _fill("package.ks", SOURCE=f'url --{source.kind}="{_url(source.url)}"', PACKAGES=names)
    return head + text + _fill("done.ks")


def _machine(settings: Settings) -> Iterator[str]:
    """Yield the commands for a machine that nobody is asked about."""
    yield from _named(
        replace(
            settings,
            language=settings.language or "en_US.UTF-8",
            keyboard=settings.keyboard or "us",
            timezone=settings.timezone or "UTC",
        )
    )
    if not (settings.hostname or settings.links):
        yield _NETWORK
    if not settings.root_password:
        yield "rootpw --lock"


def _named(settings: Settings) -> Iterator[str]:
    """Yield the commands for what the settings name."""
    if settings.language:
        yield f"lang {_word(settings.language, 'language')}"
    if settings.keyboard:
        yield f"keyboard {_word(settings.keyboard, 'keyboard')}"
    if settings.timezone:
        yield f"timezone {_word(settings.timezone, 'timezone')} --utc"
    yield from _network(settings)
    if settings.root_password:
        crypted = _crypted(settings.root_password, "root-password-hash")
        yield f"rootpw --iscrypted '{crypted}'"
    for user in settings.users:
        words = [f"user --name={_word(user.name, 'user')}"]
        if user.groups:
            words.append("--groups=" + ",".join(_word(group, "user") for group in user.groups))
        if user.password:
            crypted = _crypted(user.password, "user-password-hash")
            words.append(f"--iscrypted --password='{crypted}'")
        else:
            words.append("--lock")
        yield " ".join(words)
        if user.key:
            yield f'sshkey --username={user.name} "{_plain(user.key, "user-key")}"'


def _network(settings: Settings) -> Iterator[str]:
    """Yield a line for each device; the first one has the machine's name, too."""
    lines = [" ".join(_device(link)) for link in settings.links]
    if settings.hostname:
        lines = lines or [_NETWORK]
        lines[0] += f" --hostname={_word(settings.hostname, 'hostname')}"
    yield from lines


def _device(link: Link) -> Iterator[str]:
    """Yield the words of a device's line, which mean the same to every installer."""
    device = link.device or "link"
    yield f"network --device={device} --activate --onboot={'on' if link.on_boot else 'off'}"
    if is_mac(device):
        yield "--bindto=mac"
    v4, v6 = link.v4, link.v6
    if v4.address is not None:
        yield f"--bootproto=static --ip={v4.address.ip} --netmask={v4.address.netmask}"
    else:
        yield "--noipv4" if v4.way is Way.OFF else "--bootproto=dhcp"
    if v6.address is not None:
        yield f"--ipv6={v6.address}"
    elif v6.way is not Way.AUTO:
        yield "--noipv6" if v6.way is Way.OFF else "--ipv6=dhcp"
    for option, value in (
        ("gateway", v4.gateway),
        ("ipv6gateway", v6.gateway),
        ("nameserver", ",".join(map(str, link.servers))),
        ("mtu", link.mtu),
        ("ipv4-dns-search", ",".join(v4.search)),
        ("ipv6-dns-search", ",".join(v6.search)),
    ):
        if value:
            yield f"--{option}={value}"


def _fill(name: str, **values: str) -> str:
    """Return a fragment with its placeholders replaced; all of them, and no others."""
    template = resources.text(_ROOM, name)
    found = set(_PLACEHOLDER.findall(template))
    if found != values.keys():
        raise ValueError(f"{name} has the placeholders {found}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _matching(pattern: re.Pattern[str], text: str, setting: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"'{text}' cannot be written into a kickstart", setting=setting)
    return text


def _word(text: str, setting: str) -> str:
    return _matching(_WORD, text, setting) if not text.startswith("/") else "/" + _matching(
        _WORD, text[1:], setting
    )  # fmt: skip


def _plain(text: str, setting: str) -> str:
    return _matching(_PLAIN, text, setting)


def _reference(text: str) -> str:
    return _matching(_REFERENCE, text, "target-imgref")


def _url(text: str) -> str:
    return _matching(re.compile(r"(https?|ftp|file)://[^\s'\"\\`]+"), text, "packages")


def _package_name(text: str) -> str:
    return _matching(re.compile(r"-?@?\^?[A-Za-z0-9][A-Za-z0-9._+*-]*"), text, "packages")


def _crypted(text: str, setting: str) -> str:
    return _matching(_HASH, text, setting)
