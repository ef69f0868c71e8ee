"""What a recipe asks of the system that it sets up: one table, asked before a disk is erased.

Asked where a medium is made, and by its installer: of what the medium notes of its image, of
packages as far as anything is known before they are installed. An image from a registry is judged
as it is read, when what it is given is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .. import keymap
from ..accounts import is_crypted
from ..blueprint.model import Firewall
from ..errors import PreflightError, Problem
from ..kickstart.recipe import FIREWALLD, Recipe
from ..link import host_fault, is_device
from . import system as systems
from .system import System

ADMINISTRATORS: Final = ("wheel", "sudo")  # groups, by distribution
UTC: Final = ("UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu")  # the C library knows it without a file
_SHELL: Final = "bin/sh"
_BUILT_IN: Final = ("C", "POSIX")  # locales of every C library
_KERNELS_OWN: Final = "us"  # the keymap that a console has by itself
_SUFFIXES: Final = (".service", ".socket", ".target", ".timer", ".path", ".mount", ".automount",
                    ".slice", ".swap", ".device", ".scope")  # fmt: skip
_PORT: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?:[a-z]+", re.ASCII)
_CHOOSE: Final = "leave it out, or install it in the image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a system does not have. ``fatal``: an installation would end for it."""

    message: str
    hint: str = _CHOOSE
    fatal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question: ``rule`` finds what is missing. ``setting`` is the option that asks for it."""

    name: str
    reads: tuple[str, ...]  # of a recipe
    says: str
    rule: Callable[[Recipe, System], Iterator[Finding]]
    setting: str | None = None


def joined(groups: Iterable[str], there: Callable[[str], object]) -> tuple[str, ...]:
    """Return the groups that an account joins; of the administrators' the one that is there."""
    known = [name for name in ADMINISTRATORS if there(name)]
    names = (known[0] if name in ADMINISTRATORS and known else name for name in groups)
    return tuple(dict.fromkeys(names))


def check(recipe: Recipe, system: System) -> Iterator[tuple[Row, Finding]]:
    """Yield all that a system lacks for a recipe."""
    for row in ROWS:
        for finding in row.rule(recipe, system):
            yield row, finding


def refuse(recipe: Recipe, system: System, warn: Callable[[str], None]) -> None:
    """Refuse a recipe that cannot be carried out in a system. Raises PreflightError with all.

    ``warn`` is told what is passed over.
    """
    problems: list[Problem] = []
    for row, finding in check(recipe, system):
        if finding.fatal:
            problems.append(Problem(code=row.name, message=finding.message, hint=finding.hint))
        else:
            warn(finding.message)
    if problems:
        raise PreflightError(problems)


def units_of(name: str) -> tuple[str, ...]:
    """Return the files that a unit may be of: itself, or its template (systemd.unit(5))."""
    full = name if name.endswith(_SUFFIXES) else f"{name}.service"
    stem, _dot, suffix = full.rpartition(".")
    prefix, at, _instance = stem.partition("@")
    return (full, f"{prefix}@.{suffix}") if at else (full,)


def has_unit(system: System, name: str) -> bool:
    """Say whether there is a unit, or a template of it."""
    files = (f"{place}/{file}" for place in systems.UNITS for file in units_of(name))
    return any(system.has(file) or system.link(file) is not None for file in files)


def no_zone(name: str) -> str:
    """Return what is said of a time zone that is not there."""
    return f"the system has no time zone '{name}', its own is kept"


def no_unit(name: str) -> str:
    """Return what is said of a service that is disabled and not there."""
    return f"the system has no unit '{name}' that could be disabled"


def _units(recipe: Recipe, system: System) -> Iterator[Finding]:
    if not system.knows(systems.UNITS[0]):
        return
    for name in recipe.enabled:
        masked = any(system.link(f"{place}/{file}") == systems.NOWHERE
                     for place in systems.UNITS for file in units_of(name))  # fmt: skip
        if masked:
            hint = "leave it out, or unmask it in the image"
            message = f"the unit '{name}' is to be enabled, and the image masks it"
            yield Finding(message=message, hint=hint)
        elif name != FIREWALLD and not has_unit(system, name):
            yield Finding(message=f"the unit '{name}' is to be enabled, and the image has none")
    for name in recipe.disabled:
        if not has_unit(system, name):
            yield Finding(message=no_unit(name), fatal=False)


