"""What only a description says of a machine, for Anaconda: commands, and a script for the rest.

Values have been checked (``blueprint.checks``): none ends a line. In the script each is one quoted
word, or base64. Commands: pykickstart's "Kickstart Documentation".
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from ...blueprint.model import (
    ROOT,
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Owner,
    User,
)
from ...errors import UsageError
from ...provision import settings
from ...units import MIB, format_size
from . import values
from .command import Command

SETTING: Final = "config"
_MOST: Final = MIB // 2  # bytes of all files: base64 of them is a kickstart's, which has 1 MiB


def groups(wanted: Customizations) -> Iterator[Command]:
    """Yield the groups, which accounts may join."""
    for group in wanted.groups:
        number = "" if group.gid is None else f" --gid={group.gid}"
        text = f"group --name={values.account_name(group.name, SETTING)}{number}"
        yield Command(word="group", text=text, setting=SETTING, values=(group.name,))


def commands(wanted: Customizations, there: Container[str] = ()) -> Iterator[Command]:
    """Yield all the rest. Raises UsageError for files that are too large for a kickstart.

    ``there`` are the image's own accounts, which 'user' leaves as they are.
    """
    for server in wanted.ntp_servers:
        text = f"timesource --ntp-server={values.server(server, SETTING)}"
        yield Command(word="timesource", text=text, setting=SETTING)
    if wanted.services.enabled or wanted.services.disabled:
        yield services({"enabled": wanted.services.enabled, "disabled": wanted.services.disabled})
    yield from _firewall(wanted.firewall)
    steps = [*_steps(wanted, there)]
    if steps:
        script = values.fill("described.ks", STEPS="\n".join(steps))
        yield Command(word="%post", text=script, setting=SETTING)


def services(units: Mapping[str, Sequence[str]]) -> Command:
    """Return the command that enables and disables units, by these words."""
    words = [f"--{verb}={shlex.quote(','.join(names))}" for verb, names in units.items() if names]
    return Command(
        word="services",
        text=" ".join(("services", *words)),
        setting=SETTING,
        values=tuple(f"{verb}:{name}" for verb, names in units.items() for name in names),
    )


def units_of(command: Command) -> Mapping[str, tuple[str, ...]]:
    """Return the units of what ``services`` made."""
    return {
        verb: tuple(word.removeprefix(f"{verb}:") for word in command.values
                    if word.startswith(f"{verb}:"))
        for verb in ("enabled", "disabled")
    }  # fmt: skip


def _firewall(firewall: Firewall) -> Iterator[Command]:
    words = [
        f"--{option}={','.join(names)}"
        for option, names in (
            ("port", firewall.ports), ("service", firewall.enabled),
            ("remove-service", firewall.disabled),
        )
        if names
    ]  # fmt: skip
    if words:
        text = " ".join(("firewall", "--enabled", *words))
        yield Command(word="firewall", text=text, setting=SETTING)


def _steps(wanted: Customizations, there: Container[str]) -> Iterator[str]:
    """Yield the lines of the script, in the order in which a disk is written."""
    for user in wanted.people:
        if user.name in there:
            yield from _changed(user)
    for user in wanted.users:
        yield from _account(user)
    for directory in wanted.directories:
        yield _directory(directory)
    size = sum(len(file.data) for file in wanted.files)
    if size > _MOST:
        raise UsageError(
            f"the files that Anaconda is to write have {format_size(size)}",
            hint=f"a kickstart takes up to {format_size(_MOST)} of them: put them into the image's "
            "build, or take diskgen's own installer",
            setting=SETTING,
        )
    for file in wanted.files:
        yield _file("put", (file.path, f"{file.mode:04o}", *_owner(file)), file.data)
    text = settings.sshd_text(wanted.sshd)
    if text:
        yield _file("sshd", (), text.encode())
    if wanted.sudo_nopasswd:
        text = settings.sudo_text(wanted.sudo_nopasswd)
        words = (f"/{settings.SUDO_OWN}", f"{settings.SUDO_MODE:04o}", "0", "0")
        yield _file("put", words, text.encode())
    for number, certificate in enumerate(wanted.certificates, 1):
        yield _file("trust", (str(number),), f"{certificate.strip()}\n".encode())
    if wanted.certificates:
        yield "trusted"
    if wanted.fips:
        yield "fips"
    for zone in wanted.firewall.zones:
        yield f"zone {shlex.quote(zone.name)} {' '.join(map(shlex.quote, zone.sources))}".rstrip()
    for unit in wanted.services.masked:
        yield f"systemctl mask -- {shlex.quote(unit)}"


def _changed(user: User) -> Iterator[str]:
    """Yield what an account of the image becomes; its password is no argument of a program."""
    name = shlex.quote(user.name)
    if user.gid is not None:
        yield f"getent group {user.gid} >/dev/null || groupadd --gid {user.gid} -- {name}"
    for option in ("uid", "gid", "shell", "comment"):
        value = getattr(user, option)
        if value is not None:
            yield f"usermod --{option} {shlex.quote(str(value))} -- {name}"
    if user.password is not None:
        yield f"chpasswd -e <<'---'\n{user.name}:{user.password}\n---"
    for group in user.groups:
        yield f"join {name} {shlex.quote(group)}"
    if user.keys:
        text = "".join(f"{key}\n" for key in user.keys)
        yield _file("keys", (user.name,), text.encode())


def _account(user: User) -> Iterator[str]:
    """Yield what ``user`` cannot say, and ``rootpw`` neither."""
    name = shlex.quote(user.name)
    if user.name == ROOT:
        for option, value in (("shell", user.shell), ("comment", user.comment)):
            if value is not None:
                yield f"usermod --{option} {shlex.quote(value)} -- {name}"
    if user.expires is not None:
        yield f"chage -E {user.expires} -- {name}"
    if user.reset:
        yield f"chage -d 0 -- {name}"


def _directory(wanted: AddedDirectory) -> str:
    words = (wanted.path, f"{wanted.mode:04o}", *_owner(wanted), "parents" * wanted.parents)
    return " ".join(("folder", *map(shlex.quote, words)))


def _owner(wanted: AddedFile | AddedDirectory) -> tuple[str, str]:
    """Return user and group; no group: the user's own."""
    group: Owner | None = wanted.group
    return str(wanted.user), "" if group is None else str(group)


def _file(word: str, arguments: Sequence[str], data: bytes) -> str:
    """Return a call whose input is base64: no line of it is a section's, or ends the input."""
    call = " ".join((word, *map(shlex.quote, arguments)))
    return f"{call} <<'---'\n{base64.encodebytes(data).decode()}---"
