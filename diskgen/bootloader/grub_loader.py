"""GRUB as a build sees it: for UEFI by the image's binaries, for BIOS by a core image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..arch import Machine
from ..layout import Layout, Role
from ..plan import Way
from ..tree import Directory
from . import grub, grub_bios
from .loader import ForDisk


@dataclass(frozen=True, slots=True)
class Grub:
    """The GRUB of an image, for one machine."""

    facts: grub.GrubFacts
    machine: Machine
    name: str = "GRUB"
    hook: str = "none"  # its menu reads the entries themselves
    etc: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def ways(self) -> tuple[Way, ...]:
        return self.facts.ways

    @property
    def menu(self) -> str:
        return self.facts.menu

    @property
    def tools(self) -> tuple[str, ...]:
        return ("bios",) if self.facts.works("bios") else ()

    def check(self, _boot: Directory, title: str, options: str) -> None:
        grub.check_menu(self.facts, title, options)

    def esp_files(self, for_disk: ForDisk) -> dict[str, bytes]:
        return grub.esp_files(self.facts, for_disk.boot_uuid, name_uuid=for_disk.name_uuid)

    def add_to_boot(self, boot: Directory, for_disk: ForDisk) -> None:
        grub.add_to_boot(boot, self.facts, self.machine, for_disk)

    def install(self, disk: Path, layout: Layout, _boot: Directory, scratch: Path) -> None:
        target = self.machine.bios_grub
        if target is None or not self.facts.works("bios"):
            return
        boot_uuid = str(layout.partition(Role.BOOT).fs_uuid)
        core = grub_bios.core_image(self.facts, target, boot_uuid, scratch)
        grub_bios.embed(disk, layout, self.facts, core)


def inspect(root: Directory, machine: Machine, sector_size: int) -> Grub:
    """Return what an image tree brings of GRUB. Raises SourceError when it can boot in no way."""
    return Grub(grub.inspect(root, machine, sector_size), machine)