def _accounts(recipe: Recipe, system: System) -> Iterator[Finding]:
    taken = {line[2]: line[0] for line in system.table("passwd") if len(line) > 2}
    names = set(taken.values())
    for account in recipe.accounts:
        number = str(account.uid)
        other = taken.get(number)
        if account.uid is not None and other not in (None, account.name):
            yield Finding(
                message=f"the account '{account.name}' is to have the number '{number}', which "
                f"'{other}' has",
                hint="give it another --uid",
            )
        if account.home is not None and account.name in names:
            yield Finding(
                message=f"the account '{account.name}' is the image's own, and its home stays "
                "where it is",
                hint="leave --homedir out",
            )
        if account.uid is not None:
            taken[number] = account.name


def _groups(recipe: Recipe, system: System) -> Iterator[Finding]:
    numbers = {line[0]: line[2] for line in system.table("group") if len(line) > 2}
    wanted: list[tuple[str, int | None]] = [*recipe.groups.items()]
    wanted += [(account.name, account.gid) for account in recipe.accounts
               if account.gid is not None and str(account.gid) not in numbers.values()]  # fmt: skip
    for name, number in wanted:
        if number is None:
            numbers.setdefault(name, "")
            continue
        other = next((n for n, value in numbers.items() if value == str(number)), None)
        if other not in (None, name):
            hint = "give it another --gid"
            message = f"the group '{name}' is to have the number '{number}', which '{other}' has"
            yield Finding(message=message, hint=hint)
        elif numbers.get(name, str(number)) != str(number):
            yield Finding(
                message=f"the group '{name}' is to have the number '{number}', and it has "
                f"'{numbers[name]}' already",
                hint="leave the number out",
            )
        numbers[name] = str(number)


def _shells(recipe: Recipe, system: System) -> Iterator[Finding]:
    for account in recipe.accounts:
        shell = account.shell
        if shell is None:
            continue
        if not shell.startswith("/"):
            yield Finding(
                message=f"the shell of '{account.name}' is to be '{shell}', which is no path",
                hint="name it by its path, such as /bin/sh",
            )
        elif system.knows(shell) and not system.has(shell):
            yield Finding(
                message=f"the shell of '{account.name}' is to be '{shell}', and the image has none",
                hint="name one that is there, such as /bin/sh, or install it in the image",
            )


def _known(system: System, path: str) -> bool:
    """Say whether a system tells if there is a file at a path, which may be none."""
    return not path.startswith("/") or system.knows(path)


def _scripts(recipe: Recipe, system: System) -> Iterator[Finding]:
    for script in recipe.after:
        program = next(iter(script.interpreter.split()), "/" + _SHELL)
        if script.in_target and _known(system, program) and not system.has(program):
            yield Finding(
                message=f"the script %post of line {script.line} is for '{program}', which the "
                "image does not have",
                hint="name another --interpreter, or install it in the image",
                fatal=script.must_work,
            )


def _firewall(recipe: Recipe, system: System) -> Iterator[Finding]:
    wanted = recipe.firewall
    known = {
        name.removesuffix(".xml") for place in systems.SERVICES for name in system.names(place)
    }
    asked = wanted != Firewall() or FIREWALLD in recipe.enabled
    if asked and system.knows(systems.SERVICES[-1]) and not known:
        yield Finding(
            message="the system has no firewalld, which the firewall's settings are for",
            hint="let its packages bring firewalld, or leave the firewall out",
        )
    for value in (*wanted.enabled, *wanted.disabled):
        if known and value not in known:
            hint = "name one that firewalld of the image knows, or a port"
            message = f"the firewall's service '{value}' is none that the image knows"
            yield Finding(message=message, hint=hint)
    for value in wanted.ports:
        if not _PORT.fullmatch(value):
            hint = "write it as 80:tcp or 6000-6010:udp"
            yield Finding(message=f"the firewall's port '{value}' is none", hint=hint)
    for value in wanted.trusted:
        if not is_device(value):
            yield Finding(message=f"'{value}' is no network device", hint="such as enp1s0")


def _hostname(recipe: Recipe, system: System) -> Iterator[Finding]:  # noqa: ARG001
    fault = host_fault(recipe.hostname) if recipe.hostname is not None else None
    if fault is not None:
        yield Finding(message=f"no machine can be called '{recipe.hostname}'", hint=fault)


