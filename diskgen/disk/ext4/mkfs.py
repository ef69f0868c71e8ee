"""mke2fs makes the empty filesystem, e2fsck judges the full one; both inside the disk file."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Final

from ... import scratch
from ...errors import DiskgenError, HostError, ToolError, UsageError, VerifyError
from ...run import run
from ...units import MIB
from ...workspace import neutral
from . import superblock
from .sizing import BYTES_PER_INODE, journal_size
from .superblock import BLOCK, INODE_SIZE

_MAX_LABEL: Final = 16  # bytes of s_volume_name
_LATEST: Final = (1 << 32) - 1  # mke2fs 1.47.0 takes no later time
_BASE: Final = (
    "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg",
    "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum",
)  # fmt: skip
# Whatever the command line cannot say, and so that nothing is left to the host's mke2fs.conf. The
# types small to huge are what mke2fs looks up by size; they change nothing here.
_CONFIG: Final = """\
[defaults]
    base_features = {features}
    default_mntopts = acl,user_xattr
    enable_periodic_fsck = 0
    hash_alg = half_md4
    blocksize = 4096
    inode_size = 256
[fs_types]
    ext4 = {{
        base_features = {features}
    }}
    floppy = {{
        blocksize = 4096
    }}
    small = {{
        blocksize = 4096
    }}
    big = {{
        blocksize = 4096
    }}
    huge = {{
        blocksize = 4096
    }}
"""
# e2fsck's -n asks each of its questions and answers it so; some of them (an extent tree that could
# be shorter, say) do not change its exit status.
_COMPLAINT: Final = re.compile(r"\? no\b|\bIGNORED\b|WARNING|FIXED", re.MULTILINE)
_TOO_SMALL: Final = ("too small", "not big enough", "Not enough space to build")
_TAIL: Final = 2000


def make_empty(
    disk: Path,
    *,
    offset: int,
    size: int,
    uuid: uuid.UUID,
    label: str,
    hash_seed: uuid.UUID,
    timestamp: int,
    inodes: int | None = None,
    verity: bool = False,
) -> None:
    """Make an empty ext4 in ``size`` bytes at byte ``offset`` of the file ``disk``.

    4096-byte blocks, growable while mounted; the same bytes for the same arguments on any day. The
    place must read as zeros (a new sparse file): inode tables are left to it. ``timestamp`` is in
    seconds since 1970. Raises UsageError for a label longer than 16 bytes or a size that is too
    small, HostError when mke2fs is missing or the host is full, ToolError when mke2fs fails.
    """
    if len(label.encode()) > _MAX_LABEL or "\0" in label:
        raise UsageError(
            f"'{label}' is too long a name for a filesystem",
            hint=f"use at most {_MAX_LABEL} bytes",
        )
    with disk.open("rb") as file:
        room = file.seek(0, os.SEEK_END)
    if room < offset + size or offset % BLOCK:
        raise ValueError(f"{offset}+{size} is no place for a filesystem in '{disk}'")
    journal = journal_size(size) // MIB
    features = ",".join([*_BASE, *["has_journal"] * bool(journal), *["verity"] * verity])
    extended = (
        f"offset={offset},hash_seed={hash_seed},root_owner=0:0,nodiscard,"
        "lazy_itable_init=1,lazy_journal_init=1"
    )
    # Zero would mean "now"; populate writes the true time over it.
    moment = str(min(max(timestamp, 1), _LATEST))
    with scratch.directory() as place, neutral(disk) as name:
        config = place / "mke2fs.conf"
        config.write_text(_CONFIG.format(features=features))
        env = {
            "MKE2FS_CONFIG": os.fspath(config),
            "E2FSPROGS_FAKE_TIME": moment,
            "SOURCE_DATE_EPOCH": moment,
        }
        argv: list[str | Path] = [
            "mke2fs", "-t", "ext4", "-F", "-q",
            "-b", str(BLOCK), "-I", str(INODE_SIZE), "-G", "16", "-m", "5",
            "-o", "Linux", "-e", "continue",
            "-O", f"none,{features}",
            *(["-J", f"size={journal}"] if journal else []),
            *(["-i", str(BYTES_PER_INODE)] if inodes is None else ["-N", str(inodes)]),
            "-U", str(uuid), "-L", label, "-E", extended,
            name, str(size // BLOCK),
        ]  # fmt: skip
        try:
            run(argv, env=env)
        except ToolError as error:
            if (explained := _explained(error, disk, size)) is None:
                raise
            raise explained from error


def _explained(error: ToolError, disk: Path, size: int) -> DiskgenError | None:
    """Return what mke2fs's words mean, where that is known."""
    if "No space left" in error.stderr:
        return HostError(
            f"no space left on this machine for '{disk}'",
            hint="free some space, or write the output elsewhere",
        )
    if any(words in error.stderr for words in _TOO_SMALL):
        return UsageError(
            f"'{size}' bytes are too small for an ext4 filesystem",
            hint="make the disk larger",
            setting="disk-size",
        )
    return None


def check(disk: Path, *, offset: int, size: int) -> None:
    """Let e2fsck judge the filesystem at byte ``offset`` of ``disk``, which it does not change.

    Raises VerifyError, with the end of what e2fsck said, for any complaint whatever.
    """
    with disk.open("rb") as file:
        found = superblock.read(file.fileno(), offset)
    if found.block_count * BLOCK > size:
        raise VerifyError(
            f"the ext4 filesystem at byte '{offset}' of '{disk}' is larger than its place: "
            f"'{found.block_count * BLOCK}' of '{size}' bytes"
        )
    # A filesystem from the future of a machine without a clock is no fault of the filesystem.
    now = str(max(found.written & _LATEST, 1))
    env = {"E2FSCK_TIME": now, "E2FSPROGS_FAKE_TIME": now, "SOURCE_DATE_EPOCH": now}
    with neutral(disk) as name:
        outcome = run(["e2fsck", "-f", "-n", f"{name}?offset={offset}"], env=env, ok=range(256))
    said = outcome.text
    if outcome.status or _COMPLAINT.search(said):
        # The first line of stderr is e2fsck's name and version.
        tail = "\n".join([said.strip(), *outcome.stderr.splitlines()[1:]]).strip()[-_TAIL:]
        raise VerifyError(f"e2fsck finds fault with the ext4 filesystem in '{disk}'", said=tail)
