"""Whether a cache is ours alone: whoever can write to it could put any bytes onto our disks.

Sums tell that files are as they were written, not who wrote them, and a layer cannot be compared
with its digest without reading all of it again. So a cache is used where nobody but its user and
root can write to it or to a directory on the way to it, and only files of that user are believed.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from ..errors import HostError

_OVERFLOW: Final = Path("/proc/sys/kernel/overflowuid")


def require(cache: Path, rooms: Iterable[Path]) -> None:
    """Refuse a cache directory that others than its user and root can write to. HostError.

    ``rooms`` are the directories inside in which files are.
    """
    inside = [path.resolve() for path in rooms]
    above = {os.geteuid(), 0, _outside()}
    for place in inside:
        _require(place, cache, {os.geteuid()})
    for place in sorted({parent for path in inside for parent in path.parents} - {*inside}):
        _require(place, cache, above, common=True)


def read(path: Path) -> bytes | None:
    """Return the bytes of a regular file that is ours alone, None for anything else there.

    Raises FileNotFoundError where nothing is.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not is_ours(status):
        os.close(fd)
        return None
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor
        return file.read()


def make_room(path: Path) -> None:
    """Remove a directory from where a file is to be renamed to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


def is_ours(status: os.stat_result) -> bool:
    """Say whether nobody but us can have written a file or directory, by what stat says of it."""
    return status.st_uid == os.geteuid() and not _writers(status)


def _require(path: Path, cache: Path, owners: set[int], *, common: bool = False) -> None:
    """Check one directory; a ``common`` one may be sticky, so that nobody moves others' things."""
    status = path.stat()
    if status.st_uid not in owners:
        reason, repair = f"'{path}' belongs to '{_name(status.st_uid)}'", ""
    elif writers := _writers(status):
        if common and status.st_mode & stat.S_ISVTX:
            return
        reason, repair = f"{writers} can write to '{path}'", f", or 'chmod go-w {path}'"
    else:
        return
    raise HostError(
        f"the cache '{cache}' is not used: {reason}, and so could change what your disks get",
        hint=f"choose another one{repair}",
        setting="cache-dir",
    )


def _writers(status: os.stat_result) -> str | None:
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if status.st_mode & stat.S_IWGRP and not _is_alone(status.st_gid):
        return f"the group '{status.st_gid}'"
    return None


@cache
def _is_alone(group: int) -> bool:
    """Say whether a group is a user's own, by the scheme that gives everybody one."""
    try:
        user, members = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return (
        user.pw_gid == group
        and members.gr_name == user.pw_name
        and set(members.gr_mem) <= {user.pw_name}
    )


def _outside() -> int:
    """Return the user that stands for all who have no number in our user namespace."""
    try:
        whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
        return 0 if whole else int(_OVERFLOW.read_text())
    except (OSError, ValueError):
        return 0


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
