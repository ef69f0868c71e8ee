"""Output formats: one module each, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol
from uuid import UUID

from ..config import Request
from ..events import Emit
from .gce import Gce
from .ova import Ova
from .qcow2 import Qcow2
from .raw import Raw
from .vhd import Vhd
from .vmdk import Vmdk


class Format(Protocol):
    """How a finished raw disk becomes an output."""

    @property
    def name(self) -> str: ...

    def write(self, disk: Path, output: Path, request: Request, identity: UUID, emit: Emit) -> None:
        """Write ``output`` from ``disk``, which may be consumed.

        ``identity`` is the disk's: what a format wants of identifiers derives from it.
        """


_ALL: tuple[Format, ...] = (
    Raw("raw"), Raw("ami"), Qcow2(), Vhd(), Gce(), Vmdk(), Ova(),
)  # fmt: skip
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({f.name: f for f in _ALL})
