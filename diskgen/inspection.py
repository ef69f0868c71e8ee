"""Look into an image or a finished disk: facts as JSON values, and for people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .arch import MACHINES, Machine
from .budgets import CONFIG_BYTES
from .config import SECTOR_SIZES, AccessOptions
from .disk import gpt
from .documents import load_object
from .errors import SourceError, VerifyError
from .events import Emit, step
from .formats import qcow2_reader
from .image import fetch
from .ostree import encapsulated
from .reference import ImageRef
from .terminal import page
from .units import format_size

SCHEMA_VERSION = 1


def of_image(ref: ImageRef, machine: Machine, access: AccessOptions, emit: Emit) -> dict[str, Any]:
    """Return what an image says of itself; its layers are not fetched. Raises SourceError."""
    with step(emit, "inspect", "Asking for the manifest"):
        found = fetch.describe(ref, machine, access)
    config = load_object(found.config, CONFIG_BYTES)
    labels = (config.get("config") or {}).get("Labels") or {}
    return {
        "version": SCHEMA_VERSION,
        "kind": "image",
        "reference": str(ref),
        "digest": found.digest,
        "architecture": machine.name,
        "platform": found.platform or None,
        "warnings": list(found.warnings),
        "created": config.get("created"),
        "bootable": "containers.bootc" in labels or "ostree.bootable" in labels,
        "encapsulated": encapsulated.LABEL in labels,
        "size": sum(layer.size for layer in found.manifest.layers),
        "layers": [
            {"digest": layer.digest, "size": layer.size, "type": layer.media_type}
            for layer in found.manifest.layers
        ],
        "labels": labels,
    }


def of_disk(path: Path) -> dict[str, Any]:
    """Return what is on a raw or qcow2 disk file. Raises SourceError for anything else."""
    with path.open("rb") as file:
        magic = file.read(4)
    facts: dict[str, Any] = {
        "version": SCHEMA_VERSION,
        "kind": "disk",
        "format": "raw",
        "path": str(path),
        "file_size": path.stat().st_blocks * 512,
    }
    if magic == qcow2_reader.MAGIC:
        with qcow2_reader.opened(path) as disk:
            facts |= {"format": "qcow2", "size": disk.size, "compression": disk.compression}
            table = _table(path, disk.read_at, disk.size)
    else:
        facts["size"] = path.stat().st_size
        with path.open("rb") as file:

            def read_at(offset: int, length: int) -> bytes:
                return os.pread(file.fileno(), length, offset)

            table = _table(path, read_at, facts["size"])
    known = {row.root_type: f"root of {row.name}" for row in MACHINES.values()}
    return facts | {
        "guid": str(table.disk_guid),
        "sector_size": table.sector_size,
        "architecture": next(
            (
                row.name
                for row in MACHINES.values()
                for e in table.entries
                if e.type == row.root_type
            ),
            None,
        ),
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
    }


def _table(path: Path, read_at: gpt.ReadAt, size: int) -> gpt.Table:
    """Return the partition table of a disk with sectors of either size. Raises SourceError."""
    failure: VerifyError | None = None
    for sector_size in SECTOR_SIZES:
        try:
            return gpt.parse(read_at, size, sector_size=sector_size)
        except VerifyError as error:
            failure = failure or error
    assert failure is not None
    raise SourceError(
        f"'{path}' is no disk with a partition table: {failure.message}",
        hint="name a raw or qcow2 disk file, or an image reference",
    ) from failure


def to_text(facts: dict[str, Any]) -> str:
    """Return either kind of facts for people."""
    if facts["kind"] == "image":
        lines = [
            f"image         {facts['reference']}",
            f"digest        {facts['digest']}",
            f"architecture  {facts['architecture']}"
            + (f", {facts['platform']} of an index" if facts["platform"] else ""),
            f"created       {facts['created'] or '-'}",
            f"bootable      {'yes' if facts['bootable'] else 'no'}"
            + (" (encapsulated ostree commit)" if facts["encapsulated"] else ""),
            f"size          {format_size(facts['size'])} compressed",
            "layers",
        ]
        lines += [
            f"  {layer['digest'][:19]}  {format_size(layer['size']):>10}  "
            f"{layer['type'].rpartition('.')[2]}"
            for layer in facts["layers"]
        ]
        lines.append("labels")
        lines += [f"  {key}={value}" for key, value in sorted(facts["labels"].items())]
        lines += [f"warning: {warning}" for warning in facts["warnings"]]
        return page(lines)
    lines = [
        f"disk          {facts['path']}",
        f"format        {facts['format']}"
        + (f", {facts['compression']}" if facts.get("compression") else ""),
        f"size          {format_size(facts['size'])}, of which the file holds "
        f"{format_size(facts['file_size'])}, sectors of {facts['sector_size']} bytes",
        f"architecture  {facts['architecture'] or '-'}",
    ]
    if facts["partitions"]:
        lines.append("partitions")
    lines += [
        f"  {part['number']:<3} {part['name']:<11} {format_size(part['size']):>10}  {part['uuid']}"
        for part in facts["partitions"]
    ]
    return page(lines)
