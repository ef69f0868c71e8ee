"""Filesystems without a writer of ours, through libguestfs: a small machine of its own in QEMU.

It takes no root either, but a minute instead of seconds, and its kernel stamps the inodes with the
time of the day: two builds are equal as trees, not as bytes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ..errors import DiskgenError, HostError, ToolError, UsageError, VerifyError, end_of
from ..hosttools import distribution_hint
from ..layout import Filesystem, Layout, Partition
from ..run import PIPE, feed, run, running
from ..tree import Directory
from ..units import MIB, align_up, format_size
from . import tarball

KINDS: Final = (Filesystem.BTRFS,)
_WORKER: Final = Path(__file__).with_name("appliance_worker.py")
_SYSTEM_PYTHON: Final = "/usr/bin/python3"  # what distributions make the binding for
_PASSED: Final = ("LIBGUESTFS_", "SUPERMIN_")  # variables of libguestfs's own
_NOT_STARTED: Final = 3  # status of the worker
_JOURNAL: Final = 512 * MIB  # what btrfs takes for itself, and a tenth of the content


@dataclass(frozen=True, slots=True)
class Guestfs:
    """The Python that has libguestfs's binding, and the library's version."""

    python: Path
    version: str


@cache
def find() -> Guestfs | None:
    """Return the libguestfs of this machine, or None."""
    for python in dict.fromkeys((sys.executable, _SYSTEM_PYTHON)):
        try:
            found = run([python, "-I", _WORKER], ok=range(256), timeout=30)
        except (HostError, ToolError):
            continue
        if found.status == 0:
            return Guestfs(Path(python), found.text.strip())
    return None


def install_hint() -> str:
    """Return the command that brings libguestfs with what it needs for btrfs."""
    return distribution_hint(
        debian="python3-guestfs btrfs-progs",
        fedora="python3-libguestfs btrfs-progs",
    )


def minimum_size(content: int) -> int:
    """Return the bytes of a filesystem that holds ``content`` bytes of blocks and inodes."""
    return align_up(content * 11 // 10 + _JOURNAL, MIB)


def populate(
    disk: Path,
    layout: Layout,
    part: Partition,
    root: Directory,
    *,
    subvolume: str | None = None,
    scratch: Path,
    accelerated: bool,
    advance: Callable[[int], None],
) -> None:
    """Make the partition's filesystem (one of KINDS), fill it with a tree and have it checked.

    ``subvolume`` is the one of btrfs that is made for the tree, ``scratch`` is for temporary files;
    ``advance`` gets bytes of content. Raises HostError when the appliance does not start,
    UsageError (disk-size) when the tree does not fit, VerifyError for anything else it reports.
    """
    guestfs = find()
    assert guestfs is not None
    assert part.filesystem in KINDS
    job = {
        "disk": os.fspath(disk.absolute()),
        "sector_size": layout.sector_size,
        "partition": part.number,
        "filesystem": str(part.filesystem),
        "label": part.label,
        "uuid": str(part.fs_uuid),
        "subvolume": subvolume,
        "accelerated": accelerated,
        "scratch": os.fspath(scratch.absolute()),
        "immutable": [
            "/" + path.decode("utf-8", "surrogateescape")
            for path, node in root.walk()
            if isinstance(node, Directory) and node.immutable
        ],
    }
    env = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
    env["TMPDIR"] = os.fspath(scratch.absolute())  # where QEMU leaves files when it is ended
    argv: list[str | Path] = [guestfs.python, "-I", _WORKER, json.dumps(job)]
    with running(argv, stdin=PIPE, stderr=PIPE, env=env) as worker:
        assert worker.stderr is not None
        feed(worker, tarball.stream(root, advance))
        said = worker.stderr.read().decode(errors="replace").strip()
    if worker.returncode == 0:
        return
    raise _failure(worker.returncode, said, part)


def _failure(status: int, said: str, part: Partition) -> DiskgenError:
    """Return what a worker's end means; ``said`` are its words."""
    if status == _NOT_STARTED:
        return HostError(
            f"libguestfs does not start on this machine: {said[-1024:]}",
            hint="'libguestfs-test-tool' tells more; ext4 and xfs do without it",
            setting="rootfs",
        )
    if "No space left on device" in said:
        return UsageError(
            f"the {part.filesystem} filesystem of '{format_size(part.size)}' is too small for the "
            "image",
            hint="make the disk larger",
            setting="disk-size",
        )
    why = said[-1024:] or f"its process {end_of(status)}"
    return VerifyError(f"libguestfs cannot write the {part.filesystem} filesystem: {why}")
