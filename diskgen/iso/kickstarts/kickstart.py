"""The kickstarts that diskgen writes: the fragments of ``kickstart/``, and commands, by value.

Commands: pykickstart's documentation ("Kickstart Documentation"); which installer implements which
is in the table. Every text is checked by pykickstart for the installer's version.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from ...blueprint.model import ROOT, Customizations, User
from ...config import MODES, ONLY_DISK
from ...decision.setup import joined
from ...errors import UsageError
from ...kickstart import language, limits
from ...link import Link
from . import accounts, described, partitions, probe, values
from .command import AT_END, COMPLETING, Command, text_of

UNVERIFIED_ORIGIN: Final = "ostree-unverified-registry:"
MEDIUM: Final = "/run/install/repo/diskgen"  # where an installer mounts our part of the medium
FOUND_DISK: Final = "%include /tmp/diskgen-disk.ks"  # what disk.ks writes: the only disk
_LATER: Final = "@@REF@@"  # is replaced in the installer, when the reference is known
_NETWORK: Final = "network --bootproto=dhcp --device=link --activate --onboot=on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """Where traditional mode gets packages from, and which; ``command`` names the kind of URL."""

    url: str  # a mirror, a mirror list, or file: below MEDIUM
    kind: str = "url"  # or mirrorlist, metalink
    names: tuple[str, ...] = ("@core",)  # groups with @, environments with @^
    chosen: bool = False  # by the user, not by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the installed machine is to be; None and empty leave it to whoever installs."""

    reference: str  # what the machine updates from
    digest: str
    stateroot: str = "default"  # empty: whichever the image asks for, when it is read
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
    root_keys: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    graphical: bool = False  # the image's default target
    kargs: tuple[str, ...] = ()
    completion: tuple[str, ...] = ()  # what kargs cannot say, as Decision.completed
    package_kargs: tuple[str, ...] = ()  # where packages are installed
    subvolume: str = "root"  # the root, on btrfs
    boot: str = "reqpart --add-boot"  # the commands that make it
    described: Customizations = field(default_factory=Customizations)  # all of it
    there: tuple[str, ...] = ()  # accounts of the image, as far as it was read
    groups: tuple[str, ...] = ()  # of the image
    homeless: tuple[str, ...] = ()  # its accounts whose homes its first boot makes
    anaconda: bool = False  # kickstarts say all of it: ours reads what is described from a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattended:
    """An installation that asks nothing.

    ``disk`` is a kernel name or a link below /dev, or ONLY_DISK; ``setting`` the option for it.
    """

    disk: str
    setting: str = "unattended"
    filesystem: str | None = None  # of the root; None: the installer decides
    gpt: bool = True


def fragments(settings: Settings, version: str) -> Mapping[str, str]:
    """Return the kickstarts of a medium by file name, all checked. Raises UsageError."""
    common = {mode: tuple(named(for_mode(settings, mode))) for mode in MODES}
    offline = payload(settings, mode="image", offline=True)
    packages = payload(settings, mode="package", offline=True) if settings.packages else ()
    made = {
        "chooser.ks": text_of((started(),))
        + values.fill(
            "chooser.ks",
            PRODUCT=values.plain(settings.product, "product"),
            REFERENCE=values.reference(settings.reference),
            PAYLOAD=values.word(settings.payload, "payload"),
            UP=probe.up(settings.links),
            DOWN=probe.down(settings.links),
        ),
        "image-offline.ks": text_of((*common["image"], *offline)),
        "image-remote.ks": text_of(
            (*common["image"], *_image(settings, "registry", _LATER, _LATER))
        ),
        "package.ks": text_of((*common["package"], *packages)),
    }
    for name, text in made.items():
        language.parse(text, version, name)
    return MappingProxyType(made)


def unattended(
    settings: Settings, how: Unattended, version: str, *, mode: str, offline: bool
) -> str:
    """Return a whole kickstart that erases ``how.disk`` and installs without a question.

    Raises UsageError for what the installer would not take.
    """
    commands = (started(), *machine(for_mode(settings, mode), how))
    commands = (*commands, *payload(settings, mode=mode, offline=offline))
    text = text_of(commands)
    language.parse(text, version, f"unattended-{mode}.ks")
    return text


def for_mode(settings: Settings, mode: str) -> Settings:
    """Return what machines of a mode are: those of the image have its group of administrators."""
    if mode != "image":
        return settings
    wanted = settings.described
    users, all_users = (
        tuple(replace(user, groups=joined(user.groups, settings.groups.__contains__))
              for user in those)
        for those in (settings.users, wanted.users)
    )  # fmt: skip
    return replace(settings, users=users, described=replace(wanted, users=all_users))


