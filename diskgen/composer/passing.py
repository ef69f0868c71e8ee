"""What a farm hands out in bulk: the file of a compose, and its logs; neither is held in memory.

Ranges: RFC 9110, section 14; a validator (ETag, Last-Modified) says whether it is still the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ..errors import FarmError, VerifyError
from ..events import Emit, Step, step
from .client import Client
from .errors import AnswerLost, NotSent
from .wire import Answer

_CHUNK: Final = 1024 * 1024
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
# RFC 9530 and, of older servers, RFC 3230 and RFC 1864.
_DIGESTS: Final = (
    ("repr-digest", re.compile(r"sha-256=:([A-Za-z0-9+/=]+):"), "sha256"),
    ("digest", re.compile(r"sha-256=([A-Za-z0-9+/=]+)", re.IGNORECASE), "sha256"),
    ("content-md5", re.compile(r"([A-Za-z0-9+/=]+)"), "md5"),
)
# What files of a type begin with: offset and bytes. QEMU's docs/interop/qcow2.txt; VMDK 1.1; GZIP
# of RFC 1952; the boot signature of a raw disk.
MAGIC: Final[dict[str, tuple[int, bytes]]] = {
    "qcow2": (0, b"QFI\xfb"),
    "vmdk": (0, b"KDMV"),
    "gce": (0, b"\x1f\x8b"),
    "ami": (510, b"\x55\xaa"),
    "raw": (510, b"\x55\xaa"),
}


@dataclass(slots=True)
class _Fetched:
    """A file so far: ``whole`` bytes it will have, and what says that it is still the same."""

    size: int = 0
    whole: int | None = None
    validator: str | None = None
    digest: tuple[str, bytes] | None = None


def download(client: Client, name: str, path: Path, format_name: str, emit: Emit) -> str:
    """Fetch the file of a compose into a new file; return its SHA-256, in hex.

    A connection that was cut is taken up where it was. Raises VerifyError where the file is not
    what the farm or the format says, FarmError where it cannot be had.
    """
    title = f"download from '{client.farm.address}'"
    with step(emit, "download", title, unit="bytes") as progress, path.open("w+b") as file:
        state = _Fetched()
        client_tries(client, lambda: state.size, lambda: _more(client, name, file, state, progress))
        file.flush()
        sums = _sums(file, state)
        _check(client, name, file, format_name, state, sums)
        progress.detail = f"sha256:{sums['sha256'][:12]}"
    return sums["sha256"]


def logs(client: Client, name: str, write: Callable[[bytes], object]) -> None:
    """Hand over the logs of a compose in pieces, each byte once, however often it was cut."""
    given = 0
    seen = hashlib.sha256()

    def once() -> None:
        nonlocal given
        passed, again = 0, hashlib.sha256()
        with closing(client.open(name, "/logs")) as reply:
            for chunk in reply.chunks():
                old = chunk[: max(0, given - passed)]
                again.update(old)
                passed += len(chunk)
                if old and passed >= given and again.digest() != seen.digest():
                    raise FarmError(f"the logs of '{name}' became others while they were read")
                if fresh := chunk[len(old) :]:
                    seen.update(fresh)
                    given += len(fresh)
                    write(fresh)
        if passed < given:
            raise AnswerLost(f"the logs of '{name}' ended early")

    client_tries(client, lambda: given, once)


def client_tries(client: Client, got: Callable[[], int], work: Callable[[], None]) -> None:
    """Do some work until it is done; what got on does not use up our patience."""
    while True:
        before = got()
        try:
            client.insist(work)
        except (AnswerLost, NotSent):
            if got() == before:
                raise
        else:
            return


def _more(client: Client, name: str, file: IO[bytes], state: _Fetched, progress: Step) -> None:
    """Fetch what is missing. Raises AnswerLost where that was cut."""
    headers: dict[str, str] = {}
    if state.size and state.validator is not None:
        headers = {"Range": f"bytes={state.size}-", "If-Range": state.validator}
    elif state.size:
        _again(file, state)  # nothing says whether it would still be the same file
    with closing(client.open(name, "/download", headers)) as reply:
        if not _placed(reply.answer, name, file, state):
            return
        progress.update(state.size, state.whole)
        for chunk in reply.chunks():
            file.write(chunk)
            state.size += len(chunk)
            progress.update(state.size)
    if state.whole is not None and state.size != state.whole:
        raise AnswerLost(f"'{name}' has {state.whole} bytes, and {state.size} came")


def _placed(answer: Answer, name: str, file: IO[bytes], state: _Fetched) -> bool:
    """Make ready for a body: at the end, or from the beginning; say whether there is one."""
    if answer.status == 416:
        if state.size == state.whole:
            return False
        _again(file, state)
        raise AnswerLost(f"the farm has no more of '{name}'")
    if answer.status == 206:
        match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if match is None or int(match[1]) != state.size or int(match[3]) != state.whole:
            _again(file, state)
            raise AnswerLost(f"the farm sends another part of '{name}' than it was asked for")
        return True
    if state.size:
        _again(file, state)
    length = answer.headers.get("content-length", "")
    if not length.isdigit() and answer.headers.get("transfer-encoding", "") != "chunked":
        raise FarmError(f"the farm does not say how long '{name}' is: a cut could not be seen")
    state.whole = int(length) if length.isdigit() else None
    etag = answer.headers.get("etag", "")
    strong = etag if etag.startswith('"') else None
    state.validator = (strong or answer.headers.get("last-modified")) if state.whole else None
    state.digest = _announced(answer)
    return True


def _again(file: IO[bytes], state: _Fetched) -> None:
    file.seek(0)
    file.truncate()
    state.size, state.whole, state.validator = 0, None, None


def _announced(answer: Answer) -> tuple[str, bytes] | None:
    """Return the sum of the whole file that an answer names."""
    for header, pattern, kind in _DIGESTS:
        match = pattern.search(answer.headers.get(header, ""))
        if match is not None:
            try:
                return kind, base64.b64decode(match[1], validate=True)
            except binascii.Error:
                return None
    return None


def _sums(file: IO[bytes], state: _Fetched) -> dict[str, str]:
    sums: dict[str, Any] = {"sha256": hashlib.sha256()}
    if state.digest is not None:
        sums[state.digest[0]] = hashlib.new(state.digest[0], usedforsecurity=False)
    for chunk in _read(file):
        for each in sums.values():
            each.update(chunk)
    return {kind: each.hexdigest() for kind, each in sums.items()}


def _read(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def _check(
    client: Client, name: str, file: IO[bytes], format_name: str, state: _Fetched,
    sums: dict[str, str],
) -> None:  # fmt: skip
    where = f"the file of '{name}' from '{client.farm.address}'"
    if os.fstat(file.fileno()).st_size != state.size or not state.size:
        raise VerifyError(f"{where} has {state.size} bytes, which are not all here")
    if state.digest is not None and sums[state.digest[0]] != state.digest[1].hex():
        raise VerifyError(f"{where} is not what its {state.digest[0]} says")
    at, magic = MAGIC.get(format_name, (0, b""))
    file.seek(at)
    if file.read(len(magic)) != magic:
        raise VerifyError(f"{where} is no '{format_name}'")
