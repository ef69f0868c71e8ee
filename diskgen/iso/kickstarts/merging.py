"""How each command that diskgen writes meets a user's own kickstart: one table, for all installers.

Of most commands the last one counts, so two of them would be one of them dropped. They are united
where that has a meaning, else the user is told; what is but a default gives way.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from ...errors import UsageError
from ...kickstart import language
from ...kickstart.language import Parsed
from ...link import named as device_named
from ...ostree import kargs
from . import described
from .command import AT_END, COMPLETING, Command, text_of
from .kickstart import completing

PAYLOADS: Final = ("ostreecontainer", "ostreesetup", "bootc", "liveimg")
SOURCES: Final = ("%packages", "cdrom", "harddrive", "hmc", "module", "nfs", "repo", "url")
_BESIDE: Final = ("%packages", "module", "repo")  # they stand beside a first source
STORAGE: Final = (
    "autopart", "btrfs", "clearpart", "ignoredisk", "logvol", "mount", "part", "partition", "raid",
    "reqpart", "volgroup", "zerombr",
)  # fmt: skip
_ENDS: Final = ("halt", "poweroff", "reboot", "shutdown")
_DISPLAYS: Final = ("cmdline", "graphical", "rdp", "text", "vnc")
_BOTH: Final = "leave it out there or here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A command of ours. ``rule`` returns what stands beside the user's; None: theirs alone does.

    ``meets`` are the user's commands that mean the same thing.
    """

    rule: Callable[[Command, Parsed, Row], Command | None]
    meets: tuple[str, ...]
    says: str  # what becomes of both, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What a command of the finished kickstart comes from; ``arguments`` where they were united."""

    command: str
    origin: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A user's kickstart with all that diskgen adds."""

    text: str
    met: tuple[Met, ...]


def merge(
    commands: Iterable[Command], user: Parsed, text: str, *, mode: str, setting: str = "kickstart"
) -> Merged:
    """Return a user's kickstart with commands of ours, each as its row says.

    ``setting`` is the option that ``text``, of which ``user`` is, comes from. Raises UsageError
    naming file, line and option of what contradicts itself.
    """
    _payload(user, mode, setting)
    before: list[Command] = []
    after: list[Command] = []
    met: list[Met] = []
    for command in commands:
        row = ROWS[command.word]
        kept = row.rule(command, user, row)
        there = user.line_of(*row.meets)
        met.append(_met(command, kept, user, there))
        last = row.rule in (_arguments, _services) and (there is not None or user.hidden)
        if kept is not None:
            (after if last or kept.word == AT_END else before).append(kept)
    newline = "" if text.endswith("\n") or not text else "\n"
    made = text_of(before) + text + newline + text_of(after)
    language.parse(made, user.version, user.name, setting=setting)
    return Merged(text=made, met=tuple(dict.fromkeys(met)))


def for_packages(user: Parsed) -> bool:
    """Say whether a kickstart is for traditional mode: it names packages, or where they are."""
    return user.line_of(*SOURCES) is not None


def _payload(user: Parsed, mode: str, setting: str) -> None:
    if found := user.line_of(*PAYLOADS):
        line, word = found
        raise UsageError(
            f"'{user.name}' has its own '{word}' (line {line})",
            hint="leave it out: diskgen writes what is installed, and what belongs to it",
            setting=setting,
        )
    if mode == "image" and (found := user.line_of(*SOURCES)):
        line, word = found
        what = f"a section {word}" if word.startswith("%") else f"'{word}'"
        raise UsageError(
            f"'{user.name}' has {what} (line {line}), which image mode would ignore",
            hint="leave it out, or give it for traditional mode",
            setting=setting,
        )


def _met(
    command: Command, kept: Command | None, user: Parsed, there: tuple[int, str] | None
) -> Met:
    ours = f"--{command.setting}" if command.setting else "diskgen"
    word = command.word.partition(" ")[0]
    if there is None:
        return Met(command=word, origin=ours)
    theirs = f"{user.name}, line {there[0]}"
    if kept is None:
        return Met(command=there[1], origin=theirs)
    if ROWS[command.word].rule in (_arguments, _services):
        return Met(command=word, origin=f"{theirs}, and {ours}", arguments=kept.values)
    return Met(command=word, origin=f"{theirs}, and {ours}")


def _twice(command: Command, user: Parsed, line: int, word: str, what: str = "") -> UsageError:
    return UsageError(
        f"'{user.name}' says '{word}'{what} as well (line {line})",
        hint=_BOTH,
        setting=command.setting,
    )


def _one(command: Command, user: Parsed, row: Row) -> Command | None:
    """One of both: an option contradicts the user's command, a default gives way to it."""
    found = user.line_of(*row.meets)
    if found is not None and command.setting is not None:
        raise _twice(command, user, *found)
    return command if found is None else None


def _both(command: Command, user: Parsed, row: Row) -> Command:  # noqa: ARG001
    """Both stand: each adds something."""
    return command


def _accounts(command: Command, user: Parsed, row: Row) -> Command:  # noqa: ARG001
    """Accounts add up; one of a name that the user's has is not made twice."""
    for data in user.handler.user.userList:
        if data.name in command.values:
            raise _twice(command, user, data.lineno, "user", f" --name={data.name}")
    return command


def _groups(command: Command, user: Parsed, row: Row) -> Command:  # noqa: ARG001
    """Groups add up; one of a name that the user's has is not made twice."""
    for data in user.handler.group.groupList:
        if data.name in command.values:
            raise _twice(command, user, data.lineno, "group", f" --name={data.name}")
    return command


