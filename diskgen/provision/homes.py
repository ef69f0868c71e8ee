"""Home directories from the skeleton, mail files and keys, as useradd(8) and sshd(8) want them.

They lie in /var, which the machine keeps: ``/home`` and ``/root`` are links there.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..blueprint.model import ROOT
from ..tree import Data, Directory, File, read
from .accounts import Accounts, Person
from .files import Files, RefusalError

_KEYS: Final = b"authorized_keys"
_SKELETON: Final = "/etc/skel"
_ROOT_MODE: Final = 0o700


def make_home(
    files: Files, accounts: Accounts, person: Person, warn: Callable[[str], None]
) -> None:
    """Make what a new account's home has, and put keys into it. Raises RefusalError."""
    user = person.user
    if person.new:
        _create(files, accounts, person, warn)
        _mail(files, accounts, person)
    if user.keys:
        _add_keys(files, person)


def _create(files: Files, accounts: Accounts, person: Person, warn: Callable[[str], None]) -> None:
    if files.find(person.home) is not None:
        warn(
            f"'{person.home}' is there already: it stays as it is, and may not be "
            f"'{person.user.name}'s"
        )
        return
    place = person.home.rstrip("/").rpartition("/")[0]
    files.own_directory(place)
    home = files.make(person.home)
    home.mode = stat.S_IFDIR | accounts.defaults.home_mode
    home.uid, home.gid = person.uid, person.gid
    skeleton = accounts.defaults.useradd.get("SKEL") or _SKELETON
    source = files.directory(skeleton)
    if source is not None:
        copied = Directory()  # apart, for a skeleton in which the home itself lies
        _copy(source, copied, person, skeleton)
        home.entries.update(copied.entries)


def _copy(source: Directory, target: Directory, person: Person, skeleton: str) -> None:
    """Copy a skeleton for an account; what no user could own is left out."""
    for name, node in source.entries.items():
        if isinstance(node, Directory):
            made = Directory(mode=node.mode, uid=person.uid, gid=person.gid)
            target.entries[name] = made
            _copy(node, made, person, skeleton)
        elif node.is_symlink:
            inside = node.target.startswith(f"{skeleton}/".encode())
            home = person.home.encode() + node.target[len(skeleton) :]
            target.entries[name] = replace(
                node, uid=person.uid, gid=person.gid, xattrs=(), checksum=None,
                target=home if inside else node.target,
            )  # fmt: skip
        elif node.is_regular:
            target.entries[name] = File(
                mode=node.mode, uid=person.uid, gid=person.gid, content=node.content
            )


def _mail(files: Files, accounts: Accounts, person: Person) -> None:
    """Make the file for an account's mail, where the image wants one and has the place."""
    place = accounts.defaults.login.get("MAIL_DIR", "/var/mail")
    wanted = accounts.defaults.useradd.get("CREATE_MAIL_SPOOL", "no").lower() == "yes"
    if not wanted or files.directory(place) is None:
        return
    try:
        gid, mode = accounts.group("mail"), 0o660
    except RefusalError:
        gid, mode = person.gid, 0o600
    files.write(f"{place}/{person.user.name}", b"", mode=mode, uid=person.uid, gid=gid)


def _add_keys(files: Files, person: Person) -> None:
    new = files.find(person.home) is None
    home = files.own_directory(person.home)
    if new:  # root's, or one that the first boot would make
        mode = _ROOT_MODE if person.user.name == ROOT else 0o700
        home.mode, home.uid, home.gid = stat.S_IFDIR | mode, person.uid, person.gid
    place = home.entries.get(b".ssh")
    if place is None:
        place = home.entries[b".ssh"] = Directory(
            mode=stat.S_IFDIR | 0o700, uid=person.uid, gid=person.gid
        )
    if not isinstance(place, Directory):
        raise RefusalError(f"'{person.home}/.ssh' is no directory on this machine")
    old = place.entries.get(_KEYS)
    if old is not None and not (isinstance(old, File) and old.is_regular):
        raise RefusalError(f"'{person.home}/.ssh/authorized_keys' is no file on this machine")
    before = read(old.content) if old is not None and old.content is not None else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    text = before + "".join(f"{key}\n" for key in person.user.keys).encode()
    place.entries[_KEYS] = File(
        mode=stat.S_IFREG | 0o600, uid=person.uid, gid=person.gid, content=Data(text)
    )
