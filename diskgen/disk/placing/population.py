"""What filling a filesystem takes and makes: its need, its outcome, and a look at it meanwhile."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import HostError, UsageError
from ...tree import BLOCK
from ...units import format_size
from . import shadow
from .content import Copy, Made, Move
from .mover import moving

_HOST_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Need:
    """What a tree takes of a filesystem.

    ``bytes`` are all data and metadata blocks that populate allocates: exact but for fragments and
    for how names fall into the leaves of large directories, where it is an upper bound. ``inodes``
    counts those that the filesystem keeps for itself, too: it must have as many at least.
    ``content`` is the part that populate reports to ``advance``.
    """

    bytes: int
    inodes: int
    content: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree took: blocks of 4096 bytes, inodes, and bytes of content moved to the disk."""

    blocks: int
    inodes: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """``look`` is called with a file that has the metadata where the disk has them.

    ``shadow`` is where that file may be for the time being; not on the disk's last free bytes.
    """

    shadow: Path
    look: Callable[[Path], None]


def ignore(_amount: int) -> None:
    """Report to nobody."""


@contextmanager
def onto(disk: Path) -> Generator[int]:
    """Open a disk for writing; what the system refuses meanwhile is said as a HostError."""
    try:
        with disk.open("r+b", buffering=0) as file:
            yield file.fileno()
    except OSError as error:
        if error.errno in _HOST_FULL:
            raise HostError(
                f"no space left on this machine for '{disk}'",
                hint="free some space, or write the output elsewhere",
            ) from error
        name = error.filename if error.filename is not None else disk
        raise HostError(f"'{name}' cannot be used: {error.strerror}") from error


def too_small(size: int, missing: int) -> UsageError:
    """Return the error for a filesystem of so many bytes, of which so many are missing, about."""
    return UsageError(
        f"the filesystem of '{format_size(size)}' is too small for the image: "
        f"'{format_size(max(missing, BLOCK))}' more are needed",
        hint="make the disk larger",
        setting="disk-size",
    )


def bring(
    fd: int,
    moves: Sequence[Move],
    write_metadata: Callable[[], None],
    advance: Callable[[int], None],
    inspection: Inspection | None,
    whole: tuple[int, int],
    *,
    shift: int = 0,
) -> int:
    """Move contents while ``write_metadata`` does the rest; return how many bytes were moved.

    The metadata between the two bytes ``whole`` of the disk are looked at while contents are still
    on their way. The file that is looked at has them at the same places, or ``shift`` bytes before.
    """
    copies = [move for move in moves if isinstance(move, Copy | Made)]
    # What comes from memory is little, and targets of symlinks are among it.
    others = [move for move in moves if not isinstance(move, Copy | Made)]
    with moving(fd, copies) as long, moving(fd, others) as short:
        write_metadata()
        short.finish(advance)
        if inspection is not None:
            _inspect(fd, inspection, whole, copies, shift)
        long.finish(advance)
    return long.done + short.done


def _inspect(
    fd: int,
    inspection: Inspection,
    whole: tuple[int, int],
    copies: Sequence[Copy | Made],
    shift: int,
) -> None:
    taken = sorted((copy.target, copy.target + copy.length) for copy in copies)
    try:
        shadow.make(fd, inspection.shadow, whole, taken, shift=shift)
        inspection.look(inspection.shadow)
    finally:
        inspection.shadow.unlink(missing_ok=True)
