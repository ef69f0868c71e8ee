"""Accounts as a kickstart has them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from ...accounts import key_fault
from ...blueprint.model import ROOT, User
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


def keys(name: str, public: Iterable[str]) -> Iterator[Command]:
    """Yield the commands for the public keys of an account. Raises UsageError."""
    setting = "root-key" if name == ROOT else "user-key"
    for key in public:
        values.valid(key_fault(key), key, setting)
        text = f"sshkey --username={name} {shlex.quote(key)}"
        yield Command(word="sshkey", text=text, setting=setting, values=(name,))
