"""Output formats: one module each; which there are stands in the table of their places."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable
from uuid import UUID

from ..config import Request
from ..events import Emit
from ..place import PLACES, Place


@runtime_checkable
class Format(Protocol):
    """How a finished raw disk becomes an output."""

    def write(self, disk: Path, output: Path, request: Request, identity: UUID, emit: Emit) -> None:
        """Write ``output`` from ``disk``, which may be consumed.

        ``identity`` is the disk's: what a format wants of identifiers derives from it.
        """


def _writer(row: Place) -> Format:
    """Return what the module of a row calls ``FORMAT``."""
    found: Format = import_module(f".{row.writer or row.format}", __name__).FORMAT
    return found


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {row.format: _writer(row) for row in PLACES.values()}
)
