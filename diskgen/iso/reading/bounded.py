"""A file that may be damaged or hostile: every read is checked, and their sum is limited."""

from __future__ import annotations

import io
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ...errors import SourceError

_LEAST: Final = 512  # bytes that the smallest read costs, so that their number is limited too
_AGAIN: Final = "download it again, and compare its checksum with the vendor's"


class Bounded:
    """An open file; ``budget`` is the number of bytes that may be read in all."""

    def __init__(self, path: Path, file: BinaryIO, budget: int) -> None:
        self.path = path
        self.size = file.seek(0, io.SEEK_END)
        self._file = file
        self._budget = budget

    def check(self, offset: int, length: int, what: str) -> None:
        """Raise SourceError unless a range of bytes lies inside of the file."""
        if not 0 <= offset <= offset + length <= self.size:
            raise self.damaged(f"{what} would lie outside of the file")

    def at(self, offset: int, length: int, what: str) -> bytes:
        """Return a range of bytes. Raises SourceError for one that the file does not have."""
        self.check(offset, length, what)
        self._budget -= max(length, _LEAST)
        if self._budget < 0:
            raise self.damaged(f"{what} would be more to read than any installer needs")
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise self.damaged(f"{what} ends early")
        return data

    def damaged(self, what: str) -> SourceError:
        return SourceError(f"'{self.path}' is damaged: {what}", hint=_AGAIN)


@contextmanager
def opened(path: Path, budget: int) -> Generator[Bounded]:
    """Open a file or block device. An OSError in the body becomes a SourceError."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise SourceError(f"'{path}' is no file", hint="give the path of an ISO image")
        with path.open("rb") as file:
            yield Bounded(path, file, budget)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(
            f"'{path}' cannot be read: {reason}", hint="check the path, and who may read it"
        ) from error


def shown(name: bytes) -> str:
    """Return a name for a message: nothing in it can steer a terminal."""
    text = name.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
