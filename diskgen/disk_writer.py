"""Writes a disk that is decided: table, filesystems and boot loader, each checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .bootloader.loader import Bootloader
from .disk import appliance, ext4, fat, table, xfs
from .disk.placing.population import Inspection
from .events import Emit, step
from .identifiers import derive_uuid
from .layout import Filesystem, Partition, Role
from .plan import DiskPlan
from .tree import Directory
from .units import format_size
from .vm import accel
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
    foreign: Filler | None = None,
) -> None:
    """Write all partitions onto a disk of the layout's size which reads as zeros; verify them.

    ``spare`` gives the names of files beside the disk in which filesystems are checked meanwhile;
    without it they are checked afterwards, on the disk. ``root_size`` (bytes) is that of the root
    filesystem where it is not to fill its partition: beyond it the disk need not be zeros.
    ``foreign`` makes and fills filesystems other than ext4; without it xfs is ours as well, which
    takes ``spare``, and the rest is made by libguestfs. Raises DiskgenError.
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
        place = spare(role) if spare is not None else None
        if part.filesystem is Filesystem.EXT4:
            _write_ext4(disk, part, tree, plan, title, place, emit)
        elif foreign is not None:
            with step(emit, str(role), f"{title} ({part.filesystem})", unit="bytes") as phase:
                foreign(part, tree, phase.advance)
        elif part.filesystem is Filesystem.XFS:
            assert place is not None
            _write_xfs(disk, part, tree, plan, title, place, emit)
        else:
            _write_by_appliance(disk, part, tree, plan, title, scratch, emit)
    with step(emit, "bootloader", f"Writing {plan.image.bootloader}"):
        prepared.loader.install(disk, layout, prepared.boot, scratch)
    table.verify(disk, layout)


def _write_ext4(
    disk: Path,
    part: Partition,
    tree: Directory,
    plan: DiskPlan,
    title: str,
    spare: Path | None,
    emit: Emit,
) -> None:
    assert part.fs_uuid is not None
    assert part.label is not None

    def look(file: Path) -> None:
        ext4.check(file, offset=part.start, size=part.size)

    with step(emit, str(part.role), title, unit="bytes") as phase:
        ext4.make_empty(
            disk,
            offset=part.start,
            size=part.size,
            uuid=part.fs_uuid,
            label=part.label,
            hash_seed=derive_uuid(plan.identity.seed, f"hash seed {part.role}"),
            timestamp=plan.image.timestamp,
            verity=part.role is Role.ROOT,
        )
        usage = ext4.populate(
            disk,
            offset=part.start,
            root=tree,
            timestamp=plan.image.timestamp,
            advance=phase.advance,
            inspection=Inspection(spare, look) if spare is not None else None,
        )
        if spare is None:
            look(disk)
        phase.detail = f"{format_size(usage.bytes_written)}, {usage.inodes:,} inodes, checked"


def _write_xfs(
    disk: Path,
    part: Partition,
    tree: Directory,
    plan: DiskPlan,
    title: str,
    spare: Path,
    emit: Emit,
) -> None:
    assert part.fs_uuid is not None
    assert part.label is not None
    features = xfs.of_kernel(plan.image.kernel)
    assert features is not None
    with step(emit, str(part.role), f"{title} (xfs)", unit="bytes") as phase:
        usage = xfs.populate(
            disk,
            offset=part.start,
            size=part.size,
            root=tree,
            timestamp=plan.image.timestamp,
            uuid=part.fs_uuid,
            label=part.label,
            sector_size=plan.layout.sector_size,
            features=features,
            advance=phase.advance,
            inspection=Inspection(spare, xfs.check),
        )
        phase.detail = f"{format_size(usage.bytes_written)}, {usage.inodes:,} inodes, checked"


def _write_by_appliance(
    disk: Path,
    part: Partition,
    tree: Directory,
    plan: DiskPlan,
    title: str,
    scratch: Path,
    emit: Emit,
) -> None:
    with step(emit, str(part.role), f"{title} ({part.filesystem})", unit="bytes") as phase:
        chosen = accel.of_host()
        appliance.populate(
            disk,
            plan.layout,
            part,
            tree,
            subvolume=plan.image.root_subvolume if part.role is Role.ROOT else None,
            scratch=scratch,
            accelerated=chosen.name == "kvm",
            advance=phase.advance,
        )
        phase.detail = f"{format_size(phase.done)} by libguestfs, {chosen.reason}, checked"
