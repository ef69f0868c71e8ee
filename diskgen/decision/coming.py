"""What is known of a system that packages will make: little, and asked before a disk is erased.

Of files only those count which the installer's own system tells about: it is of the same
distribution. Accounts are those that every system has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..kickstart.recipe import FIREWALLD, Recipe
from . import system as systems
from .system import System

_SAME: Final = (systems.ZONES, *systems.KEYMAPS, *systems.LAYOUTS)
_TABLES: Final = {"passwd": "root:x:0:0::/root:/bin/sh", "group": "root:x:0:"}


def of(recipe: Recipe, installer: System) -> Coming:
    """Return what is known of the system that a recipe's packages make."""
    # mmdebstrap installs what sets a system up whatever a kickstart leaves out.
    debian = systems.program(installer, "mmdebstrap")
    excluded = recipe.packages.excluded if recipe.packages is not None and not debian else ()
    return Coming(installer, excluded)


@dataclass(frozen=True, slots=True)
class Coming:
    """A system of packages to come; ``excluded`` are those that shall not be installed."""

    installer: System
    excluded: tuple[str, ...] = ()

    def knows(self, path: str) -> bool:
        place = next((p for p in _SAME if path == p or path.startswith(f"{p}/")), None)
        if place is not None:
            return any(True for _name in self.installer.names(place))
        return path in systems.SERVICES and FIREWALLD in self.excluded

    def has(self, path: str) -> bool:
        return path.startswith(_SAME) and self.installer.has(path)

    def names(self, path: str) -> Iterator[str]:
        return self.installer.names(path) if path in _SAME else iter(())

    def link(self, path: str) -> str | None:  # noqa: ARG002 - none is known
        return None

    def table(self, name: str) -> Iterator[list[str]]:
        return systems.fields(_TABLES[name])
