"""What boot partitions hold when a machine has one deployment, two, three: the room to plan for.

ostree writes a new deployment's kernel before it removes an old one (ostree-sysroot-deploy.c), and
bootupd a new ESP's files before it replaces the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..layout import MOST_DEPLOYMENTS
from ..tree import Directory
from . import ext4, fat
from .placing.population import Need

_KERNELS: Final = "ostree"  # below /boot: a directory for each kernel with its initramfs


def of_boot(boot: Directory) -> tuple[int, ...]:
    """Return the bytes of an ext4 at /boot for 1, 2 and 3 deployments.

    ``boot`` is its tree with one. Raises SourceError as writing it does.
    """
    all_of_it = ext4.required(boot)
    kernels = ext4.required(boot.get_dir(_KERNELS) or Directory())
    needs = (
        Need(
            all_of_it.bytes + more * kernels.bytes,
            all_of_it.inodes + more * kernels.inodes,
            all_of_it.content + more * kernels.content,
        )
        for more in range(MOST_DEPLOYMENTS)
    )
    return tuple(ext4.minimum_size(need) for need in needs)


def of_esp(files: Mapping[str, bytes]) -> tuple[int, int]:
    """Return the bytes of an ESP as it is, and while an update replaces all of its files."""
    need = fat.required(files)
    return need, 2 * need
