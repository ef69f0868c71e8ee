"""Directories for files that nobody is to keep: gone when a run ends, or when a later one comes.

Whoever has one holds a lock on it. What a killed run left is told from what another run uses by
that lock, which the kernel takes back whatever happens: process numbers come again. A share may
keep locks from other hosts, so the name says whose it is: what another host made is not touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .errors import HostError
from .interrupt import whole

_PREFIX: Final = ".diskgen-"
_SUFFIX: Final = ".scratch"
_OWNED: Final = re.compile(r"\.diskgen-([0-9a-f]{8})\.([0-9a-f]{8})\.[a-z0-9_]+\.scratch")
_MACHINE: Final = Path("/etc/machine-id")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_STATISTICS: Final = Path("/proc/stat")


@contextmanager
@whole
def directory(parent: Path | None = None) -> Generator[Path]:
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
                if _may_be_ours(path):
                    freed += _removed(path)
    return freed


def owner() -> tuple[str, str]:
    """Return what tells this host from all others, and its boot from its earlier ones: 8 digits."""
    return _digits(_text(_MACHINE) + os.uname().nodename), _digits(_text(_BOOT))


def _may_be_ours(path: Path) -> bool:
    """Say whether a lock tells if a directory is in use: a run of this boot would hold it here.

    One of an earlier boot of this host has no run any more.
    """
    found = _OWNED.fullmatch(path.name)
    if found is None:
        return True  # of a version that trusted in locks alone
    host, boot = owner()
    if found[2] == boot:
        return True
    return found[1] == host and path.lstat().st_ctime < _booted()


def _booted() -> float:
    """Return when this host was booted, in seconds since 1970; 0 where it does not say."""
    line = re.search(r"^btime ([0-9]+)$", _text(_STATISTICS), re.MULTILINE)
    return float(line[1]) if line else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@whole
def _made(place: Path) -> tuple[Path, int]:
    prefix = f"{_PREFIX}{'.'.join(owner())}."
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=place))
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
