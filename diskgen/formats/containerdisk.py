"""containerdisk: KubeVirt's disk, a container image that holds one qcow2, as an archive of OCI's.

Formats: KubeVirt's user guide, "containerDisk" (the file lies in ``/disk`` and belongs to user
107, who is QEMU there); OCI image specification 1.0, "Image Layout", "Image Layer", without
compression: the qcow2 has its own. The layer comes first in the archive, whose other files tell
its size and digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

from ..arch import MACHINES
from ..config import Request
from ..events import Emit, step
from ..units import MIB, format_size
from . import qcow2, ustar
from .pieces import bytes_read

_QEMU: Final = 107  # user and group
_FOLDER: Final = "disk"
# Of the archive. Where they are not in it, skopeo makes them, root's, which is root's to do.
_FOLDERS: Final = ("blobs", "blobs/sha256")
_IMAGE: Final = "application/vnd.oci.image"
_MANIFEST: Final = f"{_IMAGE}.manifest.v1+json"

Descriptor = dict[str, Any]  # of OCI's: mediaType, digest, size


class Containerdisk:
    """An OCI image with one qcow2 below ``/disk``."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,
        identity: UUID,  # noqa: ARG002 - the format has none
        emit: Emit,
    ) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        assert request.output is not None
        stem = ustar.plain(request.output.name.removesuffix(".tar").removesuffix(".containerdisk"))
        with step(emit, "convert", "Writing the container disk", unit="bytes") as phase:
            with output.open("x+b") as file:
                phase.total = bytes_read(disk, qcow2.CLUSTER)
                for name in _FOLDERS:
                    file.write(ustar.member(f"{name}/", 0, mode=0o755, kind=ustar.DIRECTORY))
                start = file.tell()
                file.seek(start + ustar.BLOCK)
                layer = _layer(file, disk, f"{stem or 'disk'}.qcow2", request, phase.advance)
                for name, data in _files(layer, request.arch):
                    file.write(ustar.small_file(name, data))
                file.write(ustar.ending(file.tell()))
                file.seek(start)
                file.write(ustar.member(_blob(layer["digest"]), layer["size"]))
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Containerdisk()


def _layer(
    file: BinaryIO, disk: Path, name: str, request: Request, advance: Callable[[int], None]
) -> Descriptor:
    """Write the layer from a file's place on, and leave the place behind it."""
    start = file.tell()
    file.write(ustar.member(f"{_FOLDER}/", 0, mode=0o555, owner=_QEMU, kind=ustar.DIRECTORY))
    file.seek(ustar.BLOCK, os.SEEK_CUR)
    size = qcow2.pour(disk, file, request.packing, advance)
    file.write(bytes(ustar.filling(size)))
    file.write(ustar.ending(file.tell() - start))
    end = file.tell()
    file.seek(start + ustar.BLOCK)
    file.write(ustar.member(f"{_FOLDER}/{name}", size, mode=0o440, owner=_QEMU))
    digest = hashlib.sha256()
    file.seek(start)
    while left := end - file.tell():
        digest.update(file.read(min(left, MIB)))
    return {
        "mediaType": f"{_IMAGE}.layer.v1.tar",
        "digest": f"sha256:{digest.hexdigest()}",
        "size": end - start,
    }


def _files(layer: Descriptor, arch: str) -> Iterator[tuple[str, bytes]]:
    """Yield what the archive holds beside the layer."""
    machine = MACHINES[arch]
    platform = {"architecture": machine.oci, "os": "linux"}
    if machine.variant:
        platform["variant"] = machine.variant
    config = _json(
        {**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    )
    told = _described(f"{_IMAGE}.config.v1+json", config)
    manifest = _json(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": told, "layers": [layer]}
    )
    listed = _described(_MANIFEST, manifest)
    entry = {**listed, "platform": platform}
    yield _blob(told["digest"]), config
    yield _blob(listed["digest"]), manifest
    yield "index.json", _json({"schemaVersion": 2, "manifests": [entry]})
    yield "oci-layout", _json({"imageLayoutVersion": "1.0.0"})


def _described(kind: str, data: bytes) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
