"""The questions: how, onto which disk, for whom; and the last one, before anything is erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..accounts import name_fault
from ..decision.setup import ADMINISTRATORS
from ..errors import DiskgenError, HostError
from ..kickstart.recipe import Account, Recipe
from .console import Consoles
from .disks import Disk
from .medium import Medium

_ERASE: Final = "erase"
_TRIES: Final = 5
_TITLES: Final = {
    "image": "Image mode (recommended): the whole system from",
    "package": "Traditional: package by package",
}


class Declined(DiskgenError):  # noqa: N818 - nobody's error
    """Whoever was asked does not want it."""


def choose_mode(consoles: Consoles, medium: Medium, wish: str) -> str:
    """Return ``image`` or ``package``: as the kernel arguments say, or as is answered."""
    if wish in medium.modes:
        return wish
    if len(medium.modes) == 1:
        return medium.modes[0]
    consoles.say("", f"How is {medium.product} to be installed?", "")
    for number, mode in enumerate(medium.modes, 1):
        consoles.say(f"  {number}) {_TITLES[mode]}")
        if mode == "image":
            consoles.say(f"     {medium.reference}")
    return medium.modes[_number(consoles, len(medium.modes))]


def choose_disk(consoles: Consoles, found: Sequence[Disk]) -> Disk:
    """Return the disk to install on. Raises HostError when there is none."""
    if not found:
        raise HostError("this machine has no disk to install on", hint="attach one")
    consoles.say("", "Onto which disk? Everything on it will be lost.", "")
    for number, disk in enumerate(found, 1):
        consoles.say(f"  {number}) {disk.text}")
    return found[_number(consoles, len(found))]


def ask_people(consoles: Consoles, recipe: Recipe) -> Recipe:
    """Return the recipe with an account and a root password, where it has no way to log in."""
    if any(
        a.password or a.keys for a in (*recipe.accounts, *([recipe.root] if recipe.root else ()))
    ):
        return recipe
    consoles.say("", "Who will use it? (empty: nobody yet)", "")
    name = _account(consoles)
    made = recipe
    if name:
        account = Account(name=name, password=_password(consoles, f"Password of {name}: "),
                          groups=ADMINISTRATORS[:1])  # fmt: skip
        made = replace(made, accounts=(*recipe.accounts, account))
    password = _password(consoles, "Password of root (empty: locked): ")
    root = Account(name="root", password=password, locked=password is None)
    return replace(made, root=root)


def confirm(consoles: Consoles, disk: Disk, what: str) -> None:
    """Ask for the last time. Raises Declined."""
    consoles.say("", f"{what} will be installed on", "", f"  {disk.text}", "")
    consoles.say(f"EVERYTHING ON {disk.name} WILL BE LOST.")
    answer = consoles.ask(f"Type '{_ERASE}' to go on, anything else to stop: ")
    if answer != _ERASE:
        raise Declined("nothing was changed")


def _number(consoles: Consoles, count: int) -> int:
    """Return the index that is chosen; an empty answer is the first."""
    for _ in range(_TRIES):
        answer = consoles.ask("Choice [1]: ")
        if not answer:
            return 0
        if answer.isdecimal() and 1 <= int(answer) <= count:
            return int(answer) - 1
        consoles.say(f"Please answer by a number from 1 to {count}.")
    raise Declined("there was no answer")


def _account(consoles: Consoles) -> str:
    """Return the name of an account, or nothing."""
    for _ in range(_TRIES):
        name = consoles.ask("User name: ")
        if not name or name_fault(name) is None:
            return name
        consoles.say("Please use letters, digits, '_', '-' and '.', a letter first.")
    raise Declined("there was no user name")


def _password(consoles: Consoles, prompt: str) -> str | None:
    for _ in range(_TRIES):
        first = consoles.ask(prompt, hidden=True)
        if not first:
            return None
        if consoles.ask("Again: ", hidden=True) == first:
            return first
        consoles.say("These were two different passwords.")
    raise Declined("there was no password")
