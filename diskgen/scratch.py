"""Directories for files that nobody is to keep: gone when a run ends, or when a later one comes.

Whoever has one holds a lock on it. What a killed run left is told from what another run uses by
that lock alone, which the kernel takes back whatever happens: process numbers come again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .errors import HostError
from .interrupt import whole

_PREFIX: Final = ".diskgen-"
_SUFFIX: Final = ".scratch"


@contextmanager
@whole
def directory(parent: Path | None = None) -> Iterator[Path]:
    """Give a new directory that is ours alone, in ``parent`` or where the system has such.

    What killed runs left in the same place is removed first. Raises HostError without a place
    that can be written to.
    """
    place = parent if parent is not None else _usual()
    sweep(place)
    path, lock = _made(place)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep(place: Path) -> int:
    """Remove what killed runs of this user left in a directory; return the bytes freed."""
    freed = 0
    with suppress(OSError):
        for path in sorted(place.glob(f"{_PREFIX}*{_SUFFIX}")):
            with suppress(OSError):
                freed += _removed(path)
    return freed


@whole
def _made(place: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=place))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another run swept it away already, as below
        with suppress(OSError):  # a filesystem without locks: nobody removes it but us
            fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_dir():  # else it was swept away before we had the lock
            return path, lock
        os.close(lock)


@whole
def _removed(path: Path) -> int:
    """Remove a directory that nobody holds; return its bytes. Raises OSError where one does."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return 0
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = sum(
            found.stat(follow_symlinks=False).st_blocks * 512
            for top, _directories, names in os.walk(path)
            for name in names
            if stat.S_ISREG((found := Path(top, name)).lstat().st_mode)
        )
        shutil.rmtree(path)
        return size
    finally:
        os.close(lock)


def _usual() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise HostError(
            "there is no directory for temporary files that can be written to",
            hint="name one by TMPDIR in the environment",
        ) from None
