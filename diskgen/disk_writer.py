"""Writes a disk that is decided: table, filesystems and boot loader, each checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .bootloader.loader import Bootloader
from .disk import fat, table
from .disk.filesystems import KINDS, Job
from .events import Emit, step
from .layout import Filesystem, Partition, Role
from .plan import DiskPlan
from .tree import Directory
from .units import format_size
from .workspace import Workspace

Filler = Callable[[Partition, Directory, Callable[[int], None]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An image read and a plan made of it: all that writing the disk takes."""

    plan: DiskPlan
    loader: Bootloader
    root: Directory  # of the root filesystem
    boot: Directory  # of /boot
    esp: dict[str, bytes]  # by path


def write_disk(prepared: Prepared, disk: Path, work: Workspace, emit: Emit) -> None:
    """Write the whole raw disk into a new file and verify it. Raises DiskgenError."""
    with disk.open("xb") as file:
        file.truncate(prepared.plan.layout.size)

    def spare(role: Role) -> Path:
        return work.partial(f"{role}-check")

    write_onto(prepared, disk, work.scratch, emit, spare=spare)


def write_onto(
    prepared: Prepared,
    disk: Path,
    scratch: Path,
    emit: Emit,
    *,
    spare: Callable[[Role], Path] | None = None,
    root_size: int | None = None,
    foreign: Mapping[Filesystem, Filler] | None = None,
) -> None:
    """Write all partitions onto a disk of the layout's size which reads as zeros; verify them.

    ``spare`` gives the names of files beside the disk in which filesystems are checked meanwhile;
    without it they are checked afterwards, on the disk. ``root_size`` (bytes) is that of the root
    filesystem where it is not to fill its partition: beyond it the disk need not be zeros.
    ``foreign`` makes and fills the filesystems that are not to be ours, which all but ext4 cannot
    be without ``spare``. Raises DiskgenError.
    """
    plan = prepared.plan
    layout = plan.layout
    table.write(disk, layout)
    if layout.has(Role.ESP) and prepared.esp:
        esp = layout.partition(Role.ESP)
        assert esp.label is not None
        with step(emit, "esp", "Writing the EFI system partition") as phase:
            fat.make(
                disk,
                offset=esp.start,
                size=esp.size,
                label=esp.label,
                volume_id=esp.volume_id,
                timestamp=plan.image.timestamp,
                sector_size=layout.sector_size,
                files=prepared.esp,
            )
            phase.detail = format_size(plan.esp_bytes)
    for role, title, tree in (
        (Role.BOOT, "Writing /boot", prepared.boot),
        (Role.ROOT, "Writing the root filesystem", prepared.root),
    ):
        part = layout.partition(role)
        if role is Role.ROOT and root_size is not None:
            part = replace(part, size=root_size)
        kind = part.filesystem
        assert kind is not None
        shown = title if kind is Filesystem.EXT4 else f"{title} ({kind})"
        with step(emit, str(role), shown, unit="bytes") as phase:
            fill = (foreign or {}).get(kind)
            if fill is not None:
                fill(part, tree, phase.advance)
                continue
            place = spare(role) if spare is not None else None
            usage = KINDS[kind].write(_job(plan, disk, part, tree, place, phase.advance))
            phase.detail = f"{format_size(usage.bytes_written)}, {usage.inodes:,} inodes, checked"
    with step(emit, "bootloader", f"Writing {plan.image.bootloader}"):
        prepared.loader.install(disk, layout, prepared.boot, scratch)
    table.verify(disk, layout)


def _job(
    plan: DiskPlan,
    disk: Path,
    part: Partition,
    tree: Directory,
    spare: Path | None,
    advance: Callable[[int], None],
) -> Job:
    return Job(
        disk=disk,
        part=part,
        tree=tree,
        timestamp=plan.image.timestamp,
        seed=plan.identity.seed,
        kernel=plan.image.kernel,
        sector_size=plan.layout.sector_size,
        subvolume=plan.image.root_subvolume if part.role is Role.ROOT else None,
        spare=spare,
        advance=advance,
    )
