"""Page blobs, those below managed disks too: pages are written in parallel, zeros never.

REST reference of Blob Storage, version 2021-12-02: Put Blob, Put Page, Get Blob Properties, Delete
Blob. Pages that are not written read as zeros; each request has the MD5 of its bytes.
"""

from __future__ import annotations

import base64
import hashlib
import http
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ...errors import PublishError
from ...units import MIB
from ..answers import count_of
from ..extents import Piece, Sparse
from ..http import TRANSIENT, Connection, Reply
from ..journal import Journal
from ..publication import Means
from ..retry import Transient
from ..transfer import Sent, send
from .access import Pass, masked

GRAIN: Final = MIB  # bytes of a request; at most 4 MiB
_PAGE: Final = 512
_DAMAGED: Final = frozenset({"Md5Mismatch", "Crc64Mismatch", "InvalidMd5"})
_BUSY: Final = frozenset({"ServerBusy", "OperationTimedOut", "InternalError"})
_EXPIRED: Final = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo"})
_CODES: Final = {
    "AuthorizationPermissionMismatch": "the identity needs the role Storage Blob Data Contributor",
    "AuthorizationFailure": "does the account's firewall let this machine in?",
    "AuthenticationFailed": "is the key right, and this machine's clock?",
    "ContainerNotFound": "az storage container create makes one",
}
_ERROR: Final = re.compile(rb"<Message>([^<\r\n]*)")


class PagesError(PublishError):
    """Blob Storage answered with an error: ``code`` is how it calls it."""

    def __init__(self, what: str, status: int, code: str, said: str) -> None:
        words = masked(said) or f"status {status}"
        super().__init__(f"{what}: {words} ({code or status})", hint=_CODES.get(code))
        self.status = status
        self.code = code


@dataclass(slots=True)
class Pages:
    """One page blob. ``close`` lets go of the connection."""

    let: Pass
    _host: str = field(init=False)
    _connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self._host = self.let.host
        self._connection = Connection(self._host)

    def create(self, size: int) -> None:
        """Make a blob of ``size`` bytes, all zeros. Raises Transient, PublishError."""
        self._request("making the page blob", "PUT", "", {
            "x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(size),
            "Content-Type": "application/octet-stream",
        })  # fmt: skip

    def size(self) -> int | None:
        """Return the bytes of a page blob; None where there is none. Raises as ``create``."""
        try:
            reply = self._request("looking for the page blob", "HEAD", "", {})
        except PagesError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise
        kind = reply.headers.get("x-ms-blob-type")
        return count_of(reply.headers.get("content-length")) if kind == "PageBlob" else None

    def delete(self) -> None:
        """Delete it, if it is there. Raises as ``create``."""
        try:
            self._request("deleting the page blob", "DELETE", "", {})
        except PagesError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def container(self) -> None:
        """Ask for the container of a blob that need not be there. Raises as ``create``.

        A signature for blobs lets nobody ask for the container itself.
        """
        try:
            self._request("looking for the container", "HEAD", "", {})
        except PagesError as error:
            if error.status != http.HTTPStatus.NOT_FOUND or error.code == "ContainerNotFound":
                raise

    def write(self, offset: int, data: bytes) -> None:
        """Write pages. Raises as ``create``."""
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        told = base64.b64encode(digest).decode()
        reply = self._request("writing pages", "PUT", "comp=page", {
            "x-ms-page-write": "update", "x-ms-range": f"bytes={offset}-{offset + len(data) - 1}",
            "Content-MD5": told, "Content-Type": "application/octet-stream",
        }, data)  # fmt: skip
        if reply.headers.get("content-md5", told) != told:
            raise Transient("Azure got other bytes than were sent")

    def put(self, piece: Piece, data: bytes, digest: bytes) -> None:  # noqa: ARG002 - theirs is MD5
        """Write a piece, without the pages of zeros at both of its ends."""
        first = (len(data) - len(data.lstrip(b"\0"))) // _PAGE * _PAGE
        last = -(-len(data.rstrip(b"\0")) // _PAGE) * _PAGE
        self.write(piece.offset + first, data[first:last])

    def cut(self) -> None:
        """End what is being sent."""
        self._connection.cut()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _request(
        self, what: str, method: str, query: str, headers: dict[str, str], body: bytes = b""
    ) -> Reply:
        if self._host != self.let.host:  # an address that was renewed
            self._connection.close()
            self.__post_init__()
        target, made, by = self.let.request(method, query, headers, len(body))
        reply = self._connection.request(method, target, made, body)
        if reply.status < http.HTTPStatus.MULTIPLE_CHOICES:
            return reply
        code = reply.headers.get("x-ms-error-code", "")
        match = _ERROR.search(reply.body)
        said = match[1].decode(errors="replace") if match else ""
        if reply.status in TRANSIENT or code in _BUSY or code in _DAMAGED:
            raise Transient(f"{code or reply.status}: {masked(said)}"[:300], reply.wait)
        expired = code in _EXPIRED or reply.status == http.HTTPStatus.UNAUTHORIZED
        if expired and self.let.again(by):
            raise Transient("what lets the requests through has expired")
        raise PagesError(what, reply.status, code, said)


@contextmanager
def opened(let: Pass) -> Generator[Pages]:
    """Open a blob for single requests."""
    pages = Pages(let)
    try:
        yield pages
    finally:
        pages.close()


def write_disk(source: Sparse, let: Pass, journal: Journal, means: Means) -> Sent:
    """Write all data of a file. Raises PublishError, OSError."""
    return send(source, GRAIN, lambda: Pages(let), journal, means)
