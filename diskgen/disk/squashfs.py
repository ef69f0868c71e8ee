"""A tree as a squashfs image, by mksquashfs: the runtime of an installer, live media.

No file of the tree is unpacked on the way: mksquashfs reads the tar stream of it.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import HostError, SourceError, ToolError
from ..run import PIPE, feed, running
from ..tree import Directory, File, Packed
from ..units import GIB, format_size
from . import squashfs_root, tarball

COMPRESSIONS: Final = {
    "zstd": ("-comp", "zstd", "-Xcompression-level", "15"),
    "xz": ("-comp", "xz"),
}
_ATTRIBUTES: Final = (b"user.", b"trusted.", b"security.")  # there is no room for others
_MOST_HOLES: Final = 64 * GIB  # they are written to mksquashfs
_FULL: Final = "No space left on device"


def make(
    output: Path,
    root: Directory,
    *,
    timestamp: int,
    compression: str = "zstd",
    advance: Callable[[int], None],
) -> None:
    """Write a new image file with a tree's owners, modes, times, links and attributes.

    Access control lists are no attributes that squashfs has, and are left out.

    ``timestamp`` (seconds since 1970) is the filesystem's; ``advance`` gets bytes of content. The
    same tree gives the same bytes. Raises HostError when this machine is full or lacks mksquashfs,
    ToolError when it fails.
    """
    _check_holes(root)
    argv: list[str | Path] = [
        "mksquashfs", "-", output, "-tar", "-quiet", "-no-progress", "-noappend",
        "-mkfs-time", str(max(timestamp, 0)), "-root-mode", f"{stat.S_IMODE(root.mode):o}",
        *how(compression),
    ]  # fmt: skip
    with running(argv, stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        assert child.stderr is not None
        # mksquashfs finds holes by itself, and stumbles over those of a tar (4.5.1).
        feed(
            child,
            tarball.stream(root, advance, top=False, sparse=False, attributes=_ATTRIBUTES),
        )
        said = child.stderr.read().decode(errors="replace")
    if child.returncode == 0 and not said.strip():
        squashfs_root.settle(output, root, timestamp)
        return
    output.unlink(missing_ok=True)
    if _FULL in said:
        raise HostError(
            f"no space left on this machine for '{output}'",
            hint="free some space, or write the output elsewhere",
        )
    raise ToolError([str(word) for word in argv], child.returncode, said)


def how(compression: str = "zstd") -> tuple[str, ...]:
    """Return the options by which images are compressed."""
    return ("-b", "1M", *squashfs_root.OPTIONS, *COMPRESSIONS[compression])


def _check_holes(root: Directory) -> None:
    seen: set[File] = set()
    for path, node in root.walk():
        if isinstance(node, File) and isinstance(node.content, Packed) and node not in seen:
            seen.add(node)
            holes = node.size - sum(length for _, length, _ in node.content.extents)
            if holes > _MOST_HOLES:
                text = path.decode(errors="backslashreplace")
                raise SourceError(
                    f"'{text}' of the image is a file with '{format_size(holes)}' of holes",
                    hint="remove it from the image",
                )
