"""Everything gets its place on the disk: arithmetic only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from ..arch import Machine
from ..errors import UsageError
from ..identifiers import DISK, derive_uuid, filesystem_name, partition_name
from ..units import GIB, align_down, align_up, format_size
from .model import (
    BIOS_SECTOR,
    DEFAULT_DISK_SIZE,
    GRAIN,
    MOST_DEPLOYMENTS,
    ROOT_FACTOR,
    ROOT_FLOOR,
    Content,
    Filesystem,
    Layout,
    Partition,
    Role,
)
from .table import (
    TITLES,
    Spec,
    check_multiple,
    check_sizes,
    fixed_size_doubts,
    preferred_size,
    sized,
    specs,
    taken,
)


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
    wanted = _wanted(sizes or {}, floors, content)
    check_sizes(wanted, content)
    table = specs(machine, root_filesystem, sector_size)
    twice = align_up(ROOT_FACTOR * content.root, GRAIN)
    once = align_up(max(content.root, floors.get(Role.ROOT, 0)), GRAIN)
    most = sized(table, wanted, content, MOST_DEPLOYMENTS)
    ample = taken(most) + max(twice, once, align_up(ROOT_FLOOR, GRAIN))
    if disk_size is None or disk_size >= taken(most) + max(twice, once):
        table = most
    else:
        table = sized(table, wanted, content, 2)
        if disk_size < taken(table) + once:
            table = sized(table, wanted, content, 1)
    least = taken(table) + once
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


def _wanted(
    sizes: Mapping[Role, int], floors: Mapping[Role, int], content: Content
) -> dict[Role, int]:
    """Return the sizes that differ from the table's; of /boot the floor, where none is given."""
    wanted = dict(sizes)
    least = floors.get(Role.BOOT, 0)
    if Role.BOOT not in wanted and least > preferred_size(Role.BOOT, content):
        wanted[Role.BOOT] = least
    return wanted


def _place(
    table: Sequence[Spec], seed: str, given: Mapping[str, UUID], end: int
) -> tuple[Partition, ...]:
    partitions: list[Partition] = []
    at = GRAIN
    for number, spec in enumerate(table, 1):
        length = spec.size or end - at
        name, part = filesystem_name(spec.role), partition_name(spec.role)
        partitions.append(
            Partition(
                role=spec.role,
                number=number,
                start=at,
                size=length,
                type=spec.type,
                uuid=given.get(part) or derive_uuid(seed, part),
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
                f"an update will fail: {TITLES[part.role]} of {format_size(part.size)} has no "
                f"room for a second deployment; a disk of {format_size(ample)} has it"
            )
