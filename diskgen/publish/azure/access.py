"""Access to Azure: tokens as azure-identity finds them, the keys of a storage account, secrets.

azure-identity is imported here alone, and when something is published. Addresses that carry their
own right (shared access signatures) are secrets: what Azure says is shown without them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from ...errors import HostError, PublishError
from ..http import is_private
from .models import BLOBS, CLOUDS, Cloud

STORAGE_SCOPE: Final = "https://storage.azure.com/.default"
MANAGER: Final = "AZURE_RESOURCE_MANAGER_URL"  # of a cloud that is not in the table
_EARLY_SECONDS: Final = 300  # before its end a token is renewed
_SECRET: Final = re.compile(
    r"(?i)(?:\b|(?<=%26)|(?<=%3f))(sig|signature|accountkey|sharedaccesssignature|access_token|client_secret)"
    r"(=|%3d|[\"']?\s*:\s*[\"']?)[^&\s\"'<>;,]+"
)
_BEARER: Final = re.compile(r"\beyJ[\w-]+\.[\w.-]+")
_SAS: Final = re.compile(r"[!-~]+=[!-~]+")
_SAYS: Final = re.compile(r"AADSTS\d+: [^\r\n]*")
_MOST_WORDS: Final = 1000


def masked(text: str) -> str:
    """Return what a service said without what is secret in it."""
    return _BEARER.sub("...", _SECRET.sub(r"\1\2...", text))[:_MOST_WORDS]


def cloud() -> Cloud:
    """Return the cloud that the environment names; the public one where it names none.

    Raises PublishError for one to which no credentials are sent.
    """
    authority = os.environ.get("AZURE_AUTHORITY_HOST", "")
    host = urlsplit(authority if "://" in authority else f"https://{authority}").hostname
    found = next((row for row in CLOUDS if row.authority == host), CLOUDS[0])
    manager = os.environ.get(MANAGER, "").rstrip("/") or found.manager
    require_private(manager, f"write https://HOST in {MANAGER}")
    return Cloud(authority=found.authority, manager=manager, blobs=found.blobs)


def require_private(url: str, hint: str) -> None:
    """Refuse an address on the way to which others read what lets us in. Raises PublishError."""
    if not is_private(url):
        raise PublishError(f"'{url}' is no address for credentials to go to", hint=hint)


@dataclass(slots=True)
class Access:
    """One user's tokens. For any thread; use as a context manager."""

    _credential: Any = field(default=None)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._credential is not None:
            self._credential.close()

    def token(self, scope: str) -> str:
        """Return a token for a scope, which is renewed before it ends. Raises PublishError."""
        with self._lock:
            held, end = self._tokens.get(scope, ("", 0.0))
            if time.time() < end - _EARLY_SECONDS:
                return held
            found = self._asked(scope)
            self._tokens[scope] = (str(found.token), float(found.expires_on))
            return str(found.token)

    def forget(self, scope: str, refused: str) -> bool:
        """Drop a token that was refused; say whether another one may do better."""
        with self._lock:
            held, end = self._tokens.get(scope, ("", 0.0))
            if held != refused:
                return True  # another thread has a new one
            self._tokens.pop(scope, None)
            return end > 0 and self._renewed(scope, refused)

    def _renewed(self, scope: str, refused: str) -> bool:
        if self._credential is not None:
            self._credential.close()
        self._credential = None  # it holds what was refused
        found = self._asked(scope)
        self._tokens[scope] = (str(found.token), float(found.expires_on))
        return str(found.token) != refused

    def _asked(self, scope: str) -> Any:  # noqa: ANN401 - of a library that is not always there
        if self._credential is None:
            self._credential = _credential()
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            return self._credential.get_token(scope)
        except ClientAuthenticationError as error:
            raise _refused(str(error)) from None
        except (AzureError, ValueError, OSError) as error:
            raise PublishError(f"asking for a token: {masked(str(error))}") from None


def _credential() -> Any:  # noqa: ANN401
    """Return what asks for tokens, in the order of Azure's own programs. Raises HostError."""
    logging.getLogger("azure").addHandler(logging.NullHandler())  # it would speak for itself
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise HostError(
            "publishing to Azure needs Python's azure-identity, which is not installed",
            hint="pip install 'diskgen[azure]'",
        ) from None
    try:
        return DefaultAzureCredential()
    except ValueError as error:  # of variables that contradict each other
        raise PublishError(f"the credentials of the environment: {masked(str(error))}") from None