def started() -> Command:
    """Return the script that stops on another medium than the one that was started."""
    return Command(word="%pre", text=values.fill("medium.ks"))


def machine(settings: Settings, how: Unattended) -> Iterator[Command]:
    """Yield the commands for a machine that nobody is asked about, and its disk."""
    yield from _storage(settings, how)
    yield Command(word="text", text="text")
    yield from named(
        replace(
            settings,
            language=settings.language or "en_US.UTF-8",
            keyboard=settings.keyboard or "us",
            timezone=settings.timezone or "UTC",
        ),
        given=settings,
    )
    if not (settings.hostname or settings.links):
        yield Command(word="network", text=_NETWORK)
    if not settings.root_password:
        yield Command(word="rootpw", text="rootpw --lock")
    yield Command(word="poweroff", text="poweroff")


def payload(settings: Settings, *, mode: str, offline: bool) -> tuple[Command, ...]:
    """Return the payload's part of a kickstart. Raises UsageError without a source of packages."""
    if mode == "package":
        return tuple(_package(settings))
    where = ("oci", f"{MEDIUM}/container") if offline else ("registry", settings.reference)
    return tuple(_image(settings, *where, settings.reference))


def _storage(settings: Settings, how: Unattended) -> Iterator[Command]:
    yield from _disk(settings, how.disk, how.setting)
    label = " --disklabel=gpt" if how.gpt else ""
    least = settings.described.sizes.get("/", 0)
    for line in (
        "zerombr",
        f"clearpart --all --initlabel{label}",
        *settings.boot.splitlines(),
        *partitions.root(how.filesystem, settings.subvolume, least).splitlines(),
    ):
        yield Command(word=line.partition(" ")[0], text=line, setting=how.setting)


def _disk(settings: Settings, name: str, setting: str) -> Iterator[Command]:
    """Yield what says which disk is taken. Our own installer takes the only one by itself."""
    disk = values.word(name.removeprefix("/dev/"), setting)
    if limits.is_partition(disk):
        raise UsageError(
            f"'{name}' is a partition", hint="name the whole disk, such as vda", setting=setting
        )
    text = f"# Written by diskgen. ERASES this disk.\nignoredisk --only-use={disk}"
    if disk == ONLY_DISK:
        text = "# Written by diskgen. ERASES the one disk that the machine has."
        if settings.anaconda:
            yield Command(word="%pre", text=values.fill("disk.ks"))
            text += f"\n{FOUND_DISK}"
    yield Command(word="ignoredisk", text=text, setting=setting)


def _image(settings: Settings, transport: str, url: str, reference: str) -> Iterator[Command]:
    yield from _image_lines(settings)
    verified = settings.verified and transport == "registry"
    place = url if url == _LATER else values.word(url)
    asked = values.word(settings.stateroot) if settings.stateroot else None
    source = [
        "ostreecontainer",
        f"--transport={transport}",
        f"--url={place}",
        *([f"--stateroot={asked}"] if asked else []),
        *([] if verified else ["--no-signature-verification"]),
    ]
    yield Command(word="ostreecontainer", text=" ".join(source))
    stateroot, rule = asked or "*", values.word(settings.rule, "target-signature")
    script = values.fill(
        "origin.ks",
        STATEROOT=stateroot,
        URL=place,
        REFERENCE=reference if reference == _LATER else values.reference(reference),
        RULE=rule,
    )
    yield Command(word="%post", text=script)
    if settings.completion:
        yield completing(settings.completion)
    yield from _remote(settings)
    digest = values.word(settings.digest) if transport == "oci" else ""
    script = values.fill("end.ks", STATEROOT=stateroot, ALLOWED=_allowed(rule), DIGEST=digest)
    yield Command(word=AT_END, text=script)
    yield Command(word=AT_END, text=values.fill("done.ks"))


def completing(lines: tuple[str, ...]) -> Command:
    """Return the script that makes the kernel arguments what ``bootloader`` cannot say."""
    script = values.fill("kargs.ks", ARGUMENTS="\n".join(lines))
    return Command(word=COMPLETING, text=script, values=lines)


