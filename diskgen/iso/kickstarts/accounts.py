"""Accounts as a kickstart has them."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Iterator

from ...accounts import key_fault
from ...blueprint.model import ROOT, User
from ...errors import UsageError
from ...kickstart.language import Parsed
from . import values
from .command import Command


def account(user: User) -> Iterator[Command]:
    """Yield the commands for an account and who may log in there. Raises UsageError."""
    words = [f"user --name={values.account_name(user.name, 'user')}"]
    if user.groups:
        groups = ",".join(values.account_name(group, "user-groups") for group in user.groups)
        words.append(f"--groups={groups}")
    words += _details(user)
    if user.password:
        crypted = values.crypted(user.password, "user-password-hash")
        words.append(f"--iscrypted --password='{crypted}'")
    else:
        words.append("--lock")
    yield Command(word="user", text=" ".join(words), setting="user", values=(user.name,))
    yield from keys(user.name, user.keys)


def _details(user: User) -> Iterator[str]:
    """Yield the words for what documents alone can say of an account."""
    for option, value in (
        ("uid", user.uid),
        ("gid", user.gid),
        ("homedir", user.home),
        ("shell", user.shell),
        ("gecos", user.comment),
    ):
        if value is not None:
            yield f"--{option}={shlex.quote(str(value))}"


def check_keys(user: Parsed, homeless: Container[str], setting: str) -> None:
    """Refuse a kickstart's key for an account of the image that has no home yet.

    Anaconda, which writes it there, would end the installation: its 'user' passes over accounts
    that are there, and makes them no home. Raises UsageError with the line.
    """
    for key in user.handler.sshkey.sshUserList:
        if key.username in homeless:
            raise UsageError(
                f"'{user.name}', line {key.lineno}: '{key.username}' is an account of the image, "
                "whose first boot makes its home: Anaconda would end at this key",
                hint=f"give it by --user {key.username} --user-key FILE",
                setting=setting,
            )


def keys(name: str, public: Iterable[str]) -> Iterator[Command]:
    """Yield the commands for the public keys of an account. Raises UsageError."""
    setting = "root-key" if name == ROOT else "user-key"
    for key in public:
        values.valid(key_fault(key), key, setting)
        text = f"sshkey --username={name} {shlex.quote(key)}"
        yield Command(word="sshkey", text=text, setting=setting, values=(name,))
