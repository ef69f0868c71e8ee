"""What a transfer has come to, beside the file that is sent: a killed run is gone on with.

One JSON value a line: first what the journal is of, then facts and pieces as they come. Where the
file has changed, what it is of now follows (``began``), and what was made of the file before stays
until it is settled. A line that was cut by the end of a process is no line. It holds names and
digests, and no secret but the address of an upload, to which whoever knows it may write: it is its
owner's alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from ..documents import is_table
from ..errors import HostError
from ..units import format_size
from .answers import values_of

_VERSION: Final = 1
_LARGEST: Final = 256 * 1024 * 1024  # of a journal: 65,536 GiB in blocks of 512 KiB have 10 GiB


class Journal:
    """An open journal. Use as a context manager: only one run has it at a time."""

    def __init__(self, path: Path, file: int, header: Mapping[str, Any]) -> None:
        self.path = path
        self._file = file
        self._lock = threading.Lock()
        self._facts: dict[str, Any] = {}
        self._pieces: dict[int, str] = {}
        self.stale: dict[str, Any] = {}  # facts of a run that sent something else
        self._header: Mapping[str, Any] = {}
        lines = self._lines()
        if lines and os.fstat(file).st_uid != os.geteuid():
            # It names what is removed at a place.
            os.close(file)
            raise HostError(f"the journal '{path}' is not yours", hint="see who made it; remove it")
        if lines:
            self._header = lines[0]
        for line in lines[1:]:
            self._take(line)
        if not lines:
            self._write(header)
        elif self._header != header:
            self._begin(header)
            self._write({"began": header})
        self._header = header

    @classmethod
    def beside(cls, file: Path, place: str, asked: Mapping[str, Any]) -> Self:
        """Open the journal of a file and of what is asked of a place, or begin it.

        Where the file has changed since, it begins anew, and ``stale`` has the facts of before.
        Raises HostError where another run has it, or where none can be written.
        """
        status = file.stat()
        path = _path(file, place, asked)
        descriptor = _opened(path)
        while not _is(path, descriptor):  # another run ended, and removed it, meanwhile
            os.close(descriptor)
            descriptor = _opened(path)
        header = {
            "version": _VERSION,
            "place": place,
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "inode": status.st_ino,
        }
        return cls(path, descriptor, header)

    @staticmethod
    def is_beside(file: Path, place: str, asked: Mapping[str, Any]) -> bool:
        """Say whether a run that did not end has left one."""
        return _path(file, place, asked).exists()

    @property
    def is_private(self) -> bool:
        """Whether nobody else reads it, as far as its filesystem tells."""
        status = os.fstat(self._file)
        return status.st_uid == os.geteuid() and not status.st_mode & 0o077

    def get(self, key: str) -> Any:  # noqa: ANN401 - JSON
        """Return a fact that was noted, or None."""
        return self._facts.get(key)

    @property
    def facts(self) -> Mapping[str, Any]:
        """All facts that were noted."""
        return self._facts

    def note(self, key: str, value: object) -> None:
        """Note a fact; it is on the disk when this returns."""
        with self._lock:
            self._facts[key] = value
            self._write({"fact": key, "is": value})
            os.fsync(self._file)

    @property
    def pieces(self) -> Mapping[int, str]:
        """The digests of the pieces that have arrived, by number."""
        return self._pieces

    def arrived(self, number: int, digest: str) -> None:
        """Note that a piece has arrived. For any thread."""
        with self._lock:
            self._pieces[number] = digest
            self._write({"piece": number, "digest": digest})

    def settle(self) -> None:
        """Note that what an earlier run made of something else is gone, or was named."""
        with self._lock:
            self.stale = {}
            self._write({"settled": True})
            os.fsync(self._file)

    def forget(self) -> None:
        """Begin anew: nothing has arrived."""
        with self._lock:
            os.ftruncate(self._file, 0)
            self._facts.clear()
            self._pieces.clear()
            self._write(self._header)

    def remove(self) -> None:
        """Remove it: there is nothing to go on with."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)

    def _write(self, value: Mapping[str, Any]) -> None:
        os.write(self._file, (json.dumps(value) + "\n").encode())

    def _lines(self) -> list[dict[str, Any]]:
        """Return what it has, up to the first line that is none."""
        size = os.fstat(self._file).st_size
        if size > _LARGEST:
            raise HostError(f"the journal '{self.path}' has {format_size(size)}", hint="remove it")
        found: list[dict[str, Any]] = []
        data = bytearray()
        while len(data) < size and (more := os.pread(self._file, size - len(data), len(data))):
            data += more
        end = data.rfind(b"\n") + 1
        if end < len(data):  # a line that was cut: the next one must not be added to it
            os.ftruncate(self._file, end)
        for line in data[:end].splitlines():
            value = values_of(line)
            if not value:
                break
            found.append(value)
        return found

    def _take(self, line: Mapping[str, Any]) -> None:
        match line:
            case {"fact": str() as key, "is": value}:
                self._facts[key] = value
            case {"piece": int() as number, "digest": str() as digest}:
                self._pieces[number] = digest
            case {"began": header} if is_table(header):
                self._begin(header)
            case {"settled": True}:
                self.stale = {}
            case _:
                pass

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.stale |= self._facts
        self._facts, self._pieces, self._header = {}, {}, header


def _path(file: Path, place: str, asked: Mapping[str, Any]) -> Path:
    told = json.dumps([place, str(file.absolute()), asked], sort_keys=True)
    name = f".{file.name[:150]}.{place}-{hashlib.sha256(told.encode()).hexdigest()[:8]}.journal"
    return file.absolute().with_name(name)


def _opened(path: Path) -> int:
    """Return a journal's descriptor, with its lock. Raises HostError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise HostError(
            f"the journal '{path}' cannot be written: {error.strerror}",
            hint="a transfer keeps beside its file what it has come to: move the file to a "
            "directory of yours",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise HostError(
            f"another run publishes the same file to the same place: it has '{path}'"
        ) from None
    except OSError:
        pass  # a filesystem without locks
    return descriptor


def _is(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