def _allowed(rule: str) -> str:
    """Return what may stand before a reference in an origin, as an extended regular expression.

    Only what nothing verified may become something that is.
    """
    place = "(docker://|registry:)"
    if rule == UNVERIFIED_ORIGIN:
        kinds = "unverified-image|image-signed|remote-image:[^:/]+"
        return f"ostree-(unverified-registry|remote-registry:[^:/]+):|ostree-({kinds}):{place}"
    _kind, _colon, rest = rule.partition(":")
    if rule.startswith("ostree-remote-registry:"):
        remote = re.escape(rest.partition(":")[0])
        return f"ostree-remote-registry:{remote}:|ostree-remote-image:{remote}:{place}"
    return f"ostree-image-signed:{place}"


def _remote(settings: Settings) -> Iterator[Command]:
    """Yield the script that tells a machine the remote whose key verifies its updates."""
    if settings.remote is None:
        return
    name, key = settings.remote
    script = values.fill(
        "remote.ks",
        REMOTE=values.word(name, "target-signature"),
        HOST=values.word(settings.reference.partition("/")[0], "target-imgref"),
        KEY=base64.encodebytes(key).decode().rstrip(),
    )
    yield Command(word="%post", text=script)


def _image_lines(settings: Settings) -> Iterator[Command]:
    if settings.graphical:  # or Anaconda makes it a machine that boots to text
        yield Command(word="xconfig", text="xconfig --startxonboot")
    yield from _bootloader(settings.kargs, settings)


def _bootloader(kargs: Iterable[str], settings: Settings) -> Iterator[Command]:
    """Yield the command for kernel arguments, which may be the image's alone."""
    found = tuple(values.plain(karg, "install-karg") for karg in kargs)
    if found:
        text = f'bootloader --append="{" ".join(found)}"'
        setting = "install-karg" if settings.package_kargs else None
        yield Command(word="bootloader", text=text, setting=setting, values=found)


def _package(settings: Settings) -> Iterator[Command]:
    source = settings.packages
    if source is None:
        raise UsageError("there is no source of packages", setting="packages")
    if source.kind not in ("url", "mirrorlist", "metalink"):
        raise UsageError(f"'{source.kind}' is no kind of a package source", setting="packages")
    yield from _bootloader(settings.package_kargs, settings)
    text = f'url --{source.kind}="{values.url(source.url)}"'
    yield Command(word="url", text=text, setting="packages")
    names = tuple(values.package_name(name) for name in source.names)
    yield Command(
        word="%packages",
        text="\n".join(("%packages", *names, "%end")),
        setting="package" if source.chosen else None,
        values=names,
    )
    yield Command(word=AT_END, text=values.fill("package.ks"))
    yield Command(word=AT_END, text=values.fill("done.ks"))


def named(settings: Settings, *, given: Settings | None = None) -> Iterator[Command]:
    """Yield the commands for what the settings name; of a default, ``given`` does not have it."""
    given = given or settings
    if settings.language:
        text = f"lang {values.word(settings.language, 'language')}"
        yield Command(word="lang", text=text, setting="language" if given.language else None)
    if settings.keyboard:
        text = f"keyboard {values.keyboard(settings.keyboard)}"
        yield Command(word="keyboard", text=text, setting="keyboard" if given.keyboard else None)
    if settings.timezone:
        text = f"timezone {values.word(settings.timezone, 'timezone')} --utc"
        yield Command(word="timezone", text=text, setting="timezone" if given.timezone else None)
    yield from _network(settings)
    if settings.root_password:
        crypted = values.crypted(settings.root_password, "root-password-hash")
        text = f"rootpw --iscrypted '{crypted}'"
        yield Command(word="rootpw", text=text, setting="root-password-hash")
    yield from accounts.keys(ROOT, settings.root_keys)
    if settings.anaconda:
        yield from described.groups(settings.described)
    for user in settings.users:
        # Its home may be made by the first boot alone, and Anaconda ends without one.
        keyed = not (settings.anaconda and user.name in settings.there)
        yield from accounts.account(user if keyed else replace(user, keys=()))
    if settings.anaconda:
        yield from described.commands(settings.described, settings.there)


def _network(settings: Settings) -> Iterator[Command]:
    """Yield a line for each device; the first one has the machine's name, too."""
    name = f"--hostname={values.word(settings.hostname, 'hostname')}" if settings.hostname else None
    for link in settings.links:
        words = [*values.device(link), *([name] if name else [])]
        yield Command(
            word="network",
            text=" ".join(words),
            setting="network",
            values=(link.device or "link",),
            hostname=settings.hostname if name else None,
        )
        name = None
    if name:
        text = f"{_NETWORK} {name}"
        yield Command(word="network", text=text, setting="hostname", hostname=settings.hostname)
