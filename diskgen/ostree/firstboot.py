"""Identifiers that an image's first boot replaces: those of Fedora CoreOS, while they are its own.

Its initramfs makes new ones where it finds the identifiers that coreos-assembler gives to every
disk (fedora-coreos-config: ``coreos-gpt-setup.sh``, ``ignition-ostree-firstboot-uuid``).
It leaves others alone: /boot has one of ours, by which GRUB's core image looks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from ..identifiers import DISK, filesystem_name
from ..layout import Filesystem, Role
from ..tree import Directory, File
from .lookup import find_dir, find_text

_MODULES: Final = "usr/lib/dracut/modules.d"
_DISK: Final = UUID("00000000-0000-4000-a000-000000000001")
_ROOT: Final = UUID("910678ff-f77e-4a7d-8d53-86f2ac47a823")
_BY_PROGRAM: Final[Mapping[str, Mapping[str, UUID]]] = MappingProxyType(
    {
        "coreos-gpt-setup.sh": {DISK: _DISK},
        "ignition-ostree-firstboot-uuid": {filesystem_name(Role.ROOT): _ROOT},
    }
)


def renewed(root: Directory, root_filesystem: Filesystem) -> dict[str, UUID]:
    """Return the identifiers by which the first boot knows that it is to make new ones.

    Empty for an image whose first boot makes none.
    """
    found: dict[str, UUID] = {}
    for program, identifiers in _BY_PROGRAM.items():
        texts = list(_texts(root, program))
        found |= {
            what: value
            for what, value in identifiers.items()
            if any(str(value) in text for text in texts)
        }
    if root_filesystem is not Filesystem.XFS:  # it changes no other
        found.pop(filesystem_name(Role.ROOT), None)
    return found


def _texts(root: Directory, program: str) -> Iterator[str]:
    """Yield what lies in dracut's modules under a name."""
    modules = find_dir(root, _MODULES)
    for module in modules.entries.values() if modules is not None else ():
        if isinstance(module, Directory) and isinstance(module.entries.get(program.encode()), File):
            text = find_text(module, program)
            if text is not None:
                yield text
