"""The filesystems that a root can have: how large each must be, who writes it, what that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from ..errors import Problem
from ..identifiers import derive_uuid
from ..layout import Filesystem, Partition, Role
from ..tree import Directory
from . import btrfs, ext4, xfs
from .placing.population import Inspection, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One filesystem to write into its partition of a disk, which reads as zeros there.

    ``spare`` is where it is checked meanwhile; without it ext4 is checked afterwards, on the disk,
    and the others cannot be written. ``advance`` gets bytes of content.
    """

    disk: Path
    part: Partition
    tree: Directory
    timestamp: int  # seconds since 1970
    seed: str  # of the disk's identifiers
    kernel: str  # release of the one that is to mount it
    sector_size: int
    subvolume: str | None  # of btrfs, which the tree is to be; else it is the top
    spare: Path | None
    advance: Callable[[int], None]

    @property
    def uuid(self) -> UUID:
        assert self.part.fs_uuid is not None
        return self.part.fs_uuid

    @property
    def label(self) -> str:
        assert self.part.label is not None
        return self.part.label

    def inspection(self, look: Callable[[Path], None]) -> Inspection:
        """Return how a filesystem is looked at which is checked in a file of its own."""
        assert self.spare is not None
        return Inspection(self.spare, look)


@dataclass(frozen=True, slots=True)
class Kind:
    """One filesystem: ``size`` is the least, in bytes, that holds a tree; it raises SourceError.

    ``write`` writes and checks it, and raises DiskgenError. ``uses`` are those of host programs
    beside what every build takes; ``problems`` yields what else is amiss, for the release of the
    kernel that is to mount it.
    """

    size: Callable[[Directory], int]
    write: Callable[[Job], Usage]
    uses: tuple[str, ...] = ()
    problems: Callable[[str], Iterator[Problem]] = lambda _kernel: iter(())


def _of_ext4(root: Directory) -> int:
    return ext4.minimum_size(ext4.required(root))


def _of_xfs(root: Directory) -> int:
    return xfs.minimum_size(xfs.required(root))


def _of_btrfs(root: Directory) -> int:
    return btrfs.minimum_size(btrfs.required(root))


def _write_ext4(job: Job) -> Usage:
    part = job.part

    def look(file: Path) -> None:
        ext4.check(file, offset=part.start, size=part.size)

    ext4.make_empty(
        job.disk,
        offset=part.start,
        size=part.size,
        uuid=job.uuid,
        label=job.label,
        hash_seed=derive_uuid(job.seed, f"hash seed {part.role}"),
        timestamp=job.timestamp,
        verity=part.role is Role.ROOT,
    )
    usage = ext4.populate(
        job.disk,
        offset=part.start,
        root=job.tree,
        timestamp=job.timestamp,
        advance=job.advance,
        inspection=None if job.spare is None else job.inspection(look),
    )
    if job.spare is None:
        look(job.disk)
    return usage


def _write_xfs(job: Job) -> Usage:
    features = xfs.of_kernel(job.kernel)
    assert features is not None
    return xfs.populate(
        job.disk,
        offset=job.part.start,
        size=job.part.size,
        root=job.tree,
        timestamp=job.timestamp,
        uuid=job.uuid,
        label=job.label,
        sector_size=job.sector_size,
        features=features,
        advance=job.advance,
        inspection=job.inspection(xfs.check),
    )


def _write_btrfs(job: Job) -> Usage:
    """Write the tree, as a subvolume one that is mounted where none is named, too."""
    top, name = job.tree, None
    if job.subvolume is not None:
        top, name = Directory(mtime_ns=job.tree.mtime_ns), job.subvolume.encode()
        top.add(name, job.tree)
    return btrfs.populate(
        job.disk,
        offset=job.part.start,
        size=job.part.size,
        root=top,
        timestamp=job.timestamp,
        uuid=job.uuid,
        label=job.label,
        subvolumes=() if name is None else (name,),
        default=name,
        advance=job.advance,
        inspection=job.inspection(btrfs.check),
    )


def _xfs_problems(kernel: str) -> Iterator[Problem]:
    if xfs.of_kernel(kernel) is None:
        yield Problem(
            code="rootfs",
            message=f"the image's kernel '{kernel}' is too old for the xfs that diskgen writes",
            hint="choose ext4",
            setting="rootfs",
        )


KINDS: Final = {
    Filesystem.EXT4: Kind(_of_ext4, _write_ext4),
    Filesystem.XFS: Kind(_of_xfs, _write_xfs, ("xfs",), _xfs_problems),
    Filesystem.BTRFS: Kind(_of_btrfs, _write_btrfs, ("btrfs",)),
}
