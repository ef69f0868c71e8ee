"""Partitions that kickstarts on a medium ask for, and the room that updates need in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...layout import BOOT_SIZE, Content, Role, check_sizes, fixed_size_doubts, preferred_size
from ...units import MIB

_ROLES: Final = {"/boot": Role.BOOT, "/boot/efi": Role.ESP}


def commands(content: Content, least: int = 0) -> str:
    """Return the commands for what firmware needs, and for /boot, of ``least`` bytes or more.

    Anaconda makes /boot of 1 GiB or more by itself; it is told where that does not suffice.
    """
    size = max(preferred_size(Role.BOOT, content), least)
    if size <= BOOT_SIZE:
        return "reqpart --add-boot"
    return f"reqpart\npart /boot --size={-(-size // MIB)}"


def root(filesystem: str | None, subvolume: str, least: int = 0) -> str:
    """Return the commands for the root, which takes what is left, and ``least`` bytes or more.

    Without a filesystem the installer decides.

    btrfs takes commands of its own, as Anaconda makes it: a volume, and the root below it.
    """
    size = f" --size={-(-least // MIB)}" if least else ""
    if filesystem == "btrfs":
        return "\n".join(
            (
                f"part btrfs.01 --grow{size}",
                "btrfs none --label=root btrfs.01",
                f"btrfs / --subvol --name={subvolume} LABEL=root",
            )
        )
    return f"part / --grow{size}" + (f" --fstype={filesystem}" if filesystem else "")


def doubts(name: str, handler: Any, content: Content) -> Iterator[str]:  # noqa: ANN401
    """Yield what partitions of a kickstart's own sizes will not do, by pykickstart's handler.

    Raises UsageError for one that cannot hold the image's files even once.
    """
    sizes: Mapping[Role, int] = {
        _ROLES[part.mountpoint]: part.size * MIB
        for part in handler.partition.partitions
        if part.mountpoint in _ROLES and part.size and not part.grow
    }
    check_sizes(sizes, content, setting="kickstart")
    for doubt in fixed_size_doubts(sizes, content):
        yield f"'{name}': {doubt}"
