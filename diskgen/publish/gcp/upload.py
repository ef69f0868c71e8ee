"""An archive becomes an object of a bucket: a resumable upload, gone on with where it ended.

Cloud Storage's documentation, "Resumable uploads": one stream of bytes, in chunks of a multiple of
256 KiB; an answer of 308 says what the service holds, which may be less than was sent. Whoever has
the address of a session may write to it: it is in our journal, which is its owner's alone, and is
never shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from ...errors import PublishError
from ...events import Emit, notice, step
from ...interrupt import whole
from ...units import KIB, MIB, format_size
from ..answers import count_of, values_of
from ..extents import Piece, Sparse
from ..http import Reply
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..retry import Transient
from .access import STORAGE, Access, RefusedError, refusal
from .wanted import Wanted

GRAIN: Final = 256 * KIB  # chunks are a multiple of it, but the last one
CHUNK: Final = 8 * MIB
TYPE: Final = "application/gzip"
_MORE: Final = 308  # resume incomplete
_ENDED: Final = (404, 410, 499)  # there is no such session any more
_SESSIONS: Final = 3  # one after another, before we give up
_HELD: Final = re.compile(r"bytes=0-([0-9]{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object; ``sent`` are bytes of this run, ``before`` those of an earlier one."""

    key: str
    generation: str
    sent: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """What a session has: so many bytes from the beginning on, and the object once it is whole."""

    size: int
    whole: dict[str, Any] | None = None


class _Gone(Exception):  # noqa: N818 - another session takes its place
    """The service does not know a session any more."""


