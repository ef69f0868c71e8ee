"""A document and options together: options win, and it is said where they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from .model import ROOT, AddedFile, Customizations, User, is_many

_Row = TypeVar("_Row")
_OF_DOCUMENTS: Final = ("installer", "volume", "sizes", "given", "source", "overridden")
_FIRST_COUNTS: Final = ("languages",)  # of a list: another one takes its place
_NAMES: Final = {"languages": "language"}  # as options call them
_SAID: Final = ("hostname", "timezone", "languages", "keyboard")  # have options
_NOTHING: Final = (None, (), False)


def merge(document: Customizations, options: Customizations) -> Customizations:
    """Return what both say; ``overridden`` names what of the document does not count.

    ``options`` are those of a command line, or what a kickstart says. What they name twice stays
    there twice, for the checks to see it.
    """
    overridden: list[str] = []
    for name in _SAID:
        there, value = getattr(document, name), getattr(options, name)
        if there and value and there != value:
            overridden.append(f"--{_NAMES.get(name, name)}")
    changes = {
        name: value
        for name, value in _united(document, options).items()
        if name not in _OF_DOCUMENTS
    }
    changes["links"] = (*document.links, *options.links)
    changes["groups"] = _by(lambda each: each.name, document.groups, options.groups)
    changes["directories"] = _by(lambda each: each.path, document.directories, options.directories)
    changes["users"] = _users(document, options, overridden)
    changes["files"] = _files(document, options, overridden)
    return replace(document, **changes, overridden=tuple(dict.fromkeys(overridden)))


def _united(old: Any, new: Any) -> dict[str, Any]:  # noqa: ANN401 - of one of the model's types
    """Return the fields of both: lists add up, of all else the second one counts that says it."""
    made: dict[str, Any] = {}
    for each in fields(old):
        first, second = getattr(old, each.name), getattr(new, each.name)
        if is_many(first) and each.name not in _FIRST_COUNTS:
            made[each.name] = tuple(dict.fromkeys((*first, *second)))
        elif is_dataclass(first) and not isinstance(first, type):
            made[each.name] = replace(first, **_united(first, second))
        else:
            made[each.name] = first if second == each.default else second
    return made


def _by(name: Callable[[_Row], str], old: Sequence[_Row], new: Sequence[_Row]) -> tuple[_Row, ...]:
    """Return rows of which the new ones stand in the place of old ones of their names."""
    names = {name(row): row for row in new}
    kept = [names.get(name(row), row) for row in old]
    there = {name(row) for row in old}
    more: list[_Row] = []
    for row in new:
        if name(row) in there and names[name(row)] is row:
            continue
        more.append(row)
    return (*kept, *more)


def _users(
    document: Customizations, options: Customizations, overridden: list[str]
) -> tuple[User, ...]:
    old = {user.name: user for user in document.users}
    return _by(
        lambda user: user.name,
        document.users,
        [_both(old[user.name], user, overridden) if user.name in old else user
         for user in options.users],
    )  # fmt: skip


def _both(old: User, user: User, overridden: list[str]) -> User:
    """Return an account as an option changes it."""
    given = {each.name: value for each in fields(User)
             if (value := getattr(user, each.name)) not in _NOTHING}  # fmt: skip
    given.pop("name")
    if "password" in given:
        given["plain"] = None
    if any(getattr(old, name) not in (*_NOTHING, value) for name, value in given.items()):
        overridden.append(f"--user {user.name}" if user.name != ROOT else "root's options")
    return replace(old, **given)


def _files(
    document: Customizations, options: Customizations, overridden: list[str]
) -> tuple[AddedFile, ...]:
    there = {file.path for file in document.files}
    overridden += [f"--add {file.path}" for file in options.files if file.path in there]
    return _by(lambda file: file.path, document.files, options.files)
