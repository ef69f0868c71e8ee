"""The files of several formats that one raw disk becomes, without a copy that need not be."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from .config import Output, Request
from .disk import reflink
from .events import Emit, step
from .formats import FORMATS
from .place import PLACES
from .workspace import Workspace


def write_files(
    disk: Path, request: Request, identity: UUID, work: Workspace, emit: Emit
) -> list[tuple[Path, Path]]:
    """Write each of a request's files and return them, unpublished, with their outputs' paths.

    Formats that read the disk come first. Of those that are the disk itself the last one takes it,
    by a rename; the others get a copy, which shares its blocks where the filesystem can do that.
    Raises OSError.
    """
    readers, takers = _parted(request)
    finished: list[tuple[Path, Path]] = []
    for number, output in enumerate((*readers, *takers)):
        source = disk
        if output in takers[:-1]:
            source = work.partial("copy")
            with step(emit, "copy", f"Copying the disk for {output.format}"):
                reflink.copy(disk, source)
        partial = work.partial(f"{number}.{output.format}")
        FORMATS[output.format].write(source, partial, request.alone(output), identity, emit)
        assert output.path is not None
        finished.append((partial, output.path))
    if not takers:
        disk.unlink()
    return finished


def _parted(request: Request) -> tuple[list[Output], list[Output]]:
    """Return the outputs that are made from a disk, and those that it becomes; each file once."""
    files = {output.path: output for output in request.outputs}
    readers = [output for output in files.values() if PLACES[output.format].converted]
    return readers, [output for output in files.values() if output not in readers]
