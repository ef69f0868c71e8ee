"""Output formats: one module each, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from ..config import Request
from ..events import Emit
from .qcow2 import Qcow2
from .raw import Raw


class Format(Protocol):
    """How a finished raw disk becomes an output."""

    @property
    def name(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def write(self, disk: Path, output: Path, request: Request, emit: Emit) -> None:
        """Write ``output`` from ``disk``, which may be consumed."""


_ALL: tuple[Format, ...] = (Raw(), Qcow2())
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({f.name: f for f in _ALL})
