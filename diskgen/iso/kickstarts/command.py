"""A command of a kickstart that diskgen writes, and who says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

COMPLETING: Final = "%post for kernel arguments"
AT_END: Final = "%post at the end"  # after all scripts of a user


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that diskgen writes. ``setting`` is the option that says so, None: a default."""

    word: str  # as pykickstart calls it, or a section with its %
    text: str  # whole lines, without the last newline
    setting: str | None = None
    values: tuple[str, ...] = ()  # by which it meets a user's own: names, devices, arguments
    hostname: str | None = None


def text_of(commands: Iterable[Command]) -> str:
    """Return commands as a kickstart has them."""
    return "".join(f"{command.text}\n" for command in commands)
