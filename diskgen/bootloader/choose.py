"""Which boot loader an architecture has: the table, and the look into an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ..arch import Machine
from ..tree import Directory
from . import grub_loader, zipl_loader
from .loader import Bootloader

LOADERS: Final[Mapping[str, Callable[[Directory, Machine, int], Bootloader]]] = MappingProxyType(
    {"grub": grub_loader.inspect, "zipl": zipl_loader.inspect}
)


def inspect(root: Directory, machine: Machine, sector_size: int) -> Bootloader:
    """Return what an image brings to start a disk with sectors of so many bytes.

    Raises SourceError when that is nothing.
    """
    return LOADERS[machine.bootloader](root, machine, sector_size)
