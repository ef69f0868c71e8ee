"""Starts a compose once, whatever becomes of the answers: a lost one is looked for by its name.

A request has a name of its own, that of its blueprint, which a farm tells in a compose's metadata.
Where no answer came, the composes that are new since then are looked through for that name. What is
not there after a while was not started. A farm that tells no names leaves it open: then nothing is
sent a second time.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..errors import FarmError
from .client import Client
from .errors import AnswerLost, NotSent, Refused, Unclear
from .values import ComposeRequest, is_id

PREFIX: Final = "diskgen-"
_LOOKED_THROUGH: Final = 2000  # composes that are new since we asked


def named(request: ComposeRequest, mark: str | None = None) -> ComposeRequest:
    """Return a request with a name that no other has."""
    name = f"{PREFIX}{mark or secrets.token_hex(8)}"
    return replace(request, blueprint={**request.blueprint, "name": name})


def start(client: Client, request: ComposeRequest) -> str:
    """Start a compose and return its id: never two of them.

    Raises Unclear where it may have been started and cannot be told from others.
    """
    before = _known(client)
    patience = client.patience
    began = patience.clock()
    number = 0
    while True:
        try:
            return client.post(request)
        except NotSent as error:
            failure: FarmError = error
            if error.final:
                raise
        except Refused as error:
            failure = error
            if not error.passing:
                raise
            if error.status != 429 and (found := _search(client, request, before)) is not None:
                return found
        except AnswerLost as error:
            failure = error
            if (found := _search(client, request, before)) is not None:
                return found
        wait = patience.pause(number, failure)
        if patience.clock() - began + wait > patience.deadline:
            raise failure
        number += 1
        patience.sleep(wait)


def find(client: Client, name: str) -> str:
    """Return the id of the compose that a request's name started. Raises FarmError."""
    rows = [row.id for row in client.composes()]
    found, _silent = _named_so(client, rows, name)
    if found is None:
        raise FarmError(f"the farm has no compose that is called '{name}'")
    return found


def _known(client: Client) -> frozenset[str] | None:
    """Return the composes that are there; None where the farm does not tell."""
    try:
        return frozenset(row.id for row in client.composes())
    except Refused as error:
        if error.status in (401, 407):
            raise
        return None


def _search(client: Client, request: ComposeRequest, before: frozenset[str] | None) -> str | None:
    """Return the compose that a lost answer was about; None where none was started."""
    patience = client.patience
    where = client.farm.address
    if before is None or request.name is None:
        raise Unclear(
            f"'{where}' may have started a compose: its answer was lost, and it lists none",
            hint="ask its administrator before you send it again",
        )
    wait = patience.settle / max(1, patience.looks)
    suspects: list[str] = []
    for _look in range(patience.looks):
        fresh = [row.id for row in client.composes() if row.id not in before]
        found, silent = _named_so(client, fresh[:_LOOKED_THROUGH], request.name)
        if found is not None:
            return found
        suspects = [*silent, *fresh[_LOOKED_THROUGH:]]
        patience.sleep(wait)
    if suspects:
        shown = ", ".join(suspects[:5])
        raise Unclear(
            f"'{where}' may have started this compose, and does not say which it is: {shown}",
            hint="'diskgen farm status ID --wait' follows one; 'diskgen farm cancel ID' drops it",
        )
    return None


def _named_so(client: Client, ids: Iterable[str], name: str) -> tuple[str | None, list[str]]:
    """Return the compose that has a name, and those that tell none."""
    silent: list[str] = []
    for each in ids:
        if not is_id(each):
            continue
        try:
            told = client.metadata(each)
        except Refused as error:
            if error.status == 404:  # gone meanwhile
                continue
            silent.append(each)
            continue
        if told.name == name:
            return each, []
        if not told.request:
            silent.append(each)
    return None, silent
