"""Everything that a machine is given, written in the order in which it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..blueprint.errors import SETTING, BlueprintError
from ..blueprint.model import Customizations, Services
from ..blueprint.summary import left_out
from ..decision import naming, setup
from ..decision.system import Tree
from ..errors import Problem
from ..kickstart.recipe import Account, Recipe
from ..ostree.deploy import Sysroot
from ..ostree.facts import TreeFacts
from ..ostree.repository import copy
from ..tree import Directory
from . import firewall, network, settings, units
from .accounts import Accounts
from .added import add_directory, add_file
from .files import Files, RefusalError
from .homes import make_home

_DAY: Final = 24 * 60 * 60  # seconds
_MOST: Final = 20  # problems that are told at once
NO_IGNITION: Final = (
    "Ignition is to configure the machine, and the image does not have it: nothing will"
)
# What setup asks about programs is about those that run; here none does.
_ASKED: Final = ("zone", "keymap", "locale", "shells")


def provision(
    sysroot: Sysroot, tree: TreeFacts, wanted: Customizations, timestamp: int, *, strict: bool
) -> tuple[str, ...]:
    """Write what a machine is given into its deployment; return warnings, and of keys left out.

    With ``strict`` they are errors. Raises BlueprintError as ``apply`` does.
    """
    place = f"ostree/deploy/{sysroot.stateroot}"
    deployment = sysroot.root.get_dir(f"{place}/deploy/{sysroot.commit}.0")
    var = sysroot.root.get_dir(f"{place}/var")
    assert deployment is not None
    assert var is not None
    warnings = [*left_out(wanted), *apply(wanted, deployment, var, timestamp)]
    if wanted.ignition and not tree.ignition:
        warnings.append(NO_IGNITION)
    check_strict(warnings, strict=strict)
    return tuple(warnings)


def suits(
    wanted: Customizations, image: Directory, timestamp: int, *, strict: bool
) -> tuple[str, ...]:
    """Return what a machine of an image will lack of what it is to be given; nothing is written.

    With ``strict`` that is an error. Raises BlueprintError with all that the image cannot take.
    """
    deployment = Directory(entries=dict(image.entries))
    deployment.entries[b"etc"] = copy(image.get_dir("usr/etc") or Directory())
    warnings = apply(wanted, deployment, copy(image.get_dir("var") or Directory()), timestamp)
    check_strict(warnings, strict=strict)
    return warnings


def check_strict(warnings: Sequence[str], *, strict: bool) -> None:
    """Refuse what was to be a warning, where that is asked for. Raises BlueprintError."""
    if strict and warnings:
        raise BlueprintError(
            [Problem(code="strict", message=text, setting="strict") for text in warnings]
        )


def apply(
    wanted: Customizations, deployment: Directory, var: Directory | None, timestamp: int
) -> tuple[str, ...]:
    """Write what a machine is given into its /etc and /var; return warnings.

    ``deployment`` holds etc; without ``var`` it is a whole machine. ``timestamp`` is the day on
    which passwords were set (seconds since 1970). Passwords are crypted. Raises BlueprintError with
    all that the image cannot take.
    """
    files = Files(deployment, var)
    problems: list[Problem] = []
    warnings: list[str] = []

    def attempt(part: Callable[[], None]) -> None:
        try:
            part()
        except RefusalError as error:
            problems.append(
                Problem(code="config", message=error.message, hint=error.hint, setting=SETTING)
            )

    system = Tree(files.root)
    for row, finding in setup.check(_recipe(wanted), system):
        if row.name not in _ASKED:
            continue
        if finding.fatal:
            problems.append(
                Problem(code=row.name, message=finding.message, hint=finding.hint, setting=SETTING)
            )
        else:
            warnings.append(finding.message)
    for part in _parts(wanted, files, timestamp // _DAY, warnings.append):
        attempt(part)
        if len(problems) >= _MOST:
            break
    if problems:
        raise BlueprintError(problems)
    return tuple(warnings)


def _parts(
    wanted: Customizations, files: Files, day: int, warn: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Yield what is to be done, one after the other; each may be refused."""
    accounts: list[Accounts] = []

    def known() -> Accounts:
        if not accounts:
            accounts.append(Accounts(files, day))
        return accounts[0]

    for group in wanted.groups:
        yield lambda group=group: known().add_group(group)  # type: ignore[misc]
    for user in wanted.users:
        yield lambda user=user: make_home(files, known(), known().add_user(user), warn)  # type: ignore[misc]
    if wanted.users or wanted.groups:
        yield lambda: known().write()
    for directory in wanted.directories:
        yield lambda each=directory: add_directory(files, known(), each)  # type: ignore[misc]
    for file in wanted.files:
        yield lambda each=file: add_file(files, known(), each)  # type: ignore[misc]
    yield lambda: _name(files, wanted)
    yield lambda: network.write(files, wanted.links, warn)
    yield lambda: settings.clock(files, wanted.ntp_servers, warn)
    yield lambda: settings.sshd(files, wanted.sshd)
    yield lambda: settings.selinux(files, wanted.selinux)
    yield lambda: settings.sudo(files, wanted.sudo_nopasswd, warn)
    yield lambda: settings.trust(files, wanted.certificates, warn)
    if wanted.fips:
        yield lambda: settings.fips(files, warn)
    yield lambda: firewall.apply(files, wanted.firewall)
    yield lambda: units.apply(files, _services(files, wanted), warn)


def _services(files: Files, wanted: Customizations) -> Services:
    """Return what becomes of units: what sets the clock is disabled where that is asked for."""
    services = wanted.services
    chosen = {units.full_name(name) for name in services.enabled}
    idle = () if wanted.ntp else settings.CLOCKS
    more = [name for name in idle if name not in chosen and units.is_there(files, name)]
    return replace(services, disabled=(*services.disabled, *more)) if more else services


def _name(files: Files, wanted: Customizations) -> None:
    system = Tree(files.root)
    texts: list[tuple[str, str]] = []
    if wanted.hostname is not None:
        texts += naming.hostname(wanted.hostname)
    if wanted.language is not None:
        texts += naming.language(wanted.language, system)
    if wanted.keyboard is not None:
        texts += naming.keyboard(wanted.keyboard, system)
    for path, text in texts:
        files.write(path, text, mode=0o644)
    zone = naming.zone(wanted.timezone, system) if wanted.timezone is not None else None
    if zone is not None:
        files.link(naming.LOCALTIME, zone)
        if files.find(naming.ZONE_NAME) is not None:
            files.write(naming.ZONE_NAME, f"{wanted.timezone}\n")


def _recipe(wanted: Customizations) -> Recipe:
    """Return what is asked of the system, as an installation asks it."""
    return Recipe(
        accounts=tuple(Account(name=user.name, shell=user.shell) for user in wanted.people),
        timezone=wanted.timezone,
        keyboard=wanted.keyboard,
        language=wanted.language,
    )
