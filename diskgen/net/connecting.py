"""Connections of HTTP: by a unix socket, with TLS or without, by the proxies of the environment.

The proxies are those of ``https_proxy``, ``http_proxy`` and ``no_proxy``, in small letters or in
large ones. What is on this machine is reached without one.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from .here import is_here
from .waiting import PASSING

_PORT: Final = 3128  # of a proxy that is named without one
_NO_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]+)")  # of http.client


class ProxyError(Exception):
    """The environment names a proxy that is none. It says no word of the address."""

    hint: Final = "write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"


class TunnelError(OSError):
    """A proxy does not connect to a host; ``final`` where it will not the next time."""

    def __init__(self, proxy: Proxy, status: int) -> None:
        words = f"says no, status {status}"
        if status == 407:
            words = f"wants {'another' if proxy.headers else 'a'} name and password"
        super().__init__(f"the proxy '{proxy}' {words}")
        self.final = status not in PASSING


@dataclass(frozen=True, slots=True)
class Proxy:
    """Who is on the way; ``headers`` have a password."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def __str__(self) -> str:
        """Return it without a password."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a server is reached: by a socket's path, with TLS by ``context``, or as it is.

    ``timeout`` are seconds of silence.
    """

    host: str
    port: int
    timeout: float
    context: ssl.SSLContext | None = None
    socket: str | None = None
    proxy: Proxy | None = None

    def connected(self) -> http.client.HTTPConnection:
        """Return an open connection.

        Raises OSError (TunnelError where a proxy says no), HTTPException, ValueError.
        """
        made = self._made()
        try:
            made.connect()
        except OSError as error:
            made.close()
            refused = _NO_TUNNEL.match(str(error))
            if refused is None:
                raise
        except BaseException:
            made.close()
            raise
        else:
            return made
        # Behind the handler: its error holds the socket.
        assert self.proxy is not None
        raise TunnelError(self.proxy, int(refused[1]))

    def _made(self) -> http.client.HTTPConnection:
        if self.socket is not None:
            return _UnixConnection(self.socket, self.timeout)
        to = (self.host, self.port) if self.proxy is None else (self.proxy.host, self.proxy.port)
        if self.context is None:
            return http.client.HTTPConnection(*to, timeout=self.timeout)
        made = http.client.HTTPSConnection(*to, timeout=self.timeout, context=self.context)
        if self.proxy is not None:
            made.set_tunnel(self.host, self.port, headers=dict(self.proxy.headers))
        return made


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def proxy_to(host: str, port: int, *, tls: bool) -> Proxy | None:
    """Return who is on the way to a host by the environment. Raises ProxyError."""
    scheme = "https" if tls else "http"
    address = urllib.request.getproxies().get(scheme)
    where = host if ":" in host else f"{host}:{port}"
    if not address or is_here(host) or urllib.request.proxy_bypass(where):
        return None
    wrong = f"the proxy is no address: {scheme}_proxy of the environment"
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        name, at = parts.hostname, parts.port or _PORT
    except ValueError:  # whose words may have a password in them
        raise ProxyError(wrong) from None
    if not name:
        raise ProxyError(wrong)
    if parts.scheme != "http":
        raise ProxyError(f"only proxies of HTTP are spoken with: {scheme}_proxy of the environment")
    headers: dict[str, str] = {}
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
    return Proxy(name, at, headers)


def trusting(authorities: str | Path | None, *, public: bool = False) -> ssl.SSLContext:
    """Return how TLS is spoken: a file of certificates says who is trusted, None: the system.

    ``public``: both do. Raises OSError for a file that has none.
    """
    context = ssl.create_default_context(cafile=authorities)
    if public:
        context.load_default_certs()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
