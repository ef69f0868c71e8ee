"""What is on a disk file of any format: its table, filesystems, deployments, and how it starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from ..arch import MACHINES, TYPE_ESP
from ..config import SECTOR_SIZES
from ..disk import gpt
from ..errors import SourceError, VerifyError
from ..formats.reading import BEGINNINGS, Disk, opened
from . import SCHEMA_VERSION, deployments, filesystems, starting
from .starting import Partition


def outline(path: Path, *, archives: bool = False) -> dict[str, Any]:
    """Return the table of a disk file, and what it is for. Raises SourceError where it has none.

    With ``archives`` those too that show no more than the beginning of a disk.
    """
    with opened(path, beginning=archives) as disk:
        table, _doubt = _table(disk, only_first=disk.format in BEGINNINGS)
        return _outline(disk, table, _partitions(disk, table, types=(TYPE_ESP,)))


def of_disk(path: Path) -> dict[str, Any]:
    """Return all that a disk file shows; what cannot be shown is in its ``notes``.

    Nothing is mounted, and no journal is replayed. Raises SourceError for a file without a
    partition table, and for one that cannot be read.
    """
    with opened(path) as disk:
        table, doubt = _table(disk)
        partitions = _partitions(disk, table)
        facts = _outline(disk, table, partitions)
        for shown, part in zip(facts["partitions"], partitions, strict=True):
            shown["content"] = _content(part)
        readers = [p.found.reader for p in partitions if p.found and p.found.reader]
        looked = deployments.look(readers)
        notes = [doubt] if doubt else []
        notes += [f"partition {p.entry.number}: {p.found.note}" for p in partitions
                  if p.found is not None and p.found.note]  # fmt: skip
        notes += looked.notes
        return facts | {"deployments": looked.deployments, "notes": notes}


def _outline(disk: Disk, table: gpt.Table, partitions: Sequence[Partition]) -> dict[str, Any]:
    known = {row.root_type: f"root of {row.name}" for row in MACHINES.values()}
    ways = starting.ways(disk, partitions)
    return {
        "version": SCHEMA_VERSION,
        "kind": "disk",
        "format": disk.format,
        "path": str(disk.path),
        "file_size": disk.path.stat().st_blocks * 512 if disk.path.is_file() else disk.size,
        "size": disk.size,
        "compression": disk.compression,
        "guid": str(table.disk_guid),
        "sector_size": table.sector_size,
        "architecture": starting.architecture(partitions, ways),
        "partitions": [
            {
                "number": entry.number,
                "name": entry.name,
                "type": str(entry.type),
                "meaning": known.get(entry.type),
                "uuid": str(entry.uuid),
                "start": entry.start,
                "size": entry.size,
            }
            for entry in table.entries
        ],
        "ways": ways,
    }


def _partitions(
    disk: Disk, table: gpt.Table, *, types: Collection[UUID] | None = None
) -> list[Partition]:
    """Return the partitions, with what lies in those of ``types``; None: in all."""
    found: list[Partition] = []
    for entry in table.entries:
        look = types is None or entry.type in types
        inside = entry.size > 0 and entry.start + entry.size <= disk.size
        content = filesystems.look(disk, entry.start, entry.size) if look and inside else None
        if look and not inside:
            content = filesystems.Found(type="nothing", note="it lies outside of the disk")
        found.append(Partition(entry, content))
    return found


def _content(part: Partition) -> dict[str, Any] | None:
    found = part.found
    if found is None:
        return None
    return {
        "filesystem": found.type,
        "uuid": found.uuid,
        "label": found.label,
        "size": found.size,
        "free": found.free,
    }


def _table(disk: Disk, *, only_first: bool = False) -> tuple[gpt.Table, str | None]:
    """Return the partition table, with sectors of either size, and what is wrong with it.

    Raises SourceError where there is none.
    """
    failure: VerifyError | None = None
    for parse in (gpt.parse_first,) if only_first else (gpt.parse, gpt.parse_first):
        for sector_size in SECTOR_SIZES:
            try:
                table = parse(disk.read_at, disk.size, sector_size=sector_size)
            except VerifyError as error:
                failure = failure or error
            else:
                doubt = f"its second partition table is not in order: {failure.message}" if (
                    failure is not None and parse is gpt.parse_first
                ) else None  # fmt: skip
                return table, doubt
    assert failure is not None
    raise SourceError(
        f"'{disk.path}' is no disk with a partition table: {failure.message}",
        hint="name a disk file, an installer's medium, or an image reference",
    ) from failure
