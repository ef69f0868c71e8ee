"""Who we are for a farm behind OpenID: a file with a secret, and the tokens that it is given for.

Grants: RFC 6749, sections 4.4 (client credentials) and 6 (refresh, with a token that was obtained
elsewhere). When a token ends is counted from our asking, so no clock has to be right.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..budgets import DOCUMENT_BYTES
from ..documents import DocumentError, is_table, load_json, load_toml
from ..errors import UsageError
from .address import Address, parse_address

SETTING: Final = "farm-login"
PUBLIC_CLIENT: Final = "rhsm-api"  # whose offline tokens people have
_KNOWN: Final = ("token_url", "client_id", "client_secret", "refresh_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """``secret`` is the client's, ``refresh`` an offline token: one of both."""

    token_server: Address
    client: str
    secret: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)

    @property
    def form(self) -> dict[str, str]:
        """The form that a token is asked for by."""
        if self.refresh is not None:
            return {
                "grant_type": "refresh_token",
                "client_id": self.client,
                "refresh_token": self.refresh,
            }
        return {
            "grant_type": "client_credentials",
            "client_id": self.client,
            "client_secret": self.secret or "",
        }


def load(path: Path) -> Login:
    """Return the login that a file of TOML or JSON has. Raises UsageError, with nothing of it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(DOCUMENT_BYTES.limit + 1)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}", setting=SETTING) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and stat.S_ISREG(mode):
        raise UsageError(
            f"'{path}' can be read by others, and has a secret in it",
            hint=f"chmod 600 {path}",
            setting=SETTING,
        )
    try:
        table = load_toml(data) if path.suffix == ".toml" else load_json(data)
    except DocumentError:
        raise UsageError(
            f"'{path}' is neither JSON nor, called .toml, TOML", setting=SETTING
        ) from None
    return _login(path, table)


def _login(path: Path, table: Any) -> Login:  # noqa: ANN401
    if not is_table(table):
        raise UsageError(f"'{path}' is no table of keys", setting=SETTING)
    unknown = [str(key) for key in table if key not in _KNOWN]
    if unknown:
        raise UsageError(
            f"'{path}' has a key '{unknown[0]}', which is not known",
            hint="known are: " + ", ".join(_KNOWN),
            setting=SETTING,
        )
    for key, value in table.items():
        # What goes into headers and forms has no line of its own.
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"'{key}' of '{path}' is no text", setting=SETTING)
    secret, refresh = table.get("client_secret"), table.get("refresh_token")
    if (secret is None) == (refresh is None) or "token_url" not in table:
        raise UsageError(
            f"'{path}' is no login",
            hint="it has token_url, and either client_id and client_secret or refresh_token",
            setting=SETTING,
        )
    if secret is not None and "client_id" not in table:
        raise UsageError(f"'{path}' has no 'client_id'", setting=SETTING)
    return Login(
        token_server=parse_address(table["token_url"], setting=SETTING, base="/"),
        client=table.get("client_id", PUBLIC_CLIENT),
        secret=secret,
        refresh=refresh,
    )