def _refused(said: str) -> PublishError:
    """Return why there is no token: all that were tried speak, one a line or more."""
    words = _SAYS.search(said)
    if words is not None:
        return PublishError(
            f"Azure does not take the credentials: {masked(words.group())}",
            hint="log in again, such as by az login",
        )
    return PublishError(
        "no credentials for Azure were found",
        hint="az login makes some; so do AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET "
        "in the environment, workload identities, and the identity of a machine of Azure",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageKeys:
    """What the environment says of a storage account, by the variables of Azure's own programs.

    Without ``key`` and ``sas`` it is reached by a token.
    """

    account: str | None = None
    endpoint: str | None = None  # URL
    key: bytes | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)


def storage_keys(environment: Mapping[str, str]) -> StorageKeys:
    """Return them. Raises PublishError, which shows none of what is secret."""
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING", "")
    said = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    account = said.get("AccountName") or environment.get("AZURE_STORAGE_ACCOUNT") or None
    key = said.get("AccountKey") or environment.get("AZURE_STORAGE_KEY") or None
    sas = said.get("SharedAccessSignature") or environment.get("AZURE_STORAGE_SAS_TOKEN") or None
    endpoint = said.get("BlobEndpoint")
    if endpoint is None and account and "EndpointSuffix" in said:
        scheme = said.get("DefaultEndpointsProtocol", "https")
        endpoint = f"{scheme}://{account}.blob.{said['EndpointSuffix']}"
    if account is None and endpoint is not None:
        account = (urlsplit(endpoint).hostname or "").partition(".")[0] or None
    try:
        secret = base64.b64decode(key, validate=True) if key else None
    except binascii.Error:
        raise PublishError(
            "the key of the storage account is none",
            hint="see AZURE_STORAGE_KEY and AZURE_STORAGE_CONNECTION_STRING in the environment",
        ) from None
    sas = sas.strip().lstrip("?") if sas else None
    if sas and not _SAS.fullmatch(sas):
        raise PublishError(
            "the shared access signature of the storage account is none",
            hint="see AZURE_STORAGE_SAS_TOKEN and AZURE_STORAGE_CONNECTION_STRING in the "
            "environment",
        )
    return StorageKeys(account=account, endpoint=endpoint, key=secret, sas=sas or None)


def signed(
    account: str, key: bytes, method: str, target: str, headers: Mapping[str, str], length: int
) -> str:
    """Return the header Authorization of a request by the account's key.

    "Authorize with Shared Key", Blob service, versions from 2015-02-21.
    """
    small = {name.lower(): value for name, value in headers.items()}
    parts = urlsplit(target)
    told = [
        method, small.get("content-encoding", ""), small.get("content-language", ""),
        str(length) if length else "", small.get("content-md5", ""),
        small.get("content-type", ""), "", small.get("if-modified-since", ""),
        small.get("if-match", ""), small.get("if-none-match", ""),
        small.get("if-unmodified-since", ""), small.get("range", ""),
    ]  # fmt: skip
    told += [f"{name}:{value}" for name, value in sorted(small.items()) if name[:5] == "x-ms-"]
    told.append(f"/{account}{parts.path}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    told += [f"{name.lower()}:{value}" for name, value in sorted(query)]
    digest = hmac.digest(key, "\n".join(told).encode(), hashlib.sha256)
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


@dataclass(slots=True)
class Pass:
    """What lets requests of pages through: an address of its own right, a key, or a token."""

    url: str = field(repr=False)  # of what is written to, with its signature where it has one
    access: Access | None = None
    account: str = ""
    key: bytes | None = field(default=None, repr=False)
    renew: Callable[[], str] | None = None  # returns another address
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """The address of the host, which is no secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def text(self) -> str:
        """The address as it may be shown."""
        return self.url.partition("?")[0]

    def request(
        self, method: str, query: str, headers: Mapping[str, str], length: int
    ) -> tuple[str, dict[str, str], str]:
        """Return a request's target and headers, and what it was let through by."""
        with self._lock:
            url = self.url
        parts = urlsplit(url)
        words = "&".join(filter(None, (query, parts.query)))
        target = f"{parts.path}?{words}" if words else parts.path
        made = {"x-ms-version": BLOBS, "x-ms-date": formatdate(usegmt=True), **headers}
        if parts.query:
            return target, made, url
        if self.key is not None:
            made["Authorization"] = signed(self.account, self.key, method, target, made, length)
            return target, made, ""
        assert self.access is not None
        token = self.access.token(STORAGE_SCOPE)
        made["Authorization"] = f"Bearer {token}"
        return target, made, token

    def again(self, by: str) -> bool:
        """Say whether a request that was refused may be let through by now, renewed."""
        if "?" in self.url:
            if self.renew is None:
                return False
            with self._lock:
                if self.url == by:
                    self.url = self.renew()
                return self.url != by
        if self.key is not None:
            return False
        assert self.access is not None
        return self.access.forget(STORAGE_SCOPE, by)
