"""Which drivers an image's kernel has, and which of them are there before the root is.

File: Linux, Documentation/kbuild/kbuild.rst, "modules.builtin".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import SourceError
from ..initramfs.findings import Findings, driver_name
from ..tree import Directory
from .lookup import find_dir, text_at


@dataclass(frozen=True, slots=True)
class Drivers:
    """Modules of a kernel as lsmod(8) names them; ``known`` says whether they could be listed."""

    early: frozenset[str] = frozenset()  # built in, or in the initramfs
    late: frozenset[str] = frozenset()  # in the kernel's tree
    known: bool = False


def read_drivers(root: Directory, release: str, found: Findings) -> Drivers:
    """Return the drivers of a kernel, whose initramfs was read."""
    place = f"usr/lib/modules/{release}"
    try:
        builtin = text_at(root, f"{place}/modules.builtin") or ""
    except SourceError:  # too large, or no text: nobody's list
        builtin = ""
    early = {driver_name(line.encode()) for line in builtin.splitlines()} - {None}
    tree = find_dir(root, place)
    late = {driver_name(name) for name in (_files(tree) if tree is not None else ())}
    return Drivers(
        early=frozenset(map(str, early)) | found.drivers,
        late=frozenset(name for name in late if name is not None),
        known=found.damage is None and bool(builtin),
    )


def _files(folder: Directory) -> Iterator[bytes]:
    """Yield the names of all files below a directory."""
    folders = [folder]
    while folders:
        for name, node in folders.pop().entries.items():
            if isinstance(node, Directory):
                folders.append(node)
            else:
                yield name