def _services(command: Command, user: Parsed, row: Row) -> Command:
    """Units add up; one is not both enabled and disabled."""
    if user.line_of(*row.meets) is None:
        return command
    theirs, ours = user.handler.services, described.units_of(command)
    made = {verb: tuple(dict.fromkeys((*getattr(theirs, verb), *ours[verb]))) for verb in ours}
    bare = {verb: {name.removesuffix(".service") for name in names} for verb, names in made.items()}
    both = bare["enabled"] & bare["disabled"]
    if both:
        line = user.line_of(*row.meets) or (theirs.lineno, "services")
        raise _twice(command, user, line[0], line[1], f" of '{min(both)}'")
    return described.services(made)


def _devices(command: Command, user: Parsed, row: Row) -> Command | None:  # noqa: ARG001
    """Devices add up; the same one is not set up twice, nor is the machine named twice."""
    lines = [(data, device_named(data.device)) for data in user.handler.network.network]
    name = command.hostname
    for data, _device in lines:
        if data.hostname and name:
            hostname = replace(command, setting="hostname")
            raise _twice(hostname, user, data.lineno, "network", f" --hostname={data.hostname}")
    used = [(data, device) for data, device in lines if data.device or not data.hostname]
    if command.setting != "network":  # where devices are not named, they are a default
        if not used:
            return command
        return replace(command, text=f"network --hostname={name}") if name else None
    for data, device in used:
        if (device or "link") in command.values:
            raise UsageError(
                f"'{user.name}' sets up the device '{device or 'link'}' as well "
                f"(line {data.lineno})",
                hint=_BOTH,
                setting="network",
            )
    return command


def _arguments(command: Command, user: Parsed, row: Row) -> Command:
    """The kernel's arguments are united, the user's first; all else stays as the user has it."""
    if user.line_of(*row.meets) is None:
        return command
    theirs = user.handler.bootloader
    joined = " ".join(filter(None, (theirs.appendLine, *command.values)))
    bare = copy.copy(theirs)
    bare.appendLine = ""
    words = str(bare).splitlines()[-1] if theirs.seen else "bootloader"
    made = replace(
        command,
        text=f"{words} --append={shlex.quote(joined)}",
        values=(*filter(None, (theirs.appendLine,)), *command.values),
    )
    # pykickstart writes options back as it would; what it reads from that is what counts.
    again = language.parse(made.text, user.version, user.name).handler.bootloader
    if _values(again) != _values(theirs) | {"appendLine": joined}:
        raise _twice(command, user, *(user.line_of(*row.meets) or (theirs.lineno, "bootloader")))
    return made


def _completion(command: Command, user: Parsed, row: Row) -> Command:  # noqa: ARG001
    """What the image deletes is the user's to give all the same."""
    theirs = kargs.split(user.handler.bootloader.appendLine or "")
    return completing((*command.values, *(f"+{word}" for word in theirs)))


def _values(loader: object) -> dict[str, Any]:
    return {key: value for key, value in vars(loader).items()
            if key not in ("lineno", "handler", "currentLine") and not key.startswith("_")
            and isinstance(value, (str, int, list, type(None)))}  # fmt: skip


def _packages(command: Command, user: Parsed, row: Row) -> Command | None:
    """Packages that were chosen add to the user's section; our default of them gives way."""
    there = user.line_of(*row.meets) is not None
    return None if there and command.setting is None else command


def _rows() -> Mapping[str, Row]:
    one, name = (
        "refused beside the option, else the kickstart's counts",
        "refused beside the option",
    )
    made = {
        word: Row(rule=_one, meets=STORAGE, says=name)
        for word in ("ignoredisk", "zerombr", "clearpart", "reqpart", "part", "btrfs")
    }
    made |= {word: Row(rule=_one, meets=(word,), says=one)
             for word in ("lang", "keyboard", "timezone", "rootpw")}  # fmt: skip
    made |= {
        "text": Row(rule=_one, meets=_DISPLAYS, says=one),
        "poweroff": Row(rule=_one, meets=_ENDS, says=one),
        "xconfig": Row(rule=_one, meets=("xconfig", "skipx"), says=one),
        "network": Row(rule=_devices, meets=("network",), says="devices add up; the same one twice "
                       "and two host names are refused"),
        "user": Row(rule=_accounts, meets=("user",), says="accounts add up; the same one twice is "
                    "refused"),
        "group": Row(rule=_groups, meets=("group",), says="groups add up; the same one twice is "
                     "refused"),
        "services": Row(rule=_services, meets=("services",), says="units add up; one that is "
                        "enabled here and disabled there is refused"),
        "firewall": Row(rule=_one, meets=("firewall",), says=name),
        "timesource": Row(rule=_both, meets=("timesource",), says="time servers add up"),
        "sshkey": Row(rule=_both, meets=("sshkey",), says="keys add up"),
        "bootloader": Row(rule=_arguments, meets=("bootloader",),
                          says="kernel arguments are united"),
        "ostreecontainer": Row(rule=_one, meets=PAYLOADS, says="refused"),
        "url": Row(rule=_one, meets=tuple(w for w in SOURCES if w not in _BESIDE), says=name),
        "%packages": Row(rule=_packages, meets=("%packages",), says="packages add up"),
        "%pre": Row(rule=_both, meets=(), says="ours comes first"),
        "%post": Row(rule=_both, meets=(), says="ours comes first"),
        COMPLETING: Row(rule=_completion, meets=(), says="the user's kernel arguments stay"),
        AT_END: Row(rule=_both, meets=(), says="ours comes last"),
    }  # fmt: skip
    return made


ROWS: Final[Mapping[str, Row]] = MappingProxyType(_rows())


def united(met: Sequence[Met]) -> tuple[str, ...]:
    """Return in words what comes from where, a line each."""
    return tuple(
        f"{one.command}: {one.origin}" + (f": {' '.join(one.arguments)}" if one.arguments else "")
        for one in met
    )
