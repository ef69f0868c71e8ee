"""Watches composes to their end: one of them or thousands, by one poller.

The list of all composes is asked for where many are watched; what is not in it, and a few, are
asked for one by one, by a bounded number of connections. A farm that is away for a while is waited
for: a compose does not need us.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from ..errors import FarmError
from .client import Client
from .errors import AnswerLost, NotSent, Refused
from .values import ComposeStatus

CONNECTIONS: Final = 8
_EACH: Final = 0.04  # seconds between two looks, for each compose that is asked for by itself
_FEW: Final = 8  # composes that are asked for one by one
_SLOWER: Final = 1.5  # each pause is so many times the one before
GONE: Final = "gone"  # the status of a compose that the farm no longer knows

Told = Callable[[ComposeStatus], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between two looks: from ``first`` to ``most``; ``away`` is how long a farm may be."""

    first: float = 1.0
    most: float = 30.0
    away: float = 900.0


def watch(
    client: Client, ids: Sequence[str], told: Told, pace: Pace | None = None
) -> dict[str, ComposeStatus]:
    """Return the ends of composes, by id; ``told`` gets each change of a status as it is seen.

    Raises FarmError where the farm is away for too long.
    """
    pace = pace or Pace()
    patient = client.beside()
    # A look that fails is the poller's to repeat, and one farm has one count of failures.
    patient.patience = replace(client.patience, deadline=0.0)
    seen: dict[str, ComposeStatus] = {}
    waiting = dict.fromkeys(name.lower() for name in ids)
    poller = _Poller(patient)
    pause, failing = pace.first, None
    clock, sleep = client.patience.clock, client.patience.sleep
    with _closing(poller):
        while True:
            try:
                for status in poller.look(list(waiting)):
                    _note(status, seen, waiting, told)
                failing = None
            except (NotSent, AnswerLost, Refused) as error:
                if failing is None:
                    client.warn(f"{error}; the composes go on, and are asked for again")
                failing = _still_away(error, failing, clock(), pace)
            if not waiting:
                return {name.lower(): seen[name.lower()] for name in ids}
            sleep(max(pause, poller.asked * _EACH) * (0.5 + client.patience.chance() / 2))
            pause = min(pause * _SLOWER, pace.most)


def _note(
    status: ComposeStatus,
    seen: dict[str, ComposeStatus],
    waiting: dict[str, None],
    told: Told,
) -> None:
    before = seen.get(status.id)
    seen[status.id] = status
    if before != status:
        told(status)
    if status.finished or status.status == GONE:
        waiting.pop(status.id, None)


def _still_away(
    error: NotSent | AnswerLost | Refused, since: float | None, now: float, pace: Pace
) -> float:
    """Return since when a farm is away. Raises the error where that is too long, or for good."""
    final = isinstance(error, NotSent) and error.final
    if final or (isinstance(error, Refused) and not error.passing):
        raise error
    since = now if since is None else since
    if now - since > pace.away:
        raise error
    return since


class _Poller:
    """Looks at composes; ``client`` makes the first connection, others are made when needed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked = 0  # composes that the last look asked for one by one
        self._lists = True  # whether the farm lists composes
        self._others: list[Client] = []

    def close(self) -> None:
        for each in (self._client, *self._others):
            each.close()

    def look(self, ids: Sequence[str]) -> Iterator[ComposeStatus]:
        """Yield the statuses of composes. Raises FarmError."""
        missing = list(ids)
        if len(ids) > _FEW and self._lists:
            wanted = set(ids)
            try:
                rows = [row for row in self._client.composes() if row.id in wanted]
            except Refused as error:
                if error.passing or error.status == 401:
                    raise
                self._lists, rows = False, []
            yield from rows
            found = {row.id for row in rows}
            missing = [name for name in ids if name not in found]
        self.asked = len(missing)
        yield from self._one_by_one(missing)

    def _one_by_one(self, ids: Sequence[str]) -> Iterator[ComposeStatus]:
        if len(ids) <= 1:
            for name in ids:
                yield _status(self._client, name)
            return
        while len(self._others) < min(CONNECTIONS, len(ids)):
            self._others.append(self._client.beside())
            self._others[-1].patience = self._client.patience
        yield from _side_by_side(self._others[: len(ids)], ids)


def _status(client: Client, name: str) -> ComposeStatus:
    try:
        return client.status(name)
    except Refused as error:
        if error.status == 404:
            return ComposeStatus(name, GONE)
        raise


def _side_by_side(clients: Sequence[Client], ids: Iterable[str]) -> Iterator[ComposeStatus]:
    """Yield statuses as they come. Raises the first failure, after all that came."""
    todo: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[ComposeStatus | FarmError | None] = queue.SimpleQueue()
    for name in (*ids, *[None] * len(clients)):
        todo.put(name)

    def work(client: Client) -> None:
        try:
            while (name := todo.get()) is not None:
                done.put(_status(client, name))
        except FarmError as error:
            done.put(error)
        finally:
            done.put(None)

    # They end with the process: an interrupt does not wait for what a farm owes us.
    for client in clients:
        threading.Thread(target=work, args=(client,), name="diskgen-farm", daemon=True).start()
    failure: FarmError | None = None
    left = len(clients)
    while left:
        found = done.get()
        if found is None:
            left -= 1
        elif isinstance(found, FarmError):
            failure = failure or found
        else:
            yield found
    if failure is not None:
        raise failure


@contextmanager
def _closing(poller: _Poller) -> Generator[None]:
    try:
        yield
    finally:
        poller.close()
