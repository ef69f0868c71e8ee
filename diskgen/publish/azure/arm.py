"""Azure Resource Manager: one request, its refusals in our words, and operations that take long.

"Asynchronous Azure operations" and "Throttling Resource Manager requests" of its documentation.
"""

from __future__ import annotations

import http
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from ...documents import is_list, is_table
from ...errors import PublishError
from ..answers import values_of
from ..http import TRANSIENT, Connection, Reply
from ..retry import Patience, Transient
from .access import Access, masked

_LOOK_SECONDS: Final = 5.0  # between looks, where nobody says how long
_MOST_SECONDS: Final = 60.0
_MOST_PAGES: Final = 100  # of a list
_DONE: Final = "Succeeded"
_FAILED: Final = frozenset({"Failed", "Canceled"})
_BUSY: Final = frozenset({"AnotherOperationInProgress", "RetryableError", "OperationPreempted",
                          "ServerTimeout", "ServerBusy", "TooManyRequests"})  # fmt: skip
_EXPIRED: Final = frozenset({"ExpiredAuthenticationToken", "InvalidAuthenticationToken"})
# Code of an error: what to do, the option that matters.
_CODES: Final[Mapping[str, tuple[str | None, str | None]]] = MappingProxyType(
    {
        "AuthorizationFailed": ("the identity needs the rights that the manual lists", None),
        "LinkedAuthorizationFailed": ("the identity needs the rights that the manual lists", None),
        "ResourceGroupNotFound": ("az group create makes one", "resource-group"),
        "SubscriptionNotFound": ("az account list shows those of a log-in", "subscription"),
        "InvalidSubscriptionId": ("az account list shows those of a log-in", "subscription"),
        "InvalidAuthenticationTokenTenant": ("az login --tenant is for another one", None),
        "MissingSubscriptionRegistration": (
            "az provider register --namespace Microsoft.Compute", None),
        "QuotaExceeded": ("remove what is not needed there, or ask for a larger quota", None),
        "OperationNotAllowed": (None, None),
        "LocationNotAvailableForResourceType": ("choose another one", "location"),
        **dict.fromkeys(
            ("ExpiredAuthenticationToken", "InvalidAuthenticationToken"),
            ("log in again, such as by az login", None),
        ),
    }
)  # fmt: skip


