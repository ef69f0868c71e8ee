"""Reads one layer at a time in a process of its own: ``python -m diskgen.image.worker``.

Parsing holds the interpreter's lock, so layers are read by one process per core. Inside, two
threads overlap: one reads, verifies and inflates the blob, the other hashes, parses and packs.
Jobs come as JSON lines on standard input, answers go as JSON lines to standard output.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import queue
import signal
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import zstandard

from ..budgets import EXPANSION, LAYER_BYTES, ZSTD_WINDOW_BYTES
from ..errors import DiskgenError, HostError, SourceError
from ..gvariant import file_header
from ..tree import Content, Data, Packed
from . import gunzip, private
from .counts import Counts, is_bomb
from .entries import drop, lock_file
from .index import Entry, Kind, LayerIndex, dump, is_sound, kind_of
from .model import BrokenBlob
from .pack import PackWriter
from .tarstream import BLOCK, Header, Stream, entries, show

_CHUNK: Final = 1024 * 1024
_QUEUED: Final = 8  # chunks between the threads
_REPORT: Final = 64 * 1024 * 1024  # bytes of tar between two reports at most
_TURN_SECONDS: Final = 0.2  # between two looks whether a layer's lock is free
_REFUSED_HINT: Final = "change that in the image's build; diskgen(1) lists the budgets"


_ZSTD: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after a byte from 0x50 to 0x5F; section 3.1.2
# What the decompressors raise.
_DAMAGE: Final[tuple[type[Exception], ...]] = (EOFError, gunzip.DAMAGE, zstandard.ZstdError)


class BlobReader:
    """Yields the tar inside a blob in chunks, and knows both digests at the end.

    The blob is read, hashed and inflated in a thread of its own; the tar's digest is taken where
    the chunks are consumed.
    """

    def __init__(self, blob: Path, digest: str, size: int) -> None:
        self._blob = blob
        self._digest = digest
        self._expected = size
        self._chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUED)
        self._stop = threading.Event()
        self._tar = hashlib.sha256()
        self.consumed = 0  # compressed bytes read so far
        self.produced = 0  # bytes of tar given out so far
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def __iter__(self) -> Iterator[bytes]:
        self._thread.start()
        while (chunk := self._chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            self._tar.update(chunk)
            self.produced += len(chunk)
            if self.produced > LAYER_BYTES.limit:
                raise self._refuse(f"it unpacks to {LAYER_BYTES.exceeded}")
            if is_bomb(self.produced, self.consumed):
                raise self._refuse(f"it is a decompression bomb: {EXPANSION.exceeded}")
            yield chunk

    @property
    def diff_id(self) -> str:
        """Digest of all the tar given out."""
        return f"sha256:{self._tar.hexdigest()}"

    def close(self) -> None:
        """Let the thread end, also when not all was consumed."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._chunks.get(timeout=0.01)
            except queue.Empty:
                continue
        if self._thread.ident is not None:
            self._thread.join()

    def _refuse(self, reason: str) -> SourceError:
        return SourceError(f"layer '{self._digest}' is refused: {reason}")

    def _produce(self) -> None:
        try:
            for chunk in self._inflate():
                self._put(chunk)
            self._put(None)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the consuming thread
            with contextlib.suppress(_Stopped):
                self._put(error)

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._chunks.put(item, timeout=0.2)
                return
            except queue.Full:
                continue
        raise _Stopped

    def _inflate(self) -> Iterator[bytes]:
        with self._blob.open("rb") as file:
            raw = self._raw(file)
            try:
                first = next(raw, b"")
                if first[:2] == b"\x1f\x8b":
                    yield from self._gzip(first, raw)
                elif first[:4] == _ZSTD or (first[1:4] == _SKIPPABLE and first[0] & 0xF0 == 0x50):
                    yield from self._zstd(first, raw)
                else:
                    yield first
                    yield from raw
            except _DAMAGE as error:
                # Damage that the digest explains is reported as such: it may be repaired.
                for _chunk in raw:
                    pass
                raise SourceError(
                    f"layer '{self._digest}' cannot be decompressed: {error}",
                    hint="push the image again",
                ) from error

    def _raw(self, file: Any) -> Iterator[bytes]:  # noqa: ANN401
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            self.consumed += len(chunk)
            yield chunk
        if self.consumed != self._expected:
            raise BrokenBlob(
                self._digest, f"it has {self.consumed} bytes, its manifest says {self._expected}"
            )
        found = f"sha256:{digest.hexdigest()}"
        if found != self._digest:
            raise BrokenBlob(self._digest, f"its content has the digest '{found}'")

    def _gzip(self, data: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        while True:  # one round per member
            member = gunzip.member()
            while not member.eof:
                if member.needs_input and not data:
                    data = next(raw, b"")
                    if not data:
                        raise EOFError("it ends too early")
                out = member.decompress(data, _CHUNK)
                data = b""
                if out:
                    yield out
            data = member.unused_data
            while not data.strip(b"\0"):  # some writers pad; no data at all means the end
                data = next(raw, b"")
                if not data:
                    return
            if not data.startswith(b"\x1f"):
                raise EOFError("garbage follows the compressed data")

    def _zstd(self, first: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        source = _Joined(first, raw)
        reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES.limit).stream_reader(
            cast("IO[bytes]", source), read_size=_CHUNK, read_across_frames=True
        )
        while chunk := reader.read(_CHUNK):
            yield chunk
        if not source.ended:
            for _rest in raw:
                pass


class _Stopped(Exception):  # noqa: N818 - ends a thread, no error
    pass


class _Joined:
    """A chunk and an iterator of more, as something to read from."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._first = first
        self._rest = rest
        self.ended = False

    def read(self, _size: int = -1) -> bytes:
        data, self._first = self._first or next(self._rest, b""), b""
        self.ended = self.ended or not data
        return data


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
        rows = []
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
            _verify_blob(Path(job["blob"]), digest, job["size"])
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
    if size <= _CHUNK:
        data = stream.read(size)
        stream.read(-size % BLOCK)
        digest = hashlib.sha256(prefix)
        digest.update(data)
        return digest.digest(), Packed(pack, size, tuple(writer.add(data)))
    digest = hashlib.sha256(prefix)
    extents: list[tuple[int, int, int]] = []
    for at in range(0, size, _CHUNK):
        piece = stream.read(min(_CHUNK, size - at))
        digest.update(piece)
        writer.extend(extents, at, piece)
    writer.finish()
    stream.read(-size % BLOCK)
    return digest.digest(), Packed(pack, size, tuple(extents))


def _verify_blob(blob: Path, digest: str, size: int) -> None:
    with blob.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest or blob.stat().st_size != size:
        raise BrokenBlob(digest, f"its content has the digest '{found}'")


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

    for line in sys.stdin:
        job = json.loads(line)
        try:
            produced = read_layer(job, lambda *done: answer({"progress": done}))
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
