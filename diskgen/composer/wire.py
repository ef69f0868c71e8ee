"""One exchange of HTTP with a farm, and what may have reached it where that went wrong."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from .. import __version__
from ..budgets import FARM_BYTES
from ..errors import FarmError, UsageError
from ..net.connecting import Proxy, ProxyError, TunnelError, Way, proxy_to, trusting
from ..net.reading import TooMuchError, answer_of, chunks, within
from ..net.saying import in_words, tls_reason
from .address import Address
from .errors import AnswerLost, NotSent
from .login import Login


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
        try:
            yield from chunks(self._response)
        except (OSError, http.client.HTTPException) as error:
            raise self._wire.lost(error) from error
        self._whole = True

    def close(self) -> None:
        """End it; the connection is kept where nothing more comes on it."""
        if not self._whole or self._response.will_close:
            self._wire.close()


class Wire:
    """A connection that is kept open between exchanges. For one thread."""

    def __init__(self, farm: Farm, context: ssl.SSLContext | None) -> None:
        self._farm = farm
        self._context = context
        self._proxy: Proxy | None = None
        self._open: http.client.HTTPConnection | None = None

    @property
    def proxy(self) -> Proxy | None:
        """Who was on the way."""
        return self._proxy

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
            try:
                body = within(reply.chunks(), FARM_BYTES.limit, self._farm.timeout)
            except TooMuchError:
                text = f"an answer of '{self._farm.address}' has {FARM_BYTES.exceeded}"
                raise FarmError(text) from None
            except TimeoutError as error:
                raise self.lost(error) from error
            return Answer(reply.answer.status, reply.answer.headers, body)

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
            address = self._farm.address
            try:
                if address.socket is None:
                    self._proxy = proxy_to(address.host, address.port, tls=address.tls)
                way = Way(
                    host=address.host,
                    port=address.port,
                    timeout=self._farm.timeout,
                    context=self._context,
                    socket=address.socket,
                    proxy=self._proxy,
                )
                self._open = way.connected()
            except ProxyError as error:
                raise NotSent(str(error), hint=error.hint, final=True) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
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
            return answer_of(connection)
        except ssl.SSLError as error:
            raise self._unreached(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> AnswerLost:
        """Return the error of an answer that did not come whole."""
        return AnswerLost(
            f"the connection to '{self._farm.address}' was lost: {in_words(error)}",
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
            reason = tls_reason(error)
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
        if isinstance(error, TunnelError) and error.final:
            return NotSent(
                f"{where} is not reached: {error}",
                hint="see https_proxy and no_proxy of the environment",
                final=True,
            )
        final = isinstance(error, PermissionError | ValueError)
        by = "" if self._proxy is None else f" by the proxy '{self._proxy}'"
        return NotSent(
            f"{where} is not reached{by}: {in_words(error)}",
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
        context = trusting(farm.authority, public=public)
    except OSError as error:
        raise UsageError(
            f"'{farm.authority}' has no certificates of authorities: {in_words(error)}",
            setting="farm-ca",
        ) from error
    if farm.certificate is not None:
        try:
            # Whoever has a key with a passphrase is not asked for it: programs run alone.
            context.load_cert_chain(farm.certificate, farm.key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"'{farm.certificate}' and its key are not used: {in_words(error)}",
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
