"""Which partitions a disk gets by default, and which sizes of them will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from ..arch import TYPE_BIOS_BOOT, TYPE_ESP, TYPE_XBOOTLDR, Machine
from ..errors import UsageError
from ..units import MIB, align_up, format_size
from .model import (
    BIOS_SECTOR,
    BOOT_SIZE,
    ESP_SIZE,
    GRAIN,
    MOST_DEPLOYMENTS,
    Content,
    Filesystem,
    Role,
)

_DEFAULTS: Final = {Role.BOOT: BOOT_SIZE, Role.ESP: ESP_SIZE}
TITLES: Final = {Role.BOOT: "the boot partition", Role.ESP: "the EFI system partition"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A partition to come; ``size`` in bytes."""

    role: Role
    size: int  # 0: the rest of the disk
    type: UUID
    name: str
    filesystem: Filesystem | None = None
    label: str | None = None
    mountpoint: str | None = None
    legacy_bootable: bool = False


def specs(
    machine: Machine, root: Filesystem = Filesystem.EXT4, sector_size: int = BIOS_SECTOR
) -> tuple[Spec, ...]:
    """Return the default table of an architecture, root last."""
    table: list[Spec] = []
    if machine.bios_grub and sector_size == BIOS_SECTOR:
        table.append(
            Spec(
                role=Role.BIOS_BOOT, size=MIB, type=TYPE_BIOS_BOOT, name="BIOS-BOOT",
                legacy_bootable=True,
            )
        )  # fmt: skip
    if machine.efi_suffix:
        table.append(
            Spec(
                role=Role.ESP,
                size=ESP_SIZE,
                type=TYPE_ESP,
                name="EFI-SYSTEM",
                filesystem=Filesystem.VFAT,
                label="EFI-SYSTEM",
                mountpoint="/boot/efi",
            )
        )
    table += [
        Spec(
            role=Role.BOOT,
            size=BOOT_SIZE,
            type=TYPE_XBOOTLDR,
            name="boot",
            filesystem=Filesystem.EXT4,
            label="boot",
            mountpoint="/boot",
        ),
        Spec(
            role=Role.ROOT,
            size=0,
            type=machine.root_type,
            name="root",
            filesystem=root,
            label="root",
            mountpoint="/",
        ),
    ]
    return tuple(table)


def preferred_size(role: Role, content: Content, deployments: int = MOST_DEPLOYMENTS) -> int:
    """Return the bytes that /boot or the ESP get where nobody says how many."""
    return max(_DEFAULTS[role], content.least(role, deployments))


def sized(
    table: Sequence[Spec], sizes: Mapping[Role, int], content: Content, deployments: int
) -> tuple[Spec, ...]:
    """Return a table with room for the boot files of some deployments."""
    chosen = {role: preferred_size(role, content, deployments) for role in _DEFAULTS} | {**sizes}
    return tuple(
        replace(spec, size=align_up(chosen.get(spec.role, spec.size), GRAIN)) for spec in table
    )


def least_size(machine: Machine, sector_size: int, sizes: Mapping[Role, int]) -> int:
    """Return the bytes of the smallest disk that any image could have; known before any is."""
    table = specs(machine, Filesystem.EXT4, sector_size)
    return taken(sized(table, sizes, Content(), 1)) + GRAIN


def taken(table: Sequence[Spec]) -> int:
    """Return the bytes that all but the root take; the first grain is the GPT's, the last too."""
    return GRAIN + sum(spec.size for spec in table) + GRAIN


def check_multiple(size: int, sector_size: int) -> None:
    """Raise UsageError for a disk (bytes) that ends within a sector."""
    if size % sector_size:
        raise UsageError(
            f"the disk size '{size}' is not a multiple of the sector size {sector_size}",
            setting="disk-size",
        )


def check_sizes(sizes: Mapping[Role, int], content: Content, *, setting: str | None = None) -> None:
    """Raise UsageError for a partition of a size (bytes) that cannot hold one deployment's files.

    ``setting`` is the option by which the size was given.
    """
    for role, size in sizes.items():
        need = content.least(role, 1)
        if size < need:
            raise UsageError(
                f"{TITLES[role]} of {format_size(size)} is too small for what this image puts "
                "there",
                hint=f"give it at least {content.least(role, 2) // MIB} MiB, which leave room for "
                "updates",
                setting=setting,
            )


def fixed_size_doubts(sizes: Mapping[Role, int], content: Content) -> Iterator[str]:
    """Yield why partitions of sizes that somebody chose (bytes) will not do for updates."""
    for role, size in sizes.items():
        need = content.least(role, 2)
        if size < need:
            yield (
                f"an update may fail: {TITLES[role]} of {format_size(size)} has no room for the "
                f"files of a second deployment; give it at least {need // MIB} MiB"
            )
