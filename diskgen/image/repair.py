"""Work that reads the cache is done again when a part of it turns out to be damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..events import Emit, notice
from ..packsums import DamagedEntry
from .model import BrokenBlob
from .store import Store

_Made = TypeVar("_Made")


def repairing(store: Store, emit: Emit, work: Callable[[], _Made]) -> _Made:
    """Return what ``work`` makes; it must leave nothing behind when it fails.

    A damaged entry is dropped, and the work begun anew, which reads it again from where it came:
    once for each entry, for a disk that damages it again does not get better.
    """
    dropped: set[str] = set()
    while True:
        try:
            return work()
        except DamagedEntry as error:
            if str(error.path) in dropped or not store.drop(error.path):
                raise
            dropped.add(str(error.path))
            notice(emit, f"{error.message}; reading it again", warning=True)
        except BrokenBlob as error:
            if error.digest in dropped or not store.drop_blob(error.digest):
                raise
            dropped.add(error.digest)
            notice(emit, f"{error.message}; fetching it again", warning=True)
