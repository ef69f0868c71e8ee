"""One exchange of HTTP with a farm: by unix socket or TLS, within limits, every byte counted."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .. import __version__
from ..budgets import FARM_BYTES
from ..errors import FarmError, UsageError
from .address import Address
from .errors import AnswerLost, NotSent
from .login import Login

_CHUNK: Final = 256 * 1024
_WORDS: Final = {  # of what a system says of a connection
    FileNotFoundError: "there is no such socket",
    PermissionError: "this user may not connect to it",
    ConnectionRefusedError: "nobody listens there",
    TimeoutError: "no answer in time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """A farm, and what it takes to be let in; ``timeout`` in seconds, of silence.

    ``certificate`` is a client's, with ``key`` where that is in another file; ``authority`` is
    who vouches for the server, None: whom the system trusts.
    """

    address: Address
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    login: Login | None = field(default=None, repr=False)
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers, names in lower case; the whole body, or none of one that is streamed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Reply:
    """An answer whose body is read in pieces; to be closed, read or not.

    No generator's context: an interrupt would wait for the farm.
    """

    def __init__(self, wire: Wire, response: http.client.HTTPResponse) -> None:
        named = {name.lower(): value for name, value in response.getheaders()}
        self.answer = Answer(response.status, named)
        self._wire = wire
        self._response = response
        self._whole = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the body. Raises AnswerLost where it is cut."""
        left = self._response.length  # None: in chunks that have lengths of their own
        try:
            while chunk := self._response.read1(_CHUNK):
                left = None if left is None else left - len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._wire.lost(error) from error
        if left:
            raise self._wire.lost(ConnectionError("cut within an answer"))
        self._whole = True
        self._response.close()

    def close(self) -> None:
        """End it; the connection is kept where nothing more comes on it."""
        if not self._whole or self._response.will_close:
            self._wire.close()


class Wire:
    """A connection that is kept open between exchanges. For one thread."""

    def __init__(self, farm: Farm, context: ssl.SSLContext | None) -> None:
        self._farm = farm
        self._context = context
        self._open: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close it."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return a whole answer. Raises NotSent, AnswerLost."""
        with closing(self.open(method, path, body=body, headers=headers)) as reply:
            parts: list[bytes] = []
            size = 0
            deadline = time.monotonic() + 4 * self._farm.timeout
            for chunk in reply.chunks():
                parts.append(chunk)
                size += len(chunk)
                if size > FARM_BYTES.limit:
                    text = f"an answer of '{self._farm.address}' has {FARM_BYTES.exceeded}"
                    raise FarmError(text)
                if time.monotonic() > deadline:
                    raise AnswerLost(f"'{self._farm.address}' answers too slowly")
            return Answer(reply.answer.status, reply.answer.headers, b"".join(parts))

    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return an answer whose body is still to come. Raises NotSent, AnswerLost."""
        if method == "POST":
            self.close()  # one that was closed meanwhile would leave open whether it got there
        fresh = self._open is None
        try:
            return self._opened(method, path, body, headers or {})
        except (NotSent, AnswerLost):
            if fresh or method != "GET":
                raise
        return self._opened(method, path, body, headers or {})  # the old one was closed, unused

    def _opened(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        connection = self._connected()
        try:
            self._send(connection, method, path, body, headers)
            return Reply(self, self._response(connection))
        except BaseException:
            self.close()
            raise

    def _connected(self) -> http.client.HTTPConnection:
        if self._open is None:
            address, timeout = self._farm.address, self._farm.timeout
            if address.socket is not None:
                self._open = _UnixConnection(address.socket, timeout)
            elif address.tls:
                self._open = http.client.HTTPSConnection(
                    address.host, address.port, timeout=timeout, context=self._context
                )
            else:
                self._open = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
            try:
                self._open.connect()
            except (OSError, ValueError) as error:
                self.close()
                raise self._unreached(error) from error
        return self._open

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> None:
        usual = {"Accept": "application/json", "User-Agent": f"diskgen/{__version__}"}
        try:
            connection.request(method, path, body, {**usual, **headers})
        except (OSError, http.client.HTTPException) as error:
            raise self._unreached(_alert(connection) or error) from error

    def _response(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        try:
            return connection.getresponse()
        except ssl.SSLError as error:
            raise self._unreached(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> AnswerLost:
        """Return the error of an answer that did not come whole."""
        return AnswerLost(
            f"the connection to '{self._farm.address}' was lost: {_in_words(error)}",
            hint=self._maybe(),
        )

    def _maybe(self) -> str | None:
        """Say why a server might end connections: its alert does not always arrive."""
        if self._farm.address.tls and self._farm.certificate is None:
            return "if it wants a client certificate, name one by --farm-cert"
        return None

    def _unreached(self, error: Exception) -> NotSent:
        where = f"'{self._farm.address}'"
        if isinstance(error, ssl.SSLCertVerificationError):
            return NotSent(
                f"the certificate of {where} is not trusted: {error.verify_message}",
                hint="name the authority that made it by --farm-ca",
                setting="farm-ca",
                final=True,
            )
        if isinstance(error, ssl.SSLError):
            reason = _reason(error)
            wanted = "certificate required" in reason or "handshake failure" in reason
            if wanted and self._farm.certificate is None:
                return NotSent(
                    f"{where} wants a client certificate",
                    hint="name one by --farm-cert",
                    setting="farm-cert",
                    final=True,
                )
            return NotSent(
                f"{where} does not take this connection: {reason}",
                hint=self._maybe(),
                final="alert" in reason,
            )
        final = isinstance(error, PermissionError | ValueError)
        return NotSent(
            f"{where} is not reached: {_in_words(error)}",
            hint="'diskgen farm doctor' looks at what is between",
            setting="farm" if final else None,
            final=final,
        )


def context_of(farm: Farm, *, public: bool = False) -> ssl.SSLContext | None:
    """Return how TLS is spoken with a farm; None where it is not.

    ``public``: those whom the system trusts count beside the farm's own authority.
    Raises UsageError for files that are none.
    """
    if not farm.address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=farm.authority)
        if public:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"'{farm.authority}' has no certificates of authorities: {_in_words(error)}",
            setting="farm-ca",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if farm.certificate is not None:
        try:
            # Whoever has a key with a passphrase is not asked for it: programs run alone.
            context.load_cert_chain(farm.certificate, farm.key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"'{farm.certificate}' and its key are not used: {_in_words(error)}",
                hint="both have to be PEM, belong together, and have no passphrase",
                setting="farm-cert",
            ) from error
    return context


def _alert(connection: http.client.HTTPConnection) -> Exception | None:
    """Return the alert that waits on a connection which could not be written to."""
    try:
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.recv(1)
    except ssl.SSLError as error:
        return error if error.reason else None
    except (OSError, ValueError):
        pass
    return None


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error.args[-1])).lower().replace("_", " ")


def _in_words(error: Exception) -> str:
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, ssl.SSLError):
        return _reason(error)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"it does not speak HTTP as it should ({type(error).__name__})"
