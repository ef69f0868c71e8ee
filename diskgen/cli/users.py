"""Accounts as options name them, each with what follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..blueprint.model import ROOT, User
from ..errors import UsageError


def users_of(given: Sequence[tuple[str, Any]]) -> tuple[User, ...]:
    """Return the accounts: each option belongs to the account that was named before it.

    Raises UsageError.
    """
    users: list[User] = []
    done: set[str] = set()
    for option, value in given:
        setting = option.lstrip("-")
        if setting == "user" and value == ROOT:
            raise UsageError(
                "'root' is there already",
                hint="its password and its keys are set by options of their own",
                setting="root-password-hash",
            )
        if setting == "user":
            users.append(User(name=value))
            done.clear()
            continue
        if not users:
            raise UsageError(
                f"{option} belongs to no account", hint="name the account before it", setting="user"
            )
        user = users[-1]
        if setting in done:
            raise UsageError(f"{option} is given twice for '{user.name}'", setting=setting)
        done.add(setting)
        if setting == "user-groups":
            users[-1] = replace(user, groups=tuple(name for name in value.split(",") if name))
        elif setting == "user-key":
            users[-1] = replace(user, keys=(key_of(value, setting),))
        else:
            users[-1] = replace(user, password=value)
    return tuple(users)


def key_of(path: Path, setting: str) -> str:
    """Return a public key's line. Raises UsageError that names the option it comes from."""
    text = text_of(path, setting).strip()
    if "\n" in text or "PRIVATE" in text:
        raise UsageError(
            f"'{path}' is not one public key", hint="name the .pub file", setting=setting
        )
    return text


def text_of(path: Path, setting: str) -> str:
    """Return what is in a file with keys. Raises UsageError that names the option."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {error}", setting=setting) from error
