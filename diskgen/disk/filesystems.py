"""The filesystems that a root can have: how large each must be, and what of the host it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import Problem
from ..layout import Filesystem
from ..tree import Directory
from . import appliance, ext4, xfs


@dataclass(frozen=True, slots=True)
class Kind:
    """One filesystem: ``size`` is the least, in bytes, that holds a tree; it raises SourceError.

    ``uses`` are those of host programs beside what every build takes; ``problems`` yields what else
    is amiss, for the release of the kernel that is to mount it.
    """

    size: Callable[[Directory], int]
    uses: tuple[str, ...] = ()
    problems: Callable[[str], Iterator[Problem]] = lambda _kernel: iter(())


def _of_ext4(root: Directory) -> int:
    return ext4.minimum_size(ext4.required(root))


def _of_xfs(root: Directory) -> int:
    return xfs.minimum_size(xfs.required(root))


def _of_btrfs(root: Directory) -> int:
    return appliance.minimum_size(ext4.required(root).bytes)


def _xfs_problems(kernel: str) -> Iterator[Problem]:
    if xfs.of_kernel(kernel) is None:
        yield Problem(
            code="rootfs",
            message=f"the image's kernel '{kernel}' is too old for the xfs that diskgen writes",
            hint="choose ext4",
            setting="rootfs",
        )


def _btrfs_problems(_kernel: str) -> Iterator[Problem]:
    if appliance.find() is None:
        yield Problem(
            code="tool",
            message="a root filesystem of type 'btrfs' takes libguestfs and its Python binding",
            hint=f"{appliance.install_hint()}; or choose ext4 or xfs, which diskgen writes by "
            "itself",
            setting="rootfs",
        )


KINDS: Final = {
    Filesystem.EXT4: Kind(_of_ext4),
    Filesystem.XFS: Kind(_of_xfs, ("xfs",), _xfs_problems),
    Filesystem.BTRFS: Kind(_of_btrfs, (), _btrfs_problems),
}
