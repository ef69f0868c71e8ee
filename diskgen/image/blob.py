"""Reads a layer's blob: verified by its digest, inflated, within the budgets.

One thread reads and inflates, another one takes what comes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import zstandard

from ..budgets import EXPANSION, LAYER_BYTES, ZSTD_WINDOW_BYTES
from ..errors import SourceError
from . import gunzip
from .counts import is_bomb
from .model import BrokenBlob

CHUNK: Final = 1024 * 1024  # bytes of a blob or a tar in hand at once
_QUEUED: Final = 8  # chunks between the threads
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
        while chunk := file.read(CHUNK):
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
                out = member.decompress(data, CHUNK)
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
            cast("IO[bytes]", source), read_size=CHUNK, read_across_frames=True
        )
        while chunk := reader.read(CHUNK):
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


def verify(blob: Path, digest: str, size: int) -> None:
    """Raise BrokenBlob for a blob that is not what its digest and size (bytes) say."""
    with blob.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest or blob.stat().st_size != size:
        raise BrokenBlob(digest, f"its content has the digest '{found}'")
