"""HTTP as publishing needs it: a kept connection, and an answer whatever its status.

RFC 9112. Proxies are those of the environment (``https_proxy``, ``no_proxy``); certificates those
of the system, or of ``SSL_CERT_FILE``, unless a place's own library has others.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import PublishError
from .retry import Transient

_SECONDS: Final = 60.0  # without a byte
_LARGEST: Final = 4 * 1024 * 1024  # of an answer
_AGAIN: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})


def is_private(url: str) -> bool:
    """Say whether credentials may go to an address: nobody on the way reads them."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def wait(self) -> float | None:
        """How many seconds the server asks to wait."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else None


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
            made.request(method, self._target(target), body or None, self._headers(headers, body))
            answer = made.getresponse()
            data = answer.read(_LARGEST + 1)
        except ssl.SSLCertVerificationError as error:
            hint = "name its authority's certificate by SSL_CERT_FILE in the environment"
            if self._authorities is not None:
                hint = f"add its authority's certificate to '{self._authorities}'"
            raise PublishError(
                f"the certificate of '{self.host}' is not trusted: {error.verify_message}",
                hint=hint,
            ) from error
        except socket.gaierror as error:
            self._lost()
            if error.errno == socket.EAI_AGAIN:
                raise Transient(f"'{self.host}' cannot be found for now") from error
            raise PublishError(
                f"there is no host '{self.host}'", hint="is the region's name right?"
            ) from error
        except (ValueError, http.client.InvalidURL):  # whose words have what may be a secret
            self._lost()
            raise PublishError(
                f"a request to '{self.host}' has characters that none may have",
                hint="is there a blank, or the end of a line, in the credentials?",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self._lost()
            raise Transient(f"'{self.host}': {str(error) or type(error).__name__}") from error
        if len(data) > _LARGEST:
            self._lost()
            raise PublishError(f"'{self.host}' answered with more than {_LARGEST} bytes")
        self._used = True
        if answer.will_close:
            self._lost()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(status=answer.status, headers=found, body=data)

    def _lost(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
        self._used = False

    def _connected(self) -> http.client.HTTPConnection:
        if self._closed:
            raise Transient("the connection was ended")
        if self._open is None:
            self._open = self._made()
            self._open.connect()
            assert self._open.sock is not None
            self._open.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._open

    def _made(self) -> http.client.HTTPConnection:
        proxy = self._proxy()
        if not self._secure:
            name, port = (proxy[0], proxy[1]) if proxy else (self._name, self._port)
            return http.client.HTTPConnection(name, port, timeout=self._seconds)
        context = self._context()
        if not proxy:
            return http.client.HTTPSConnection(
                self._name, self._port, timeout=self._seconds, context=context
            )
        made = http.client.HTTPSConnection(
            proxy[0], proxy[1], timeout=self._seconds, context=context
        )
        made.set_tunnel(self._name, self._port, headers=proxy[2])
        return made

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._authorities)
        except OSError as error:  # and what is wrong in it
            raise PublishError(
                f"'{self._authorities}' has no certificates of authorities: {error}"
            ) from error

    def _proxy(self) -> tuple[str, int, dict[str, str]] | None:
        """Return host, port and headers of the proxy on the way, or None."""
        scheme = "https" if self._secure else "http"
        address = urllib.request.getproxies().get(scheme)
        if not address or urllib.request.proxy_bypass(self._name):
            return None
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            host, port = parts.hostname or "", parts.port or 3128
        except ValueError:  # whose words may have a password in them
            raise PublishError(
                f"the proxy is no address: {scheme}_proxy of the environment",
                hint="write http://HOST:PORT",
            ) from None
        headers: dict[str, str] = {}
        if parts.username is not None:
            words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Proxy-Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
        return host, port, headers

    def _target(self, target: str) -> str:
        if not self._secure and self._proxy():
            return f"http://{self.host}{target}"
        return target

    def _headers(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        made = {"Host": self.host, **headers}
        if not body:
            made.setdefault("Content-Length", "0")
        if not self._secure and (proxy := self._proxy()):
            made |= proxy[2]
        return made
