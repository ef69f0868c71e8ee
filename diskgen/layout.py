"""Where everything lies on the disk: partition specs and sizes in, byte offsets out.

Arithmetic only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from .arch import TYPE_BIOS_BOOT, TYPE_ESP, TYPE_XBOOTLDR, Machine
from .errors import UsageError
from .identifiers import DISK, derive_uuid, filesystem_name
from .units import GIB, MIB, align_down, align_up, format_size

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


def specs(
    machine: Machine, root: Filesystem = Filesystem.EXT4, sector_size: int = BIOS_SECTOR
) -> tuple[_Spec, ...]:
    """Return the default table of an architecture, root last."""
    table: list[_Spec] = []
    if machine.bios_grub and sector_size == BIOS_SECTOR:
        table.append(
            _Spec(
                role=Role.BIOS_BOOT, size=MIB, type=TYPE_BIOS_BOOT, name="BIOS-BOOT",
                legacy_bootable=True,
            )
        )  # fmt: skip
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


def preferred_size(role: Role, content: Content, deployments: int = MOST_DEPLOYMENTS) -> int:
    """Return the bytes that /boot or the ESP get where nobody says how many."""
    return max(_DEFAULTS[role], content.least(role, deployments))


def make_layout(
    machine: Machine,
    *,
    seed: str,
    content: Content,
    disk_size: int | None,
    sector_size: int = 512,
    root_filesystem: Filesystem = Filesystem.EXT4,
    sizes: Mapping[Role, int] | None = None,
    given: Mapping[str, UUID] | None = None,
    floors: Mapping[Role, int] | None = None,
    grain: int = BIOS_SECTOR,
) -> Layout:
    """Place the default table on a disk; ``sizes`` (bytes) are those that differ from it.

    ``floors`` (bytes) are what the root and /boot are to have at least; the disk grows for them.

    Identifiers derive from ``seed`` but for those that are ``given``, by DISK or filesystem_name.

    The disk's size is a multiple of ``grain`` bytes, so it may be larger than ``disk_size``.
    Without that the root gets twice its content, at least 3 GiB, and the disk is at least
    10 GiB. Boot partitions have room for the kernels of three deployments where they and two roots
    fit on the disk, else for two, else for one. Raises UsageError when ``disk_size`` or one of
    ``sizes`` is too small to hold the content once.
    """
    floors = floors or {}
    wanted = dict(sizes or {})
    if Role.BOOT in floors and Role.BOOT not in wanted:
        usual = preferred_size(Role.BOOT, content, MOST_DEPLOYMENTS)
        wanted |= {Role.BOOT: floors[Role.BOOT]} if floors[Role.BOOT] > usual else {}
    check_sizes(wanted, content)
    table = specs(machine, root_filesystem, sector_size)
    twice = align_up(ROOT_FACTOR * content.root, GRAIN)
    once = align_up(max(content.root, floors.get(Role.ROOT, 0)), GRAIN)
    most = _sized(table, wanted, content, MOST_DEPLOYMENTS)
    ample = _fixed(most) + max(twice, once, align_up(ROOT_FLOOR, GRAIN))
    if disk_size is None or disk_size >= _fixed(most) + max(twice, once):
        table = most
    else:
        table = _sized(table, wanted, content, 2)
        if disk_size < _fixed(table) + once:
            table = _sized(table, wanted, content, 1)
    least = _fixed(table) + once
    size = disk_size if disk_size is not None else max(DEFAULT_DISK_SIZE, ample)
    check_multiple(size, sector_size)
    size = align_up(size, grain)
    if size < least:
        raise UsageError(
            f"a disk of {format_size(size)} is too small: this image needs "
            f"{format_size(align_up(least, GRAIN))}",
            hint=f"{format_size(align_up(ample, GIB))} leave room for updates",
            setting="disk-size",
        )
    known = given or {}
    partitions = _place(table, seed, known, align_down(size - GRAIN, GRAIN))
    return Layout(
        disk_guid=known.get(DISK) or derive_uuid(seed, DISK),
        size=size,
        sector_size=sector_size,
        partitions=partitions,
        warnings=tuple(_doubts(partitions, content, wanted, align_up(ample, GIB))),
    )


def fixed_size_doubts(sizes: Mapping[Role, int], content: Content) -> Iterator[str]:
    """Yield why partitions of sizes that somebody chose (bytes) will not do for updates."""
    for role, size in sizes.items():
        need = content.least(role, 2)
        if size < need:
            yield (
                f"an update may fail: {_TITLES[role]} of {format_size(size)} has no room for the "
                f"files of a second deployment; give it at least {need // MIB} MiB"
            )


_DEFAULTS: Final = {Role.BOOT: BOOT_SIZE, Role.ESP: ESP_SIZE}
_TITLES: Final = {Role.BOOT: "the boot partition", Role.ESP: "the EFI system partition"}


def _sized(
    table: Sequence[_Spec], sizes: Mapping[Role, int], content: Content, deployments: int
) -> tuple[_Spec, ...]:
    """Return a table with room for the boot files of some deployments."""
    chosen = {role: preferred_size(role, content, deployments) for role in _DEFAULTS} | {**sizes}
    return tuple(
        replace(spec, size=align_up(chosen.get(spec.role, spec.size), GRAIN)) for spec in table
    )


def least_size(machine: Machine, sector_size: int, sizes: Mapping[Role, int]) -> int:
    """Return the bytes of the smallest disk that any image could have; known before any is."""
    table = specs(machine, Filesystem.EXT4, sector_size)
    return _fixed(_sized(table, sizes, Content(), 1)) + GRAIN


def _fixed(table: Sequence[_Spec]) -> int:
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
                f"{_TITLES[role]} of {format_size(size)} is too small for what this image puts "
                "there",
                hint=f"give it at least {content.least(role, 2) // MIB} MiB, which leave room for "
                "updates",
                setting=setting,
            )


def _place(
    table: Sequence[_Spec], seed: str, given: Mapping[str, UUID], end: int
) -> tuple[Partition, ...]:
    partitions: list[Partition] = []
    at = GRAIN
    for number, spec in enumerate(table, 1):
        length = spec.size or end - at
        name = filesystem_name(spec.role)
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
                fs_uuid=(given.get(name) or derive_uuid(seed, name)) if spec.filesystem else None,
                label=spec.label,
                mountpoint=spec.mountpoint,
                legacy_bootable=spec.legacy_bootable,
            )
        )
        at += length
    return tuple(partitions)


def _doubts(
    partitions: Sequence[Partition], content: Content, sizes: Mapping[Role, int], ample: int
) -> Iterator[str]:
    """Yield what an update will have no room for, and which disk has it."""
    yield from fixed_size_doubts(sizes, content)
    for part in partitions:
        if part.role is Role.ROOT and part.size < ROOT_FACTOR * content.root:
            yield (
                f"an update may fail: the root filesystem of {format_size(part.size)} has no room "
                f"for two deployments; a disk of {format_size(ample)} has it"
            )
        elif part.role not in sizes and part.size < content.least(part.role, 2):
            yield (
                f"an update will fail: {_TITLES[part.role]} of {format_size(part.size)} has no "
                f"room for a second deployment; a disk of {format_size(ample)} has it"
            )