def chunk_of(means: Means) -> int:
    """Return the bytes of a chunk: no more than what may be sent in a second."""
    rate = means.pace.rate
    return CHUNK if rate is None else max(GRAIN, min(CHUNK, rate // GRAIN * GRAIN))


def object_path(bucket: str, key: str) -> str:
    """Return the path of an object in the JSON API."""
    return f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def upload(
    access: Access, wanted: Wanted, disk: DiskFile, journal: Journal, means: Means, made: Leftovers
) -> Stored:
    """Make an object of an archive, or go on with the journal's, which ``made`` has.

    Raises PublishError, OSError.
    """
    there = _there(access, wanted, journal)
    if there is not None:
        return there
    md5 = journal.get("md5")
    if not isinstance(md5, str):
        md5 = _md5(disk.path, means.emit)
        journal.note("md5", md5)
    with Sparse(disk.path) as source:
        for _ in range(_SESSIONS):
            session = _begun(access, wanted, source.size, md5, journal, means, made)
            try:
                stored, found = _sent(session, source, means)
            except _Gone:
                notice(means.emit, "the upload was ended by Google: it begins anew")
                journal.forget()
                continue
            _check(found, source.size, md5)
            journal.note("object", {"key": stored.key, "generation": stored.generation})
            return stored
    raise PublishError(f"Google ended {_SESSIONS} uploads one after another")


def delete(access: Access, wanted: Wanted, key: str) -> None:
    """Delete an object, if it is there. Raises PublishError."""
    try:
        access.ask("storage objects.delete", STORAGE, "DELETE", object_path(wanted.bucket, key))
    except RefusedError as error:
        if error.status != 404:
            raise


def note(access: Access, wanted: Wanted, key: str, session: str | None, made: Leftovers) -> None:
    """Note an upload, which is an object where it came to its end and the answer was lost."""

    def remove() -> None:
        if session is not None:
            _cancel(access, session)
        delete(access, wanted, key)

    where = f"gs://{wanted.bucket}/{key}"
    made.add(f"the object '{where}', or its upload", f"gcloud storage rm {where}", remove)


def note_earlier(access: Access, wanted: Wanted, facts: Mapping[str, Any], made: Leftovers) -> None:
    """Note what the journal of an earlier run names: whatever fails now, it is removed."""
    key, session = facts.get("key"), facts.get("session")
    if isinstance(key, str):
        note(access, wanted, key, session if isinstance(session, str) else None, made)


def _there(access: Access, wanted: Wanted, journal: Journal) -> Stored | None:
    """Return the object that an earlier run made, where it is there as it was."""
    match journal.get("object"):
        case {"key": str() as key, "generation": str() as generation}:
            pass
        case _:
            return None
    try:
        found = access.call(
            "storage objects.get", STORAGE, "GET", object_path(wanted.bucket, key),
            [("fields", "generation,size")],
        )  # fmt: skip
    except RefusedError as error:
        if error.status != 404:
            raise
        found = {}
    if found.get("generation") != generation:
        journal.forget()
        return None
    return Stored(key=key, generation=generation, before=count_of(found.get("size")) or 0)


def _md5(path: Path, emit: Emit) -> str:
    """Return what Google will check the object by."""
    digest = hashlib.md5(usedforsecurity=False)
    size = path.stat().st_size
    with (
        step(emit, "digest", "Summing the archive", unit="bytes", total=size) as phase,
        path.open("rb") as file,
    ):
        while data := file.read(MIB):
            digest.update(data)
            phase.advance(len(data))
        phase.detail = format_size(size)
    return base64.b64encode(digest.digest()).decode()


@dataclass(slots=True)
class _Session:
    """An upload of ``total`` bytes to the object ``key``, by an address that is a secret."""

    access: Access
    url: str
    key: str
    total: int
    known: bool  # of an earlier run
    chunk: int = CHUNK  # bytes of the next one

    def put(self, at: int, data: bytes) -> _Held:
        """Send a chunk. Raises Transient, PublishError, _Gone."""
        return self._asked(f"bytes {at}-{at + len(data) - 1}/{self.total}", data)

    def held(self) -> _Held:
        """Ask what the service has. Raises Transient, PublishError, _Gone."""
        return self._asked(f"bytes */{self.total}", b"")

    def shrink(self) -> None:
        """Make chunks half as large: one that takes a minute to be sent never gets an answer."""
        self.chunk = max(GRAIN, self.chunk // 2 // GRAIN * GRAIN)

    def _asked(self, range_: str, data: bytes) -> _Held:
        reply = _to_session(self.access, self.url, "PUT", {"Content-Range": range_}, data)
        if reply.status in (200, 201):
            return _Held(self.total, values_of(reply.body))
        if reply.status == _MORE:
            return _Held(self._range(reply.headers.get("range")))
        if reply.status in _ENDED:
            raise _Gone
        raise refusal("storing the object", reply, *_secrets(self.url))

    def _range(self, text: str | None) -> int:
        """Return how many bytes a range has, from the beginning on. Raises PublishError."""
        match = _HELD.fullmatch(text) if text else None
        size = int(match[1]) + 1 if match else 0
        if (text and not match) or size > self.total:
            raise PublishError(f"Google says that it has '{text}' of {self.total} bytes")
        return size


def _secrets(url: str) -> tuple[str, ...]:
    query = urlsplit(url).query
    return (url, query, query.rpartition("upload_id=")[2]) if query else (url,)


def _to_session(
    access: Access, url: str, method: str, headers: dict[str, str], data: bytes
) -> Reply:
    """Return an answer of a session, which takes no credentials: its address is one."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return access.connection(url).request(method, target, headers, data)


def _cancel(access: Access, url: str) -> None:
    """End a session: its bytes are dropped. Raises PublishError."""

    def once() -> None:
        reply = _to_session(access, url, "DELETE", {}, b"")
        if reply.status >= 300 and reply.status not in _ENDED:
            raise refusal("ending the upload", reply, *_secrets(url))

    access.patience.of("ending the upload", once)


@whole
def _begun(
    access: Access, wanted: Wanted, size: int, md5: str, journal: Journal, means: Means,
    made: Leftovers,
) -> _Session:  # fmt: skip
    """Begin a session, or take the journal's, and note it: no signal comes between."""
    url, key = journal.get("session"), journal.get("key")
    known = isinstance(url, str) and isinstance(key, str)
    if not known:
        if key is not None:
            made.drop()  # nobody knows its session any more
        key = f"diskgen-{uuid.uuid4()}.tar.gz"
        reply = access.ask(
            "storage objects.insert", STORAGE, "POST",
            f"/upload/storage/v1/b/{quote(wanted.bucket, safe='')}/o",
            [("uploadType", "resumable"), ("name", key), ("ifGenerationMatch", "0")],
            {"name": key, "contentType": TYPE, "md5Hash": md5},
            {"X-Upload-Content-Type": TYPE, "X-Upload-Content-Length": str(size)},
        )  # fmt: skip
        url = reply.headers.get("location", "")
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme != urlsplit(access.endpoint(STORAGE)).scheme:
            raise PublishError("Google began an upload and did not say where it goes")
        journal.note("key", key)
        journal.note("md5", md5)
        if journal.is_private:
            journal.note("session", url)
        note(access, wanted, key, url, made)
    else:
        notice(means.emit, "going on with the upload of an earlier run")
    return _Session(access, str(url), str(key), size, known)


def _sent(session: _Session, source: Sparse, means: Means) -> tuple[Stored, dict[str, Any]]:
    """Send what is missing; return the object, also as Google describes it."""
    with step(
        means.emit, "upload", "Uploading the archive", total=source.size, unit="bytes"
    ) as phase:
        held = _Held(0)
        if session.known:
            held = means.patience.of("asking for the upload", session.held)
        before, sent = held.size, 0
        losses = means.patience.attempts
        session.chunk = chunk_of(means)
        while held.whole is None:
            phase.update(held.size)
            new, bytes_ = _forward(session, source, held.size, means)
            sent += bytes_
            losses -= new.size < held.size
            if not losses:
                raise PublishError("Google loses again and again what it had of the upload")
            held = new
            session.chunk = min(chunk_of(means), session.chunk + GRAIN)
        phase.update(source.size)
        words = f", {format_size(before)} were there" if before else ""
        phase.detail = f"{format_size(sent)} sent{words}"
    found = held.whole
    generation = str(found.get("generation", ""))
    return Stored(key=session.key, generation=generation, sent=sent, before=before), found


def _forward(session: _Session, source: Sparse, at: int, means: Means) -> tuple[_Held, int]:
    """Send a chunk from a byte on; return what the service has then, and the bytes sent."""
    length = min(session.chunk, source.size - at)
    data = source.read(Piece(0, at, length))
    means.pace.take(length, means.patience.stop)
    sent = 0

    def once() -> _Held:
        nonlocal sent
        if sent:  # and not answered, or in vain: maybe it arrived
            held = session.held()
            if held.whole is not None or held.size != at:
                return held
            session.shrink()
        part = data if length <= session.chunk else data[: session.chunk]
        sent += len(part)
        held = session.put(at, part) if part else session.held()
        if held.whole is None and held.size == at:
            raise Transient("nothing of it was kept")
        return held

    held = means.patience.of(f"sending bytes {at} to {at + length - 1}", once)
    if held.size > at + length:
        raise PublishError(f"Google says that it has {held.size} bytes, and got {at + length}")
    return held, sent


def _check(found: dict[str, Any], size: int, md5: str) -> None:
    """Refuse an object that is not what was sent. Raises PublishError."""
    if found.get("md5Hash") != md5 or str(found.get("size")) != str(size):
        raise PublishError(
            f"Google has other bytes than were sent: {found.get('size')} of {size}, with the MD5 "
            f"'{found.get('md5Hash')}' instead of '{md5}'",
            hint="publish it again",
        )
