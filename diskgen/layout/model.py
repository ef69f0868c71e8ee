"""What a disk is made of: its partitions by role, and what they have to hold.

Sizes and offsets are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from ..units import GIB, MIB, align_up

GRAIN: Final = MIB  # partitions start and end at multiples of this
DEFAULT_DISK_SIZE: Final = 10 * GIB
ROOT_FACTOR: Final = 2  # room for a second deployment beside the first
ROOT_FLOOR: Final = 3 * GIB
BOOT_SIZE: Final = GIB  # at least
ESP_SIZE: Final = 501 * MIB  # at least
MOST_DEPLOYMENTS: Final = 3  # on one machine: the one it runs, the one before, a new one
_FILLED: Final = (9, 10)  # how much of a partition may be taken: what comes next may be larger
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
        vfat = self.filesystem is Filesystem.VFAT
        return serial_text(self.fs_uuid) if vfat else str(self.fs_uuid)

    @property
    def volume_id(self) -> int:
        """FAT's 32-bit volume number."""
        assert self.fs_uuid is not None
        return _serial(self.fs_uuid)


def serial_text(uuid: UUID) -> str:
    """Return the volume number that a FAT has by an identifier, as ``UUID=`` has it."""
    serial = f"{_serial(uuid):08X}"
    return f"{serial[:4]}-{serial[4:]}"


def _serial(uuid: UUID) -> int:
    return int.from_bytes(uuid.bytes[:4], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a disk is to hold: bytes that the filesystems need, their metadata included.

    ``boot`` and ``esp`` are what they need with one deployment on the machine, with two and so on;
    the last number stands for more of them. Empty: it is not known.
    """

    root: int = 0  # with one
    boot: Sequence[int] = ()
    esp: Sequence[int] = ()

    def least(self, role: Role, deployments: int) -> int:
        """Return the least size of a partition, bytes; 0 where nothing is known."""
        known = {Role.BOOT: self.boot, Role.ESP: self.esp}.get(role, ())
        if not known:
            return 0
        filled, of = _FILLED
        return align_up(-(-known[min(deployments, len(known)) - 1] * of // filled), GRAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The whole disk; ``size`` in bytes, ``sector_size`` in bytes."""

    disk_guid: UUID
    size: int
    sector_size: int
    partitions: tuple[Partition, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def partition(self, role: Role) -> Partition:
        """Return the partition of a role. Raises KeyError."""
        for partition in self.partitions:
            if partition.role is role:
                return partition
        raise KeyError(role)

    def has(self, role: Role) -> bool:
        return any(partition.role is role for partition in self.partitions)
