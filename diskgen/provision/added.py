"""Files and directories that a machine is given, with owner and mode."""

from __future__ import annotations

import stat

from ..blueprint.model import AddedDirectory, AddedFile, Owner
from ..tree import Directory
from .accounts import Accounts
from .files import Files, RefusalError


def add_directory(files: Files, accounts: Accounts, wanted: AddedDirectory) -> None:
    """Make a directory, or give one that is there its owner and mode. Raises RefusalError."""
    uid, gid = _owner(accounts, wanted.user, wanted.group)
    parent = wanted.path.rpartition("/")[0]
    if parent and not wanted.parents and files.directory(parent) is None:
        raise RefusalError(
            f"'{wanted.path}' is to be made, and there is no '{parent}'",
            "set 'ensure_parents', or make that one first",
        )
    folder = files.own_directory(wanted.path)
    folder.mode = stat.S_IFDIR | wanted.mode
    folder.uid, folder.gid = uid, gid


def add_file(files: Files, accounts: Accounts, wanted: AddedFile) -> None:
    """Write a file; directories above it are made. Raises RefusalError."""
    uid, gid = _owner(accounts, wanted.user, wanted.group)
    parent, _slash, name = wanted.path.rpartition("/")
    folder = files.own_directory(parent)
    if isinstance(folder.entries.get(name.encode()), Directory):
        raise RefusalError(f"'{wanted.path}' is a directory on this machine")
    files.write(wanted.path, wanted.data, mode=wanted.mode, uid=uid, gid=gid)


def _owner(accounts: Accounts, user: Owner, group: Owner | None) -> tuple[int, int]:
    uid, own = accounts.owner(user)
    if group is not None:
        return uid, accounts.group(group)
    if own is None:
        raise RefusalError(
            f"nobody on this machine has the number '{user}', so it has no group",
            "name the group as well",
        )
    return uid, own
