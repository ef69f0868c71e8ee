"""A kickstart as this installer takes it: what is to be done, or why it cannot be.

The language is pykickstart's; commands outside the table are refused by name and line, before
anything is touched. Semantics: pykickstart's "Kickstart Documentation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..blueprint.model import Firewall
from ..errors import UsageError
from ..layout import Role
from ..link import Link
from ..units import MIB
from . import language, limits, links
from .language import Parsed
from .limits import FILESYSTEMS

FIREWALLD: Final = "firewalld"
_NO_FIREWALL: Final = Firewall()
_ENDS: Final = {0: "halt", 1: "reboot", 2: "poweroff"}  # of pykickstart's actions
_MOUNTS: Final = {
    "/": Role.ROOT, "/boot": Role.BOOT, "/boot/efi": Role.ESP, "biosboot": Role.BIOS_BOOT,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """What ``ostreecontainer`` says."""

    transport: str
    url: str
    stateroot: str | None = None  # as the image says


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """Where packages come from, and which; ``repositories`` maps names to further URLs."""

    url: str | None
    kind: str = "url"
    repositories: Mapping[str, str] = field(default_factory=dict[str, str])
    names: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    missing_allowed: bool = False
    weak_dependencies: bool = True
    documentation: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the installed machine; ``crypted`` says what ``password`` is."""

    name: str
    password: str | None = None
    crypted: bool = False
    locked: bool = False
    groups: tuple[str, ...] = ()
    shell: str | None = None
    uid: int | None = None
    gid: int | None = None
    gecos: str | None = None
    home: str | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One %pre or %post."""

    body: str
    interpreter: str
    line: int
    must_work: bool
    in_target: bool
    log: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """``disks`` as named (kernel names, or links below /dev); ``erase`` allows what they hold."""

    disks: tuple[str, ...] = ()
    erase: bool = False
    filesystem: str | None = None
    sizes: Mapping[Role, int] = field(default_factory=dict[Role, int])  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole installation. Exactly one of ``image`` and ``packages`` is set."""

    image: ImageSource | None = None
    packages: PackageSource | None = None
    storage: Storage = Storage()
    kargs: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    root: Account | None = None
    language: str | None = None
    keyboard: str | None = None
    timezone: str | None = None
    ntp_servers: tuple[str, ...] = ()
    ntp: bool = True
    hostname: str | None = None
    links: tuple[Link, ...] = ()
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    groups: Mapping[str, int | None] = field(
        default_factory=dict[str, int | None]
    )  # their numbers, where given
    selinux: str | None = None
    firewall: Firewall = _NO_FIREWALL
    after: tuple[Script, ...] = ()
    end: str | None = None  # poweroff, reboot or halt; None: whoever is there is asked


def scripts_before(text: str, version: str, name: str) -> tuple[Script, ...]:
    """Return the %pre scripts of a kickstart, whose includes may not be there yet.

    Raises UsageError naming the file and the line.
    """
    return tuple(_scripts(language.parse(text, version, name).handler.scripts, 0))


def parse(text: str, version: str, name: str) -> Recipe:
    """Return the recipe of a kickstart. Raises UsageError naming the file and the line."""
    return of(language.parse(text, version, name, includes=True))


def of(parsed: Parsed) -> Recipe:
    """Return the recipe of a kickstart that was parsed. Raises UsageError with file and line."""
    made = check(parsed)
    name = parsed.name
    if made.image is None and made.packages is None:
        raise UsageError(
            f"'{name}' says neither which image nor which packages to install",
            hint="give it 'ostreecontainer', or 'url' and %packages",
        )
    if made.image is not None and made.packages is not None:
        raise UsageError(
            f"'{name}' has both 'ostreecontainer' and %packages", hint="remove one of them"
        )
    return made


def check(parsed: Parsed) -> Recipe:
    """Return what a kickstart says so far, which another may complete; raises as ``of`` does."""
    limits.check(parsed)
    handler, name = parsed.handler, parsed.name
    return Recipe(
        image=_image(handler),
        packages=_packages(handler),
        storage=_storage(handler, name),
        kargs=_kargs(handler),
        accounts=tuple(_accounts(handler)),
        root=_root(handler),
        language=handler.lang.lang or None,
        keyboard=_keyboard(handler),
        timezone=handler.timezone.timezone or None,
        ntp_servers=_ntp_servers(handler),
        ntp=_ntp(handler),
        hostname=next((n.hostname for n in handler.network.network if n.hostname), None),
        links=links.of_kickstart(handler, name),
        enabled=(*(handler.services.enabled or ()), *_firewalld(handler, enabled=True)),
        disabled=(*(handler.services.disabled or ()), *_firewalld(handler, enabled=False)),
        groups={group.name: group.gid for group in handler.group.groupList},
        selinux={0: "disabled", 1: "enforcing", 2: "permissive"}.get(handler.selinux.selinux),
        firewall=_firewall(handler),
        after=tuple(_scripts(handler.scripts, 1)),
        end=_end(handler),
    )


def _image(handler: Any) -> ImageSource | None:  # noqa: ANN401
    command = handler.ostreecontainer
    if not command.seen:
        return None
    return ImageSource(
        transport=command.transport or "registry",
        url=command.url,
        stateroot=command.stateroot or None,
    )


