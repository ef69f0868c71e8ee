"""Passwords in plain text become crypted ones: SHA-512 of crypt(5), which every system takes.

The salt follows from what the machine is made of and from the account, so that the same input
gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Final

from ..blueprint.model import Customizations, User

_ROUNDS: Final = 5000  # what crypt(5) takes where a hash names none
_SALT: Final = 16


def crypted(wanted: Customizations, digest: str) -> Customizations:
    """Return what a machine is given with no password in plain text left.

    ``digest`` is that of the image.
    """
    return replace(wanted, users=tuple(_crypted(user, digest) for user in wanted.users))


def kept(user: User, crypted: str) -> str:
    """Return what a password's field has: as ``usermod --lock`` leaves it where it is locked."""
    return f"!{crypted}" if user.locked and not crypted.startswith("!") else crypted


def _crypted(user: User, digest: str) -> User:
    if user.plain is None:
        return user
    from passlib.hash import sha512_crypt

    seed = hashlib.sha256(f"diskgen password\0{digest}\0{user.name}".encode())
    salt = base64.b64encode(seed.digest(), altchars=b"./").decode()[:_SALT]
    made = sha512_crypt.using(salt=salt, rounds=_ROUNDS).hash(user.plain)
    return replace(user, password=made, plain=None)
