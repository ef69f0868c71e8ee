"""Where a farm is: a unix socket, or a server that speaks TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ..errors import UsageError
from ..net.here import is_here

BASE: Final = "/api/image-builder-composer/v2"
SOCKET: Final = "/run/cloudapi/api.socket"  # of a farm on this machine
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}", re.ASCII)
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server: ``socket`` is a path, else ``host`` and ``port`` count; ``base`` has no / behind.

    Without ``tls`` only loopback is one.
    """

    socket: str | None = None
    host: str = "localhost"
    port: int = 443
    tls: bool = False
    base: str = BASE

    def __str__(self) -> str:
        """Return it as it is typed."""
        if self.socket is not None:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.tls else 80
        port = "" if self.port == usual else f":{self.port}"
        path = "" if self.base == BASE else self.base
        return f"{'https' if self.tls else 'http'}://{host}{port}{path}"


def parse_address(text: str, *, setting: str = "farm", base: str = BASE) -> Address:
    """Return what a text names: ``unix:PATH``, ``https://HOST[:PORT][/BASE]``, http on loopback.

    Raises UsageError, with nothing of the text where a password may be in it.
    """
    if text.startswith(("unix:", "/")):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path.startswith("/") or "\0" in path or len(path.encode(errors="replace")) > 107:
            raise UsageError(
                f"'{text}' names no socket",
                hint=f"write it as unix:{SOCKET}, with 107 bytes at most",
                setting=setting,
            )
        return Address(socket=path, base=base)
    if "@" in text:
        raise UsageError(
            "the address of a farm has an '@' in it",
            hint="names and secrets belong into a file: --farm-login FILE",
            setting=setting,
        )
    return _server(text, setting, base)


def _server(text: str, setting: str, base: str) -> Address:
    if not (text.isascii() and text.isprintable()):
        raise _no_address(text, setting)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _no_address(text, setting) from None
    wrong = parts.query or parts.fragment or not _PATH.fullmatch(parts.path)
    if parts.scheme not in ("https", "http") or wrong or not _HOST.fullmatch(host) or port == 0:
        raise _no_address(text, setting)
    if parts.scheme == "http" and not is_here(host):
        raise UsageError(
            f"'{text}' is not encrypted: whoever is on the way reads what is sent",
            hint="write https://; http:// is for this machine alone",
            setting=setting,
        )
    tls = parts.scheme == "https"
    return Address(
        host=host,
        port=port or (443 if tls else 80),
        tls=tls,
        base=parts.path.rstrip("/") or base,
    )


def _no_address(text: str, setting: str) -> UsageError:
    return UsageError(
        f"'{text}' is not the address of a server",
        hint=f"write it as https://HOST, https://HOST:PORT/PATH or unix:{SOCKET}",
        setting=setting,
    )
