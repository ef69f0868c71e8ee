"""What an installed system is given of its own: accounts, names, keyboard, firewall, services."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from ..accounts import is_usual
from ..decision import naming, setup
from ..decision.setup import FIREWALL
from ..kickstart.recipe import Account, Recipe
from ..run import run
from .target import Installed, Target

_MODE_LINE: Final = re.compile(r"^SELINUX=.*$", re.MULTILINE)
_SHELL: Final = "/bin/sh"


def set_up(target: Target, recipe: Recipe, warn: Callable[[str], None]) -> None:
    """Give the target its accounts, names and services. Raises DiskgenError.

    ``warn`` is told what the system does not have, and can do without.
    """
    for name, number in recipe.groups.items():
        if not _has_line(target, "group", name):
            _add_group(target, name, number)
    for account in recipe.accounts:
        _add_user(target, account, recipe.groups)
    if recipe.root is not None:
        _secure(target, recipe.root)
    system = Installed(target)
    for path, text in _names(recipe, system):
        target.write(path, text)
    if recipe.timezone:
        goal = naming.zone(recipe.timezone, system)
        if goal is None:
            warn(setup.no_zone(recipe.timezone))
        else:
            link = target.folder("etc") / "localtime"
            link.unlink(missing_ok=True)
            link.symlink_to(goal)
            if system.has(naming.ZONE_NAME):
                target.write(naming.ZONE_NAME, f"{recipe.timezone}\n")
    if recipe.firewall:
        target.run(FIREWALL, *recipe.firewall)
    if recipe.selinux:
        config = target.place("etc/selinux/config")
        if config.is_file():
            text = config.read_text(errors="replace")
            config.write_text(_MODE_LINE.sub(f"SELINUX={recipe.selinux}", text))
    for unit in recipe.enabled:
        target.run("systemctl", "enable", unit)
    for unit in recipe.disabled:
        if setup.has_unit(Installed(target), unit):
            target.run("systemctl", "disable", unit)
        else:  # it is as good as disabled
            warn(setup.no_unit(unit))


def _names(recipe: Recipe, system: Installed) -> Iterator[tuple[str, str]]:
    """Yield the files, by path, that say a machine's name, language and keyboard."""
    if recipe.hostname:
        yield from naming.hostname(recipe.hostname)
    if recipe.language:
        yield from naming.language(recipe.language, system)
    if recipe.keyboard:
        yield from naming.keyboard(recipe.keyboard, system)


def _add_user(target: Target, account: Account, named: Collection[str]) -> None:
    """Add an account, or change the one that is there; ``named`` are groups that were asked for.

    A group of the image that happens to have the account's name may be allowed more than it.
    """
    target.folder("home")  # a link to var/home, which the first boot would make
    options: list[str] = []
    if account.groups:
        groups = setup.joined(Installed(target), account)
        missing = [group for group in groups if not _has_group(target, group)]
        for group in missing:
            target.run("groupadd", "--system", group)
        for group in groups:
            _adopt(target, "group", group)
        options += ["--groups", ",".join(groups)]
    if account.gid is not None:
        if not _has_number(target, "group", account.gid):
            _add_group(target, account.name, account.gid)
        options += ["--gid", str(account.gid)]
    elif account.name in named:
        options += ["--gid", account.name]
    for flag, value in (("--shell", account.shell), ("--uid", account.uid),
                        ("--comment", account.gecos)):  # fmt: skip
        if value is not None:
            options += [flag, str(value)]
    if _has_line(target, "passwd", account.name):
        for table in ("passwd", "shadow"):
            _adopt(target, table, account.name)
        if options:
            target.run("usermod", *options, account.name)
    else:
        shell = account.shell or ("/bin/bash" if target.has("bash") else _SHELL)
        more = [] if account.shell else ["--shell", shell]
        more += _despite_its_name(target, account.name)
        if "--gid" not in options and _has_group(target, account.name):
            more += ["--no-user-group"]
        if account.home is not None:
            target.folder(account.home.rstrip("/").rpartition("/")[0])
            more += ["--home-dir", account.home]
        target.run("useradd", "--create-home", *more, *options, account.name)
    _secure(target, account)


def _secure(target: Target, account: Account) -> None:
    """Set an account's password and keys."""
    if account.password is not None:
        line = f"{account.name}:{account.password}\n".encode()
        target.run("chpasswd", *(["--encrypted"] if account.crypted else []), stdin=line)
    if account.locked:
        _lock(target, account.name)
    if account.keys:
        script = (
            'home=$(getent passwd "$1" | cut -d: -f6); mkdir -p "$home/.ssh"; '
            'cat >>"$home/.ssh/authorized_keys"; chmod 700 "$home/.ssh"; '
            'chmod 600 "$home/.ssh/authorized_keys"; chown -R "$1:" "$home/.ssh"'
        )
        text = "".join(f"{key}\n" for key in account.keys)
        target.run(_SHELL, "-ec", script, "sh", account.name, stdin=text.encode())


def _lock(target: Target, name: str) -> None:
    """Let no password open an account, as ``usermod --lock`` does: see shadow(5)."""
    place = target.place("etc/shadow")
    if not place.is_file():
        return
    lines = place.read_text(errors="surrogateescape").splitlines(keepends=True)
    found = [f"{name}:!{line.removeprefix(f'{name}:')}" if line.startswith(f"{name}:")
             and not line.startswith(f"{name}:!") else line for line in lines]  # fmt: skip
    place.write_text("".join(found), errors="surrogateescape")


def _despite_its_name(target: Target, name: str) -> list[str]:
    """Return the option by which a useradd takes a name that not all of them take."""
    if is_usual(name):
        return []
    words = run(["chroot", target.root, "useradd", "--help"], ok=range(256)).text
    return ["--badname"] if "--badname" in words else []


def _add_group(target: Target, name: str, number: int | None) -> None:
    target.run("groupadd", *([] if number is None else ["--gid", str(number)]), name)


def _adopt(target: Target, table: str, name: str) -> None:
    """Copy a line of /usr/lib's table into /etc's, which alone the programs of shadow-utils see."""
    place, base = target.place(f"etc/{table}"), target.place(f"usr/lib/{table}")
    text = place.read_text(errors="surrogateescape") if place.is_file() else ""
    if not base.is_file() or any(line.startswith(f"{name}:") for line in text.splitlines()):
        return
    lines = base.read_text(errors="surrogateescape").splitlines()
    found = [line for line in lines if line.startswith(f"{name}:")][:1]
    if found and place.is_file():
        joint = "" if not text or text.endswith("\n") else "\n"
        with place.open("a", errors="surrogateescape") as file:
            file.write(f"{joint}{found[0]}\n")


def _has_number(target: Target, table: str, number: int) -> bool:
    return any(line.split(":")[2:3] == [str(number)] for line in _lines(target, table))


def _has_group(target: Target, name: str) -> bool:
    return _has_line(target, "group", name)


def _has_line(target: Target, table: str, name: str) -> bool:
    return any(line.startswith(f"{name}:") for line in _lines(target, table))


def _lines(target: Target, table: str) -> Sequence[str]:
    lines: Sequence[str] = ()
    for place in ("etc", "usr/lib"):
        path = target.place(f"{place}/{table}")
        if path.is_file():
            lines = [*lines, *path.read_text(errors="replace").splitlines()]
    return lines
