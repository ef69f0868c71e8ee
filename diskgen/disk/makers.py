"""How programs make a filesystem on a partition: for what is installed on a machine itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..layout import Filesystem, Partition

COMMANDS: Final[Mapping[Filesystem, tuple[str, ...]]] = MappingProxyType(
    {
        Filesystem.EXT4: ("mkfs.ext4", "-q", "-F", "-L", "{label}", "-U", "{uuid}"),
        Filesystem.XFS: ("mkfs.xfs", "-q", "-f", "-L", "{label}", "-m", "uuid={uuid}"),
        Filesystem.BTRFS: ("mkfs.btrfs", "-q", "-f", "-L", "{label}", "-U", "{uuid}"),
        Filesystem.VFAT: ("mkfs.vfat", "-n", "{label}", "-i", "{volume:08x}"),
    }
)
# Those whose contents we do not write there ourselves, and what else that takes.
FOREIGN: Final[Mapping[Filesystem, tuple[str, ...]]] = MappingProxyType(
    {Filesystem.XFS: ("tar",), Filesystem.BTRFS: ("btrfs", "tar")}
)


def command(part: Partition, device: Path) -> list[str | Path]:
    """Return the command that makes a partition's filesystem on its device."""
    assert part.filesystem is not None
    words = COMMANDS[part.filesystem]
    said = {"label": part.label, "uuid": part.fs_uuid, "volume": part.volume_id}
    return [*(word.format(**said) for word in words), device]


def programs(kind: str | None) -> tuple[str, ...]:
    """Return what making and filling a root filesystem of a kind takes; nothing for ours."""
    found = next((each for each in FOREIGN if each == kind), None)
    return () if found is None else (COMMANDS[found][0], *FOREIGN[found])
