"""Reads one layer at a time in a process of its own: ``python -m diskgen.image.worker``.

Parsing holds the interpreter's lock, so layers are read by one process per core. Inside, two
threads overlap: one reads, verifies and inflates the blob, the other hashes, parses and packs.
Jobs come as JSON lines on standard input, answers go as JSON lines to standard output.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..errors import DiskgenError, HostError, SourceError
from ..gvariant import file_header
from ..tree import Content, Data, Packed
from . import private
from .blob import CHUNK, BlobReader, verify
from .counts import Counts
from .entries import drop, lock_file
from .index import Entry, Kind, LayerIndex, dump, is_sound, kind_of
from .model import BrokenBlob
from .pack import PackWriter
from .tarstream import BLOCK, Header, Stream, entries, show

_REPORT: Final = 64 * 1024 * 1024  # bytes of tar between two reports at most
_TURN_SECONDS: Final = 0.2  # between two looks whether a layer's lock is free
_REFUSED_HINT: Final = "change that in the image's build; diskgen(1) lists the budgets"


def read_layer(job: dict[str, Any], progress: Any) -> int:  # noqa: ANN401
    """Index one layer and publish pack and index in the cache. Raises DiskgenError.

    Returns the bytes of its tar; ``progress`` gets compressed bytes and those of the tar so far.

    Another process that has the same layer in hand is waited for, and its result is used.
    """
    directory = Path(job["directory"])
    name = job["diff_id"].removeprefix("sha256:")
    pack, index = directory / f"{name}.pack", directory / f"{name}.idx"
    with lock_file(directory / f"{name}.lock") as lock:
        _take_turn(lock, progress)
        for left in directory.glob(f".tmp-*-{name}*"):  # by a killed one: the lock is ours
            drop(left)
        if is_sound(index, pack, job["diff_id"]):
            return 0
        partial = directory / f".tmp-{os.getpid()}-{name}"
        try:
            made, sums, produced = _read(job, partial, pack, progress)
            written = partial.with_suffix(".idx")
            with written.open("wb") as file:
                file.writelines(dump(made, partial.stat().st_size, sums))
            for path in (pack, index):
                private.make_room(path)
            partial.rename(pack)
            written.rename(index)
            return produced
        except OSError as error:
            raise _storage_error(error, directory) from error
        finally:
            partial.unlink(missing_ok=True)
            partial.with_suffix(".idx").unlink(missing_ok=True)


def _take_turn(lock: BinaryIO, progress: Any) -> None:  # noqa: ANN401
    """Wait for a lock, as long as it takes: who watches us is told that all is well."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(0, 0)
            time.sleep(_TURN_SECONDS)
        else:
            return


def _read(
    job: dict[str, Any],
    partial: Path,
    pack: Path,
    progress: Any,  # noqa: ANN401
) -> tuple[LayerIndex, array[int], int]:
    digest = job["digest"]

    def refuse(reason: str) -> SourceError:
        return SourceError(f"layer '{digest}' is refused: {reason}", hint=_REFUSED_HINT)

    reader = BlobReader(Path(job["blob"]), digest, job["size"])
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:

        def report() -> None:
            progress(reader.consumed, reader.produced)

        writer = PackWriter(fd, lambda _size: report())
        stream = Stream(_reported(reader, report))
        rows: list[Entry] = []
        counts = Counts(refuse)
        for header in entries(stream, refuse):
            header.xattrs = counts.add(header.path, header.target, header.xattrs)
            rows.append(_entry(header, stream, writer, pack, refuse))
        sums = writer.close()
        if reader.diff_id != job["diff_id"]:
            raise refuse(
                f"its content has the diff_id '{reader.diff_id}', the image says '{job['diff_id']}'"
            )
    except SourceError as error:
        # A blob that is not what its digest says explains every other complaint about it.
        if not isinstance(error, BrokenBlob):
            verify(Path(job["blob"]), digest, job["size"])
        raise
    finally:
        reader.close()
        os.close(fd)
    return LayerIndex(job["diff_id"], tuple(rows), pack, counts.entries), sums, reader.produced


def _reported(reader: BlobReader, report: Callable[[], None]) -> Iterator[bytes]:
    """Give what a reader gives, with a report now and then: holes make no pack grow."""
    told = 0
    for chunk in reader:
        if reader.produced - told >= _REPORT:
            told = reader.produced
            report()
        yield chunk


def _entry(
    header: Header,
    stream: Stream,
    writer: PackWriter,
    pack: Path,
    refuse: Any,  # noqa: ANN401
) -> Entry:
    kind = kind_of(header.mode)
    checksum: bytes | None = None
    content: Content | None = None
    if kind is Kind.SYMLINK:
        prefix = file_header(header.mode, header.uid, header.gid, header.target, header.xattrs)
        checksum = hashlib.sha256(prefix).digest()
    elif kind is Kind.FILE:
        prefix = file_header(header.mode, header.uid, header.gid, b"", header.xattrs)
        try:
            checksum, content = _content(header.size, prefix, stream, writer, pack)
        except EOFError:
            raise refuse(f"the archive ends inside '{show(header.path)}'") from None
    if kind is not Kind.DIR and not header.path:
        raise refuse("its root is no directory")
    return Entry(
        header.path, kind, header.mode, header.uid, header.gid, header.mtime, header.xattrs,
        header.target, content, checksum,
    )  # fmt: skip


def _content(
    size: int, prefix: bytes, stream: Stream, writer: PackWriter, pack: Path
) -> tuple[bytes, Content]:
    if size == 0:
        return hashlib.sha256(prefix).digest(), Data(b"")
    if size <= CHUNK:
        data = stream.read(size)
        stream.read(-size % BLOCK)
        digest = hashlib.sha256(prefix)
        digest.update(data)
        return digest.digest(), Packed(pack, size, tuple(writer.add(data)))
    digest = hashlib.sha256(prefix)
    extents: list[tuple[int, int, int]] = []
    for at in range(0, size, CHUNK):
        piece = stream.read(min(CHUNK, size - at))
        digest.update(piece)
        writer.extend(extents, at, piece)
    writer.finish()
    stream.read(-size % BLOCK)
    return digest.digest(), Packed(pack, size, tuple(extents))


def _storage_error(error: OSError, directory: Path) -> DiskgenError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            f"no space left in the cache '{directory}'",
            hint="'diskgen cache prune' frees some, or choose another one",
            setting="cache-dir",
        )
    return HostError(f"the cache '{directory}' fails: {error}", setting="cache-dir")


def main() -> None:
    """Serve jobs until standard input ends."""
    # Ctrl-C reaches the whole foreground group; the parent decides and ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def answer(value: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    def progress(*done: int) -> None:
        answer({"progress": done})

    for line in sys.stdin:
        job = json.loads(line)
        try:
            produced = read_layer(job, progress)
        except BrokenBlob as error:
            answer({"broken": error.digest, "message": error.message})
        except DiskgenError as error:
            answer(
                {
                    "error": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "setting": error.setting,
                }
            )
        else:
            answer({"done": job["size"], "produced": produced})


if __name__ == "__main__":
    main()
