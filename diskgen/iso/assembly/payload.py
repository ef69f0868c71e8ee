"""The container image on a medium: an OCI layout whose blobs are the registry's own.

Format: OCI Image Format Specification 1.1, "Image Layout". Manifest and blobs keep their bytes, so
that an installed machine knows the layers it was installed from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...image.model import BrokenBlob, Image
from ...tree import Directory, File, Packed, pieces, regular

_VERSION: Final = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_REF_NAME: Final = "org.opencontainers.image.ref.name"


def layout(image: Image, tag: str | None = None) -> Directory:
    """Return an image as an OCI layout, its only one and by ``tag`` where one is given.

    Contents of layers stay where they are; whoever writes the tree reads them there.
    """
    root = Directory()
    blobs = root.make_dirs("blobs/sha256")
    config_digest = hashlib.sha256(image.config).hexdigest()
    blobs.add(image.digest.removeprefix("sha256:"), regular(image.manifest))
    blobs.add(config_digest, regular(image.config))
    for layer in image.layers:
        blobs.add(layer.digest.removeprefix("sha256:"), _blob(layer.blob, layer.size))
    descriptor: dict[str, object] = {
        "mediaType": image.manifest_json.get("mediaType", _MANIFEST_TYPE),
        "digest": image.digest,
        "size": len(image.manifest),
    }
    if tag is not None:
        descriptor["annotations"] = {_REF_NAME: tag}
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [descriptor]}
    root.add("index.json", regular(json.dumps(index, sort_keys=True).encode()))
    root.add("oci-layout", regular(_VERSION))
    return root


def verify(root: Directory, advance: Callable[[int], None]) -> None:
    """Read every blob of a layout and compare it with its name. Raises BrokenBlob.

    A local layout's layers may have changed since they were indexed.
    """
    blobs = root.get_dir("blobs/sha256")
    for raw, node in blobs.entries.items() if blobs is not None else ():
        assert isinstance(node, File)
        assert node.content is not None
        digest = hashlib.sha256()
        try:
            for piece in pieces(node.content):
                digest.update(piece)
                advance(len(piece))
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
            raise BrokenBlob(f"sha256:{raw.decode()}", reason) from error
        if digest.hexdigest() != raw.decode():
            raise BrokenBlob(f"sha256:{raw.decode()}", "its content is not what its name says")


def _blob(path: Path, size: int) -> File:
    extents = ((0, size, 0),) if size else ()
    return File(mode=0o100644, content=Packed(path, size, extents))
