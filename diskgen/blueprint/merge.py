"""A document and options together: options win, and it is said where they do."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final

from .model import AddedFile, Customizations, User

_JOINED: Final = ("kargs", "links", "certificates", "groups", "directories")
_SCALARS: Final = ("hostname", "timezone", "languages", "keyboard")
_NAMES: Final = {"languages": "language"}  # as options call them


def merge(document: Customizations, options: Customizations) -> Customizations:
    """Return what both say; ``overridden`` names what of the document does not count."""
    overridden: list[str] = []
    changes: dict[str, object] = {}
    for name in _SCALARS:
        value = getattr(options, name)
        if value:
            changes[name] = value
            if getattr(document, name) not in (None, (), value):
                overridden.append(f"--{_NAMES.get(name, name)}")
    for name in _JOINED:
        changes[name] = (*getattr(document, name), *getattr(options, name))
    changes["users"] = _users(document, options, overridden)
    changes["files"] = _files(document, options, overridden)
    return replace(document, **changes, overridden=tuple(dict.fromkeys(overridden)))  # type: ignore[arg-type]


def _users(
    document: Customizations, options: Customizations, overridden: list[str]
) -> tuple[User, ...]:
    users = {user.name: user for user in document.users}
    for user in options.users:
        old = users.get(user.name)
        if old is None:
            users[user.name] = user
            continue
        given = {each.name: value for each in fields(User)
                 if (value := getattr(user, each.name)) not in (None, (), False)}  # fmt: skip
        given.pop("name")
        if "password" in given:
            given["plain"] = None
        if any(getattr(old, name) not in (None, (), False, value)
               for name, value in given.items()):  # fmt: skip
            overridden.append(f"--user {user.name}" if user.name != "root" else "root's options")
        users[user.name] = replace(old, **given)
    return tuple(users.values())


def _files(
    document: Customizations, options: Customizations, overridden: list[str]
) -> tuple[AddedFile, ...]:
    files = {file.path: file for file in document.files}
    for file in options.files:
        if file.path in files:
            overridden.append(f"--add {file.path}")
        files[file.path] = file
    return tuple(files.values())
