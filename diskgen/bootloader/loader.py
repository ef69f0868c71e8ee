"""What every boot loader is to a build, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..layout import Layout
from ..plan import Way
from ..tree import Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class ForDisk:
    """What the configuration says of this disk; ``timestamp`` in seconds since 1970."""

    title: str
    boot_uuid: str
    timestamp: int
    name_uuid: bool = True  # write bootuuid.cfg
    ignition: bool = False  # the first boot is Ignition's
    ignition_url: str | None = None  # where it gets its configuration


class Bootloader(Protocol):
    """What an image brings to be started by, and how it gets onto a disk.

    Checks come first, then trees are added to, and ``install`` writes what no filesystem holds.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways firmware can start the disk, those that do not work included."""
        ...

    @property
    def menu(self) -> str:
        """How the menu follows new deployments, in words."""
        ...

    @property
    def hook(self) -> str:
        """What ostree runs after an update: ``sysroot.bootloader`` of ostree.repo-config(5)."""
        ...

    @property
    def etc(self) -> Mapping[str, bytes]:
        """Files that /etc gets, by name, where the image has none."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """The uses (``hosttools.Tool.needed_for``) that installing it has of host programs."""
        ...

    def check(self, boot: Directory, title: str, options: str, /) -> None:
        """Refuse what the loader cannot carry.

        ``boot`` is the tree of /boot, ``options`` the kernel's whole command line.

        Raises SourceError naming it.
        """

    def esp_files(self, for_disk: ForDisk, /) -> dict[str, bytes]:
        """Return the ESP's files by path."""
        ...

    def add_to_boot(self, boot: Directory, for_disk: ForDisk) -> None:
        """Put configuration, modules and state on the /boot tree."""

    def install(self, disk: Path, layout: Layout, boot: Directory, scratch: Path, /) -> None:
        """Write the loader's own places of a disk whose filesystems are finished."""
