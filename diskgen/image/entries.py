"""What may lie in a cache's directories: plain files that we can read. Nothing else is opened.

Opening a FIFO waits for its other end for ever, and a directory has no bytes: what is no entry is
found by its kind, and dropped.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import HostError


def found(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the entries of a directory, none where there is no such directory."""
    for path, status in _listed(directory):
        if _is_entry(path, status):
            yield path, status


def drop_others(directory: Path, *, but: tuple[str, ...] = ()) -> int:
    """Remove whatever is no entry, ``but`` for names with these ends; return the bytes freed.

    Raises HostError naming what stays.
    """
    return sum(
        drop(path)
        for path, status in _listed(directory)
        if path.suffix not in but and not _is_entry(path, status)
    )


def drop(path: Path) -> int:
    """Remove a file or a directory, whatever it is; return the bytes of a file's. HostError."""
    try:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
            return 0
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise HostError(
            f"'{path}' is no entry of a cache, and cannot be removed: {error.strerror}",
            hint="remove it, or choose another cache",
            setting="cache-dir",
        ) from error
    return status.st_blocks * 512


def lock_file(path: Path) -> BinaryIO:
    """Open a file to lock, made where there is none. Raises OSError for what is no plain file."""
    with suppress(FileNotFoundError):
        if not _is_entry(path, path.lstat()):
            drop(path)
    # A FIFO that comes just now is not waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o600), "r+b", buffering=0)  # noqa: PTH123 - a descriptor


def _listed(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        with suppress(FileNotFoundError):  # another run drops such things too
            yield path, path.lstat()


def _is_entry(path: Path, status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return False
    if status.st_uid == os.geteuid() and status.st_mode & stat.S_IRUSR:
        return True
    return os.access(path, os.R_OK)