def _packages(handler: Any) -> PackageSource | None:  # noqa: ANN401
    found = handler.packages
    if not found.seen:
        return None
    url = handler.url
    kind = next((k for k in ("mirrorlist", "metalink") if getattr(url, k, None)), "url")
    names = [f"@^{found.environment}"] if found.environment else []
    names += [] if found.nocore else ["@core"]
    names += [f"@{group.name}" for group in found.groupList]
    return PackageSource(
        url=getattr(url, kind, None) if url.seen else None,
        kind=kind,
        repositories={repo.name: repo.baseurl for repo in handler.repo.repoList if repo.baseurl},
        names=tuple(dict.fromkeys((*names, *found.packageList))),
        excluded=tuple(found.excludedList),
        missing_allowed=bool(found.handleMissing or found.handleBroken),
        weak_dependencies=not found.excludeWeakdeps,
        documentation=not found.excludeDocs,
    )


def _storage(handler: Any, name: str) -> Storage:  # noqa: ANN401
    disks: list[str] = [*(handler.ignoredisk.onlyuse or ()), *(handler.clearpart.drives or ())]
    filesystem: str | None = handler.autopart.fstype or None
    sizes: dict[Role, int] = {}
    for part in handler.partition.partitions:
        disks += [part.disk] * bool(part.disk)
        role = _MOUNTS[part.mountpoint]
        if role is Role.ROOT:
            filesystem = part.fstype or filesystem
        elif part.size:
            sizes[role] = part.size * MIB
    if filesystem is not None and filesystem not in FILESYSTEMS:
        raise UsageError(
            f"'{name}' wants the root filesystem '{filesystem}'",
            hint="this installer makes: " + ", ".join(FILESYSTEMS),
        )
    return Storage(
        disks=tuple(dict.fromkeys(disks)),
        erase=limits.clears_all(handler),
        filesystem=filesystem,
        sizes=sizes,
    )


def _kargs(handler: Any) -> tuple[str, ...]:  # noqa: ANN401
    return tuple((handler.bootloader.appendLine or "").split())


def _accounts(handler: Any) -> Iterator[Account]:  # noqa: ANN401
    keys: dict[str, list[str]] = {}
    for key in handler.sshkey.sshUserList:
        keys.setdefault(key.username, []).append(key.key)
    for user in handler.user.userList:
        yield Account(
            name=user.name,
            password=user.password or None,
            crypted=bool(user.isCrypted),
            locked=bool(user.lock),
            groups=tuple(limits.group_name(group) for group in user.groups),
            shell=user.shell or None,
            uid=user.uid,
            gid=user.gid,
            gecos=user.gecos or None,
            home=user.homedir or None,
            keys=tuple(keys.pop(user.name, ())),
        )
    for name, lines in keys.items():
        if name != "root":
            yield Account(name=name, keys=tuple(lines))


def _firewalld(handler: Any, *, enabled: bool) -> Iterator[str]:  # noqa: ANN401
    """Yield the firewall's unit, where a kickstart wants it so."""
    command = handler.firewall
    chosen = command.seen and not getattr(command, "use_system_defaults", None)
    if chosen and bool(command.enabled) == enabled:
        yield FIREWALLD


def _firewall(handler: Any) -> Firewall:  # noqa: ANN401
    """Return what is let in, as firewall-offline-cmd(1) has it of the same words."""
    command = handler.firewall
    if not any(True for _unit in _firewalld(handler, enabled=True)):
        return Firewall()
    return Firewall(
        ports=tuple(command.ports or ()),
        enabled=tuple(command.services or ()),
        disabled=tuple(getattr(command, "remove_services", None) or ()),
        trusted=tuple(command.trusts or ()),
    )


def _root(handler: Any) -> Account | None:  # noqa: ANN401
    command = handler.rootpw
    keys = tuple(key.key for key in handler.sshkey.sshUserList if key.username == "root")
    if not command.seen and not keys:
        return None
    return Account(
        name="root",
        password=command.password or None,
        crypted=bool(command.isCrypted),
        locked=bool(command.lock),
        keys=keys,
    )


def _keyboard(handler: Any) -> str | None:  # noqa: ANN401
    command = handler.keyboard
    return (
        command.vc_keymap or next(iter(command.x_layouts or ()), None) or command.keyboard or None
    )


def _ntp_servers(handler: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return who tells the time: pools are names, too, with an address or more."""
    older = getattr(handler.timezone, "ntpservers", None) or ()
    sources = [one.ntp_server or one.ntp_pool for one in handler.timesource.timesource_list]
    return tuple(dict.fromkeys(filter(None, (*older, *sources))))


def _scripts(scripts: list[Any], kind: int) -> Iterator[Script]:
    """Yield %pre (kind 0) or %post (1) in order."""
    for script in scripts:
        if script.type == kind:
            yield Script(
                body=script.script,
                interpreter=script.interp,
                line=script.lineno,
                must_work=bool(script.errorOnFail),
                in_target=bool(script.inChroot) and kind == 1,
                log=script.logfile or None,
            )


def _ntp(handler: Any) -> bool:  # noqa: ANN401
    """Say whether what sets the clock by the network may run."""
    older = getattr(handler.timezone, "nontp", False)
    return not (older or any(one.ntp_disable for one in handler.timesource.timesource_list))


def _end(handler: Any) -> str | None:  # noqa: ANN401
    command = handler.reboot  # one for all four of them
    return _ENDS.get(command.action) if command.seen else None