def _zone(recipe: Recipe, system: System) -> Iterator[Finding]:
    zone = recipe.timezone
    if zone is None or zone in UTC or not system.knows(systems.ZONES):
        return
    if ".." in zone.split("/") or not system.has(f"{systems.ZONES}/{zone}"):
        yield Finding(message=no_zone(zone), hint="install tzdata in the image", fatal=False)


def _keymap(recipe: Recipe, system: System) -> Iterator[Finding]:
    layout = (keymap.split(recipe.keyboard) or (None,))[0] if recipe.keyboard else None
    if layout is None or layout == _KERNELS_OWN:
        return
    maps = {name.rpartition("/")[2].partition(".map")[0]
            for place in systems.KEYMAPS for name in system.names(place)}  # fmt: skip
    if not any(map(system.knows, (*systems.KEYMAPS, *systems.LAYOUTS))):
        return
    symbols = any(system.has(f"{place}/{layout.partition('-')[0]}") for place in systems.LAYOUTS)
    if layout.rpartition("/")[2].partition(".map")[0] not in maps and not symbols:
        yield Finding(
            message=f"the system has no keyboard '{recipe.keyboard}', its console has its own",
            hint="install kbd in the image",
            fatal=False,
        )


def _locale(recipe: Recipe, system: System) -> Iterator[Finding]:
    name = recipe.language
    if name is None or name.partition(".")[0] in _BUILT_IN or not system.knows(systems.LOCALES):
        return
    found = {path.partition("/")[0] for path in system.names(systems.LOCALES)}
    if "locale-archive" not in found and _plain(name) not in {_plain(other) for other in found}:
        yield Finding(
            message=f"the system has no language '{name}', its programs speak their own",
            hint="install glibc-langpack or locales in the image",
            fatal=False,
        )


def _plain(locale: str) -> str:
    """Return a locale's name as the C library compares them."""
    name, dot, codeset = locale.partition(".")
    return f"{name}{dot}{codeset.lower().replace('-', '')}"


def _passwords(recipe: Recipe, system: System) -> Iterator[Finding]:  # noqa: ARG001
    accounts = [*recipe.accounts, *([recipe.root] if recipe.root is not None else [])]
    for account in accounts:
        if account.password is None or not account.crypted:
            continue
        if ":" in account.password or "\n" in account.password:
            yield Finding(
                message=f"the password of '{account.name}' cannot stand in /etc/shadow",
                hint="write a hash as 'mkpasswd' makes it",
            )
        elif not is_crypted(account.password.lstrip("!")) and account.password[:1] not in "!*":
            yield Finding(
                message=f"the password of '{account.name}' is no hash of crypt(5): nobody can log "
                "in by it",
                fatal=False,
            )


ROWS: Final = (
    Row(name="units", reads=("enabled", "disabled"), rule=_units,
        says="refused to enable what is masked or not there; a warning to disable it"),
    Row(name="accounts", reads=("accounts",), rule=_accounts, setting="user",
        says="refused with a number in use, or another home for the image's own account"),
    Row(name="groups", reads=("groups", "accounts"), rule=_groups, setting="user",
        says="refused with a number in use, or another than it has"),
    Row(name="passwords", reads=("accounts", "root"), rule=_passwords,
        says="refused where it cannot be stored; a warning where it is no hash"),
    Row(name="shells", reads=("accounts",), says="refused where it is not there", rule=_shells),
    Row(name="scripts", reads=("after",), rule=_scripts,
        says="refused without their interpreter where they must work, else a warning"),
    Row(name="firewall", reads=("firewall", "enabled"), rule=_firewall,
        says="refused without firewalld, with a service that is not known, or a port that is none"),
    Row(name="hostname", reads=("hostname",), rule=_hostname, setting="hostname",
        says="refused where no machine can be called so"),
    Row(name="zone", reads=("timezone",), rule=_zone, setting="timezone",
        says="a warning where its file is not there"),
    Row(name="keymap", reads=("keyboard",), rule=_keymap, setting="keyboard",
        says="a warning where neither keymap nor layout is there"),
    Row(name="locale", reads=("language",), rule=_locale, setting="language",
        says="a warning where it is not there"),
)  # fmt: skip
