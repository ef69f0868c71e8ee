"""One request worked on with the cache open: its images are found first, damage is read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .config import ArtifactRequest
from .events import Emit
from .image import local
from .image.repair import repairing
from .image.store import Store

_Asked = TypeVar("_Asked", bound=ArtifactRequest)
_Made = TypeVar("_Made")


def run(request: _Asked, emit: Emit, work: Callable[[_Asked, Store, Emit], _Made]) -> _Made:
    """Return what ``work`` makes; it must leave nothing behind when it fails. Raises DiskgenError.

    It gets the request with its images named by where they are, and is begun anew where an entry of
    the cache was damaged.
    """
    settled = local.settled(request, emit)
    with Store(request.cache).session() as store:
        return repairing(store, emit, lambda: work(settled, store, emit))
