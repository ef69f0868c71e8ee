"""Whether a farm can be used from here: what is between, who we are, what its interface has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from ..documents import is_table
from ..errors import FarmError
from .client import Client
from .wire import Wire, context_of

_SKEW: Final = 60.0  # seconds that clocks may differ before it is worth a word


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``good`` is None where it is only told."""

    what: str
    good: bool | None
    says: str


def examine(client: Client) -> Iterator[Finding]:
    """Yield what is found, each as soon as it is known; the first bad one of them is the last."""
    client.patience = replace(client.patience, deadline=0.0)
    try:
        yield from _reached(client)
        yield from _interface(client.openapi())
        composes = client.composes()
        yield Finding("composes", True, f"{len(composes)} that we may see")
    except FarmError as error:
        hint = f" ({error.hint})" if error.hint else ""
        yield Finding("farm", False, error.message + hint)


def _reached(client: Client) -> Iterator[Finding]:
    farm = client.farm
    wire = Wire(farm, context_of(farm))
    began = time.monotonic()
    try:
        answer = wire.exchange("GET", farm.address.base + "/openapi")
    finally:
        wire.close()
    took = round((time.monotonic() - began) * 1000)
    by = "" if wire.proxy is None else f" by the proxy {wire.proxy}"
    yield Finding("address", True, f"{farm.address}{by} answers in {took} ms")
    skew = _skew(answer.headers.get("date", ""))
    if skew is not None and abs(skew) > _SKEW:
        yield Finding("clock", None, f"the farm's is {skew:+.0f} s beside ours, which does no harm")
    who = "no login" if farm.login is None else f"'{farm.login.client}', by OpenID"
    if farm.certificate is not None:
        who += ", with a client certificate"
    yield Finding("login", None, who)


def _skew(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None


def _interface(document: dict[str, Any]) -> Iterator[Finding]:
    info = document.get("info")
    version = info.get("version") if is_table(info) else None
    yield Finding("interface", None, f"version {version}" if version else "it does not say")
    keys = bootc_keys(document)
    if keys is None:
        yield Finding("bootc", None, "the interface does not say whether it takes containers")
    elif keys:
        yield Finding("bootc", True, "takes " + ", ".join(sorted(keys)))
    else:
        yield Finding("bootc", False, "this farm makes no images of containers: it is too old")


def bootc_keys(document: dict[str, Any]) -> frozenset[str] | None:
    """Return the keys of ``bootc`` by a farm's own description; None where it has no schemas."""
    components = document.get("components")
    schemas = components.get("schemas") if is_table(components) else None
    if not is_table(schemas):
        return None
    bootc = schemas.get("Bootc")
    if not is_table(bootc):
        return frozenset()
    properties = bootc.get("properties")
    return frozenset(properties) if is_table(properties) else None
