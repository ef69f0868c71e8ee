"""Access to Google Cloud: credentials as google-auth finds them, requests, errors in our words.

google-auth is imported here alone, and when something is published. Formats of errors: AIP-193, and
"Cloud Storage: HTTP status and error codes for JSON".
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from ... import __version__
from ...documents import is_list, is_table
from ...errors import DiskgenError, HostError, PublishError
from ..answers import values_of
from ..http import TRANSIENT, Connection, Reply, is_private
from ..retry import Patience, Transient

STORAGE, COMPUTE, PROJECTS = "storage", "compute", "cloudresourcemanager"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_OVERRIDE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"  # as gcloud reads it
_UNAUTHORIZED: Final = 401
_WORDS: Final = 1000  # characters of a refusal that are shown
_THROTTLED: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "backendError"})
_TOKENS: Final = re.compile(r"ya29\.[\w.-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*")
_HELD: Final = ("token", "refresh_token", "client_secret")  # attributes of credentials
# Reason of an error: what it means (None: in Google's words), what to do, the option that matters.
_REASONS: Final[Mapping[str, tuple[str | None, str | None, str | None]]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("authError", "required", "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED",
             "ACCESS_TOKEN_TYPE_UNSUPPORTED", "CREDENTIALS_MISSING"),
            ("Google does not take the credentials, or they have expired",
             "log in again: gcloud auth application-default login", None),
        ),
        **dict.fromkeys(
            ("forbidden", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED"),
            (None, "the account needs the rights that the manual lists", None),
        ),
        **dict.fromkeys(
            ("accessNotConfigured", "SERVICE_DISABLED"),
            (None, "the project has not enabled that: gcloud services enable", "project"),
        ),
        **dict.fromkeys(
            ("quotaExceeded", "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"),
            (None, "remove what is not needed there, or ask Google for a larger quota", None),
        ),
        **dict.fromkeys(
            ("alreadyExists", "RESOURCE_ALREADY_EXISTS", "duplicate"),
            ("an image of this name exists", "choose another one", "gcp-image"),
        ),
    }
)  # fmt: skip


class RefusedError(PublishError):
    """Google answered with an error: ``reason`` is how it calls it."""

    def __init__(self, what: str, status: int, reason: str, said: str) -> None:
        words, hint, setting = _REASONS.get(reason, (None, None, None))
        if words is None:
            words = said or f"status {status}"
        super().__init__(f"{what}: {words} ({reason})", hint=hint, setting=setting)
        self.status = status
        self.reason = reason


@dataclass(slots=True)
class Access:
    """One user's way to Google Cloud. ``project`` None: as it is configured.

    Use as a context manager where requests are made.
    """

    project: str | None
    patience: Patience = field(default_factory=lambda: Patience(attempts=6))
    _credentials: Any = None
    _configured: str | None = None
    _connections: dict[str, Connection] = field(default_factory=dict[str, Connection])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for connection in self._connections.values():
            connection.close()

    def where(self) -> str:
        """Return the project. Raises PublishError where none is named."""
        if self.project is not None:
            return self.project
        self.credentials()
        if not self._configured:
            raise PublishError("no project is named", hint="such as my-project", setting="project")
        return self._configured

    def credentials(self) -> Any:  # noqa: ANN401 - google-auth's, of whichever kind
        """Return google-auth's credentials. Raises HostError, PublishError."""
        if self._credentials is None:
            auth = _library()
            logging.getLogger("google").setLevel(logging.CRITICAL)  # whose words we have ourselves
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = auth.default(scopes=[_SCOPE], request=_fetched)
            except auth.exceptions.DefaultCredentialsError as error:
                raise PublishError(
                    f"no credentials for Google Cloud were found: {_shown(error)}",
                    hint="gcloud auth application-default login makes some; so does "
                    "GOOGLE_APPLICATION_CREDENTIALS in the environment",
                ) from None
            except (auth.exceptions.GoogleAuthError, ValueError, OSError) as error:
                raise PublishError(f"looking for credentials: {_shown(error)}") from None
            self._credentials, self._configured = found
        return self._credentials

    def endpoint(self, service: str) -> str:
        """Return the address of a service. Raises PublishError."""
        named = os.environ.get(f"{_OVERRIDE}{service.upper()}")
        if not named:  # libraries of old know of one universe
            universe = getattr(self.credentials(), "universe_domain", "googleapis.com")
            return f"https://{service}.{universe}"
        if not is_private(named):
            raise PublishError(
                f"'{named}' is no address for credentials to go to",
                hint=f"write https://HOST in {_OVERRIDE}{service.upper()}",
            )
        parts = urlsplit(named)
        return f"{parts.scheme}://{parts.netloc}"

    def connection(self, url: str) -> Connection:
        """Return the connection to the host of a URL."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._connections:
            self._connections[host] = Connection(host)
        return self._connections[host]

    def call(
        self,
        what: str,
        service: str,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        says: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return what a service answers, as values. Raises RefusedError, PublishError."""
        return values_of(self.ask(what, service, method, path, query, says).body)

    def ask(
        self,
        what: str,
        service: str,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        says: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Return a service's answer, which is asked for again where that helps.

        Only what may be asked twice goes this way. Raises RefusedError, PublishError.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        body = b"" if says is None else json.dumps(says).encode()
        kind = {"Content-Type": "application/json"} if body else {}

        def once() -> Reply:
            reply = self._sent(service, method, target, {**kind, **headers}, body)
            if reply.status >= 300:
                raise refusal(what, reply)
            return reply

        return self.patience.of(what, once)

    def _sent(
        self, service: str, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Return the answer to one request; credentials that were not taken are renewed once."""
        url = self.endpoint(service)
        connection = self.connection(url)
        ours = self._authorized(method, url + target, headers, anew=False)
        reply = connection.request(method, target, ours, body)
        if reply.status == _UNAUTHORIZED:
            ours = self._authorized(method, url + target, headers, anew=True)
            reply = connection.request(method, target, ours, body)
        return reply

    def _authorized(
        self, method: str, url: str, headers: Mapping[str, str], *, anew: bool
    ) -> dict[str, str]:
        """Return headers with those of the credentials. Raises Transient, PublishError."""
        found, errors = self.credentials(), _library().exceptions
        made = {"User-Agent": f"diskgen/{__version__}", **headers}
        try:
            if anew:
                found.refresh(_fetched)
            found.before_request(_fetched, method, url, made)
        except errors.GoogleAuthError as error:
            said = f"renewing the credentials: {_shown(error, found)}"
            if isinstance(error, errors.TransportError) or getattr(error, "retryable", False):
                raise Transient(said) from None
            raise PublishError(
                said, hint="log in again: gcloud auth application-default login"
            ) from None
        except (ValueError, OSError) as error:
            raise PublishError(f"renewing the credentials: {_shown(error, found)}") from None
        return made


@dataclass(frozen=True, slots=True)
class _Fetched:
    """An answer as google-auth wants it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _fetched(
    url: str,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_options: object,
) -> Any:  # noqa: ANN401
    """Answer google-auth's own requests for tokens. Raises TransportError."""
    if url.startswith("http://"):  # the metadata of a machine, which no proxy knows
        near = importlib.import_module("google.auth.transport._http_client")
        return near.Request()(url, method, body, dict(headers or {}), timeout)
    parts = urlsplit(url)
    connection = Connection(url, seconds=timeout or 60.0)
    data = body.encode() if isinstance(body, str) else body or b""
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        reply = connection.request(method, target, headers or {}, data)
    except (Transient, PublishError) as error:
        raise _library().exceptions.TransportError(str(error)) from error
    finally:
        connection.close()
    return _Fetched(reply.status, reply.headers, reply.body)


def refusal(what: str, reply: Reply, *secrets: str) -> DiskgenError | Transient:
    """Return what an error of a service means: something that passes, or an end.

    ``secrets`` are not shown, whatever the service says.
    """
    reason, said = _error(reply)
    for secret in secrets:
        said = said.replace(secret, "…")
    if reply.status in TRANSIENT or reason in _THROTTLED:
        return Transient(f"{reason}: {said}"[:300], reply.wait)
    return RefusedError(what, reply.status, reason, said)


def _error(reply: Reply) -> tuple[str, str]:
    """Return the reason of an error, and its words; the upload service says plain text."""
    error = values_of(reply.body).get("error")
    if not is_table(error):
        said = " ".join(reply.body.decode(errors="replace").split())
        return f"status {reply.status}", said[:_WORDS]
    said = str(error.get("message", ""))[:_WORDS]
    for key in ("details", "errors"):
        parts = error.get(key)
        for part in parts if is_list(parts) else []:
            if is_table(part) and isinstance(part.get("reason"), str):
                return part["reason"], said
    return str(error.get("status") or f"status {reply.status}"), said


def _library() -> Any:  # noqa: ANN401 - google-auth has types that are half there
    """Return google.auth. Raises HostError where it is not installed."""
    try:
        auth = importlib.import_module("google.auth")
        importlib.import_module("google.auth.exceptions")
    except ImportError:
        raise HostError(
            "publishing to Google Cloud needs Python's google-auth, which is not installed",
            hint="pip install 'diskgen[gcp]', or the package python3-google-auth",
        ) from None
    return auth


def _shown(error: BaseException, credentials: Any = None) -> str:  # noqa: ANN401
    """Return the words of an error without what nobody is to read."""
    first: object = error.args[0] if error.args else type(error).__name__
    said = _TOKENS.sub("…", str(first))
    for name in _HELD:
        held = getattr(credentials, name, None)
        if isinstance(held, str) and held:
            said = said.replace(held, "…")
    return " ".join(said.split())[:_WORDS]
