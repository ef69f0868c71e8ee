"""The token of now: fetched when it is needed, and again before it ends. Threads share it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from ..documents import DocumentError, load_object
from ..errors import FarmError
from ..net.waiting import asked
from .errors import Refused
from .login import SETTING, Login
from .patience import Patience
from .wire import Answer, Farm, Wire, context_of

_SPARE: Final = 60.0  # seconds before its end in which a token is no longer used
_UNSAID: Final = 300.0  # how long a token is taken to last that does not say
_SHOWN: Final = 200  # characters of what a server says


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: float  # of the clock of patience


class Tokens:
    """Tokens of one login."""

    def __init__(self, farm: Farm, login: Login, patience: Patience) -> None:
        self._farm = replace(farm, address=login.token_server, certificate=None, key=None)
        self._context = context_of(self._farm, public=True)
        self._login = login
        self._patience = patience
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def get(self) -> str:
        """Return a token that lasts for a while. Raises FarmError."""
        with self._lock:
            if self._token is None or self._patience.clock() >= self._token.until:
                self._token = self._patience.insist(self._fetched)
            return self._token.text

    def refused(self, text: str) -> None:
        """Forget a token that the farm did not take, if it is still the one of now."""
        with self._lock:
            if self._token is not None and self._token.text == text:
                self._token = None

    def _fetched(self) -> _Token:
        began = self._patience.clock()
        wire = Wire(self._farm, self._context)
        try:
            answer = wire.exchange(
                "POST",
                self._login.token_server.base or "/",
                body=urlencode(self._login.form).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        finally:
            wire.close()
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            made = load_object(answer.body)
        except DocumentError as error:
            raise FarmError(f"'{self._farm.address}' gave no token: {error}") from None
        text, lasts = made.get("access_token"), made.get("expires_in")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
            raise FarmError(f"'{self._farm.address}' gave no token: 'access_token' is no text")
        seconds = float(lasts) if isinstance(lasts, int | float) and lasts > 0 else _UNSAID
        return _Token(text, began + seconds - min(_SPARE, seconds / 2))

    def _refusal(self, answer: Answer) -> Refused:
        try:
            said = load_object(answer.body)
        except DocumentError:
            said = {}
        words = " ".join(
            str(said[key])
            for key in ("error", "error_description")
            if isinstance(said.get(key), str)
        )[:_SHOWN]
        for secret in (self._login.secret, self._login.refresh):
            words = words.replace(secret, "***") if secret else words
        return Refused(
            f"'{self._farm.address}' gives '{self._login.client}' no token: "
            + (words or f"status {answer.status}"),
            status=answer.status,
            hint="see whether the login is of this server, and still good",
            setting=SETTING,
            after=asked(answer.headers),
        )