class RefusedError(PublishError):
    """Azure answered with an error: ``code`` is how it calls it."""

    def __init__(self, what: str, status: int, code: str, said: str) -> None:
        hint, setting = _CODES.get(code, (None, None))
        words = masked(said) or f"status {status}"
        super().__init__(f"{what}: {words} ({code or status})", hint=hint, setting=setting)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Manager:
    """Azure Resource Manager, for one subscription and resource group.

    Use as a context manager, from one thread.
    """

    access: Access
    url: str
    subscription: str
    group: str
    patience: Patience = field(default_factory=Patience)
    _connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = Connection(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    @property
    def scope(self) -> str:
        """What a token has to be for."""
        return f"{self.url}/.default"

    def of_subscription(self, path: str = "") -> str:
        """Return a path in the subscription."""
        return f"/subscriptions/{self.subscription}{path}"

    def of_group(self, path: str = "") -> str:
        """Return a path in the resource group."""
        return self.of_subscription(f"/resourceGroups/{self.group}{path}")

    def of_compute(self, kind: str) -> str:
        """Return the identifier of a resource of Compute in the group, such as ``images/os``."""
        return self.of_group(f"/providers/Microsoft.Compute/{kind}")

    def ask(self, what: str, path: str, version: str) -> dict[str, Any] | None:
        """Return what a resource is; None where there is none. Raises PublishError."""
        try:
            return self._values(self._request(what, "GET", path, version))
        except RefusedError as error:
            # What is above it may be missing as well.
            if error.status != http.HTTPStatus.NOT_FOUND or error.setting is not None:
                raise
            return None

    def all_of(self, what: str, path: str, version: str) -> list[dict[str, Any]]:
        """Return the entries of a list, of all its pages. Raises PublishError."""
        found: list[dict[str, Any]] = []
        target = self._target(path, version)
        for _ in range(_MOST_PAGES):
            if not target:
                return found
            said = self._values(self._request_target(what, "GET", target, b""))
            values = said.get("value")
            if is_list(values):
                found += [dict(one) for one in values if is_table(one)]
            target = self._elsewhere(str(said.get("nextLink") or ""))
        raise PublishError(f"{what}: Azure's list has more than {_MOST_PAGES} pages")

    def change(
        self,
        what: str,
        method: str,
        path: str,
        version: str,
        says: Mapping[str, Any] | None = None,
        *,
        seconds: float = 3600,
    ) -> dict[str, Any]:
        """Change something, wait until that is done, and return what it is then.

        Raises PublishError, RefusedError.
        """
        reply = self._request(what, method, path, version, says)
        end = time.monotonic() + seconds
        location = self._elsewhere(reply.headers.get("location", ""))
        operation = self._elsewhere(reply.headers.get("azure-asyncoperation", ""))
        if operation:
            done = self._operation(what, operation, reply, end)
        elif location and reply.status == http.HTTPStatus.ACCEPTED:
            return self._located(what, location, reply, end)
        elif method == "PUT":
            return self._provisioned(what, path, version, self._values(reply), reply, end)
        else:
            return self._values(reply)
        if method != "POST":
            return {}
        output = done.get("properties")
        if is_table(output) and is_table(output.get("output")):
            return dict(output["output"])
        return self._values(self._polled(what, location)) if location else {}

    def remove(self, what: str, path: str, version: str, seconds: float = 600) -> None:
        """Remove a resource, if it is there. Raises PublishError."""
        try:
            self.change(what, "DELETE", path, version, seconds=seconds)
        except RefusedError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def settled(
        self, what: str, path: str, version: str, seconds: float = 3600
    ) -> dict[str, Any] | None:
        """Wait for a resource that somebody makes; None where there is none. Raises as change."""
        said = self.ask(what, path, version)
        if said is None:
            return None
        nothing = Reply(status=http.HTTPStatus.OK, headers={}, body=b"")
        return self._provisioned(what, path, version, said, nothing, time.monotonic() + seconds)

    def _request(
        self,
        what: str,
        method: str,
        path: str,
        version: str,
        says: Mapping[str, Any] | None = None,
    ) -> Reply:
        body = b"" if says is None else json.dumps(says).encode()
        return self._request_target(what, method, self._target(path, version), body)

    def _target(self, path: str, version: str) -> str:
        return f"{urlsplit(self.url).path}{quote(path)}?api-version={version}"

    def _request_target(self, what: str, method: str, target: str, body: bytes) -> Reply:
        def once() -> Reply:
            token = self.access.token(self.scope)
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            if body:
                headers["Content-Type"] = "application/json"
            reply = self._connection.request(method, target, headers, body)
            if reply.status < http.HTTPStatus.MULTIPLE_CHOICES:
                return reply
            raise self._refusal(what, reply, token)

        return self.patience.of(what, once)

    def _refusal(self, what: str, reply: Reply, token: str) -> RefusedError | Transient:
        code, said = error_of(self._values(reply))
        if reply.status in TRANSIENT or code in _BUSY:
            return Transient(f"{code or reply.status}: {masked(said)}"[:300], reply.wait)
        expired = code in _EXPIRED or reply.status == http.HTTPStatus.UNAUTHORIZED
        if expired and self.access.forget(self.scope, token):
            return Transient(f"{code}: the token has expired")
        return RefusedError(what, reply.status, code, said)

    @staticmethod
    def _values(reply: Reply) -> dict[str, Any]:
        return values_of(reply.body)

    def _elsewhere(self, url: str) -> str:
        """Return the target of an address that an answer names, "" for none.

        Raises PublishError for another host: it would get our token.
        """
        if not url:
            return ""
        parts = urlsplit(url)
        if _host(url) != _host(self.url):
            host = urlsplit(self.url).hostname
            raise PublishError(f"'{host}' names an address at '{parts.hostname}'")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _polled(self, what: str, target: str) -> Reply:
        return self._request_target(what, "GET", target, b"")

    def _operation(self, what: str, target: str, reply: Reply, end: float) -> dict[str, Any]:
        while True:
            self._pause(what, reply, end)
            reply = self._polled(what, target)
            said = self._values(reply)
            self._check(what, said.get("status"), said)
            if said.get("status") == _DONE:
                return said

    def _located(self, what: str, target: str, reply: Reply, end: float) -> dict[str, Any]:
        while reply.status == http.HTTPStatus.ACCEPTED:
            self._pause(what, reply, end)
            reply = self._polled(what, target)
        return self._values(reply)

    def _provisioned(
        self, what: str, path: str, version: str, said: dict[str, Any], reply: Reply, end: float
    ) -> dict[str, Any]:
        while True:
            state = state_of(said)
            self._check(what, state, said)
            if state in (None, _DONE):
                return said
            self._pause(what, reply, end)
            reply = self._request(what, "GET", path, version)
            said = self._values(reply)

    def _check(self, what: str, state: object, said: dict[str, Any]) -> None:
        if state in _FAILED:
            code, words = error_of(said)
            raise RefusedError(what, 200, code or str(state), words or str(state))

    def _pause(self, what: str, reply: Reply, end: float) -> None:
        if time.monotonic() > end:
            raise PublishError(f"{what} takes too long")
        wait = _LOOK_SECONDS if reply.wait is None else reply.wait
        time.sleep(min(wait, _MOST_SECONDS))


def _host(url: str) -> tuple[str, str | None, int]:
    """Return scheme, host and port of an address, also where it does not say the port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def state_of(said: Mapping[str, Any]) -> str | None:
    """Return the provisioningState of a resource, if it has one."""
    properties = said.get("properties")
    state = properties.get("provisioningState") if is_table(properties) else None
    return state if isinstance(state, str) else None


def error_of(said: Mapping[str, Any]) -> tuple[str, str]:
    """Return the code and the words of an error, the most telling of those that it holds."""
    error = said.get("error")
    if not is_table(error):
        return str(said.get("code") or ""), str(said.get("message") or "")
    code, words = str(error.get("code") or ""), str(error.get("message") or "")
    details = error.get("details")
    if is_list(details):
        for one in details:
            if is_table(one) and one.get("message"):
                words += f" {one['message']}"
    return code, words
