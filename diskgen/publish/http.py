"""HTTP as publishing needs it: a kept connection, and an answer whatever its status.

RFC 9112. Certificates are those of the system, or of ``SSL_CERT_FILE``, unless a place's own
library has others.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ..errors import PublishError
from ..net.connecting import Proxy, ProxyError, TunnelError, Way, proxy_to, trusting
from ..net.here import is_here
from ..net.reading import TooMuchError, answer_of, chunks, within
from ..net.saying import in_words
from ..net.waiting import PASSING, asked
from .retry import Transient

_SECONDS: Final = 60.0  # without a byte
_LARGEST: Final = 4 * 1024 * 1024  # of an answer
_AGAIN: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_PROXY: Final = "see https_proxy, http_proxy and no_proxy of the environment"
TRANSIENT: Final = PASSING


def is_private(url: str) -> bool:
    """Say whether credentials may go to an address: nobody on the way reads them."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_here(host))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def wait(self) -> float | None:
        """How many seconds the server asks to wait."""
        return asked(self.headers)


class Connection:
    """A connection to the host of a URL, made when it is needed, and again when it was lost.

    ``authorities`` is a file of certificates, of those who are trusted; None: the system's.
    """

    def __init__(self, url: str, authorities: str | None = None, seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PublishError(f"'{url}' is no address of a service", hint="write https://HOST")
        self.host = parts.netloc.rpartition("@")[2]
        self._secure = parts.scheme == "https"
        self._name = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._seconds = seconds
        self._authorities = authorities
        self._way: Way | None = None
        self._open: http.client.HTTPConnection | None = None
        self._used = False
        self._closed = False

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        """Return the answer to a request for ``target``, a path with its query.

        Raises Transient where there is none, PublishError where there will be none.
        """
        if self._used and method in _AGAIN:
            # Servers close what was quiet for a while; the first request on it finds that out.
            with suppress(Transient):
                return self._once(method, target, headers, body)
        return self._once(method, target, headers, body)

    def cut(self) -> None:
        """End it while another thread waits for an answer, which gets Transient."""
        self._closed = True
        made = self._open
        open_ = None if made is None else made.sock  # the other thread may let go of it meanwhile
        if open_ is not None:
            with suppress(OSError):
                open_.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it."""
        self._lost()

    def _once(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            made = self._connected()
            self._ask(made, method, target, headers, body)
            answer = answer_of(made)
            data = within(chunks(answer), _LARGEST, self._seconds)
        except (OSError, http.client.HTTPException) as error:
            self._lost()
            raise self._failed(error) from error
        except TooMuchError:
            self._lost()
            raise PublishError(f"'{self.host}' answered with more than {_LARGEST} bytes") from None
        self._used = True
        if answer.will_close:
            self._lost()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(status=answer.status, headers=found, body=data)

    def _ask(
        self,
        made: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        try:
            made.request(method, self._target(target), body or None, self._headers(headers, body))
        except OSError:  # among which are some that are a ValueError, too
            raise
        except (ValueError, http.client.InvalidURL):  # whose words have what may be a secret
            self._lost()
            raise PublishError(
                f"a request to '{self.host}' has characters that none may have",
                hint="is there a blank, or the end of a line, in the credentials?",
            ) from None

    def _failed(self, error: Exception) -> PublishError | Transient:
        """Return what it means that there is no answer."""
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = "name its authority's certificate by SSL_CERT_FILE in the environment"
            if self._authorities is not None:
                hint = f"add its authority's certificate to '{self._authorities}'"
            return PublishError(
                f"the certificate of '{self.host}' is not trusted: {error.verify_message}",
                hint=hint,
            )
        proxy = None if self._way is None else self._way.proxy
        if isinstance(error, TunnelError) and error.final:
            return PublishError(f"'{self.host}' is not reached: {error}", hint=_PROXY)
        if isinstance(error, socket.gaierror):
            missing = self.host if proxy is None else str(proxy)
            if error.errno == socket.EAI_AGAIN:
                return Transient(f"'{missing}' cannot be found for now")
            hint = "is the region's name right?" if proxy is None else _PROXY
            return PublishError(f"there is no host '{missing}'", hint=hint)
        where = f"'{self.host}'" if proxy is None else f"'{self.host}' by the proxy '{proxy}'"
        return Transient(f"{where}: {in_words(error)}")

    def _lost(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
        self._used = False

    def _connected(self) -> http.client.HTTPConnection:
        if self._closed:
            raise Transient("the connection was ended")
        if self._open is None:
            self._way = self._found()
            self._open = self._way.connected()
        return self._open

    def _found(self) -> Way:
        """Return how the host is reached. Raises PublishError."""
        try:
            proxy = proxy_to(self._name, self._port, tls=self._secure)
            context = trusting(self._authorities) if self._secure else None
        except ProxyError as error:
            raise PublishError(str(error), hint=error.hint) from None
        except OSError as error:  # and what is wrong in it
            raise PublishError(
                f"'{self._authorities}' has no certificates of authorities: {error}"
            ) from error
        return Way(
            host=self._name, port=self._port, timeout=self._seconds, context=context, proxy=proxy
        )

    def _target(self, target: str) -> str:
        return f"http://{self.host}{target}" if self._relay() else target

    def _headers(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        relay = self._relay()
        made = {"Host": self.host, **headers, **(relay.headers if relay is not None else {})}
        if not body:
            made.setdefault("Content-Length", "0")
        return made

    def _relay(self) -> Proxy | None:
        """Return the proxy that gets the request itself: without TLS it makes its own of it."""
        return None if self._way is None or self._secure else self._way.proxy
