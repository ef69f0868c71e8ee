"""Where everything lies on the disk: partition specs and sizes in, byte offsets out.

Arithmetic only. Identifiers derive from a seed (the image's digest), so the same image gives the
same disk and ``root=UUID=`` is known before the disk exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from .arch import TYPE_BIOS_BOOT, TYPE_ESP, TYPE_XBOOTLDR, Machine
from .errors import UsageError
from .units import GIB, MIB, align_down, align_up, format_size

GRAIN: Final = MIB  # partitions start and end at multiples of this
_NAMESPACE: Final = UUID("b1d69346-4a27-5d0e-9a68-3f5d9a7f7a35")  # of all identifiers we derive
DEFAULT_DISK_SIZE: Final = 10 * GIB
ROOT_FACTOR: Final = 2  # room for a second deployment beside the first
ROOT_FLOOR: Final = 3 * GIB
BOOT_SIZE: Final = GIB
ESP_SIZE: Final = 501 * MIB
BIOS_SECTOR: Final = 512  # bytes; BIOS starts from no other


class Role(StrEnum):
    """What a partition is for."""

    BIOS_BOOT = "bios-boot"
    ESP = "esp"
    BOOT = "boot"
    ROOT = "root"


class Filesystem(StrEnum):
    """What is on a partition."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    VFAT = "vfat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition; ``start`` and ``size`` in bytes."""

    role: Role
    number: int
    start: int
    size: int
    type: UUID
    uuid: UUID
    name: str  # in the GPT
    filesystem: Filesystem | None = None
    fs_uuid: UUID | None = None
    label: str | None = None  # of the filesystem
    mountpoint: str | None = None
    legacy_bootable: bool = False  # GPT attribute bit 2

    @property
    def fs_uuid_text(self) -> str:
        """The filesystem's identifier as ``UUID=`` has it: FAT's is the 32-bit volume number."""
        assert self.fs_uuid is not None
        if self.filesystem is Filesystem.VFAT:
            serial = f"{self.volume_id:08X}"
            return f"{serial[:4]}-{serial[4:]}"
        return str(self.fs_uuid)

    @property
    def volume_id(self) -> int:
        """FAT's 32-bit volume number."""
        assert self.fs_uuid is not None
        return int.from_bytes(self.fs_uuid.bytes[:4], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The whole disk; ``size`` in bytes, ``sector_size`` in bytes."""

    disk_guid: UUID
    size: int
    sector_size: int
    partitions: tuple[Partition, ...]

    def partition(self, role: Role) -> Partition:
        """Return the partition of a role. Raises KeyError."""
        for partition in self.partitions:
            if partition.role is role:
                return partition
        raise KeyError(role)

    def has(self, role: Role) -> bool:
        return any(partition.role is role for partition in self.partitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    role: Role
    size: int  # 0: the rest of the disk
    type: UUID
    name: str
    filesystem: Filesystem | None = None
    label: str | None = None
    mountpoint: str | None = None
    legacy_bootable: bool = False


def derive_uuid(seed: str, role: str) -> UUID:
    """Return the identifier that belongs to a role on every disk made from one seed."""
    return uuid5(uuid5(_NAMESPACE, seed), role)


def specs(
    machine: Machine, root: Filesystem = Filesystem.EXT4, sector_size: int = BIOS_SECTOR
) -> tuple[_Spec, ...]:
    """Return the default table of an architecture, root last."""
    table = []
    if machine.bios_grub and sector_size == BIOS_SECTOR:
        table.append(
            _Spec(
                role=Role.BIOS_BOOT,
                size=MIB,
                type=TYPE_BIOS_BOOT,
                name="BIOS-BOOT",
                legacy_bootable=True,
            )
        )
    if machine.efi_suffix:
        table.append(
            _Spec(
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
        _Spec(
            role=Role.BOOT,
            size=BOOT_SIZE,
            type=TYPE_XBOOTLDR,
            name="boot",
            filesystem=Filesystem.EXT4,
            label="boot",
            mountpoint="/boot",
        ),
        _Spec(
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


def make_layout(
    machine: Machine,
    *,
    seed: str,
    root_content: int,
    disk_size: int | None,
    sector_size: int = 512,
    root_filesystem: Filesystem = Filesystem.EXT4,
    sizes: Mapping[Role, int] | None = None,
) -> Layout:
    """Place the default table on a disk; ``sizes`` (bytes) are those that differ from it.

    ``root_content`` is what the root filesystem must hold, in bytes, its metadata included. Without
    ``disk_size`` the root gets twice that, at least 3 GiB, and the disk is at least 10 GiB. Raises
    UsageError when a given ``disk_size`` is too small to hold the content once.
    """
    wanted = sizes or {}
    table = tuple(
        replace(spec, size=align_up(wanted.get(spec.role, spec.size), GRAIN))
        for spec in specs(machine, root_filesystem, sector_size)
    )
    fixed = GRAIN + sum(spec.size for spec in table) + GRAIN  # first grain: GPT; last: its backup
    wanted_root = align_up(max(ROOT_FACTOR * root_content, ROOT_FLOOR), GRAIN)
    least = fixed + align_up(root_content, GRAIN)
    size = disk_size if disk_size is not None else max(DEFAULT_DISK_SIZE, fixed + wanted_root)
    if size % sector_size:
        raise UsageError(
            f"the disk size '{size}' is not a multiple of the sector size {sector_size}",
            setting="disk-size",
        )
    if size < least:
        raise UsageError(
            f"a disk of {format_size(size)} is too small: this image needs "
            f"{format_size(align_up(least, GRAIN))}",
            hint=f"{format_size(align_up(fixed + wanted_root, GIB))} leave room for updates",
            setting="disk-size",
        )
    partitions = []
    at = GRAIN
    for number, spec in enumerate(table, 1):
        length = spec.size or align_down(size - GRAIN, GRAIN) - at
        partitions.append(
            Partition(
                role=spec.role,
                number=number,
                start=at,
                size=length,
                type=spec.type,
                uuid=derive_uuid(seed, f"partition {spec.role}"),
                name=spec.name,
                filesystem=spec.filesystem,
                fs_uuid=derive_uuid(seed, f"filesystem {spec.role}") if spec.filesystem else None,
                label=spec.label,
                mountpoint=spec.mountpoint,
                legacy_bootable=spec.legacy_bootable,
            )
        )
        at += length
    return Layout(
        disk_guid=derive_uuid(seed, "disk"),
        size=size,
        sector_size=sector_size,
        partitions=tuple(partitions),
    )
