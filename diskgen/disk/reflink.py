"""Copies of raw disks that share their data where the filesystem can; ioctl_ficlonerange(2)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from .sparse import data_extents

_FICLONE: Final = 0x40049409
_CHUNK: Final = 64 * 1024 * 1024


def copy(source: Path, target: Path) -> None:
    """Make a new file of the same bytes and holes; where it can be, of the same blocks.

    Raises OSError.
    """
    with source.open("rb") as old, target.open("xb") as new:
        if _cloned(old.fileno(), new.fileno()):
            return
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        for begin, end in data_extents(old.fileno(), 0, size):
            _copy(old.fileno(), new.fileno(), begin, end)


def possible(directory: Path) -> bool:
    """Say whether files of a directory can share blocks."""
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    try:
        old = os.open(directory, flags, 0o600)
    except OSError:  # a filesystem without nameless files has no shared blocks either
        return False
    try:
        os.write(old, bytes(4096))
        new = os.open(directory, flags, 0o600)
    except OSError:
        os.close(old)
        return False
    try:
        return _cloned(old, new)
    finally:
        os.close(old)
        os.close(new)


def _cloned(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError:
        return False
    return True


def _copy(old: int, new: int, begin: int, end: int) -> None:
    at = begin
    while at < end:
        # No copy_file_range(2): some filesystems and kernels do not have it for these files.
        at += os.pwrite(new, os.pread(old, min(_CHUNK, end - at), at), at)
