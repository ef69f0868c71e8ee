"""The commits bootc finds its image by: one of the merged tree, one of each layer.

Metadata keys: ostree-ext's ``container`` module. A reader parses the JSON strings and does not
hash them, so any compact dump serves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..documents import is_table
from ..errors import SourceError
from ..image.model import Image
from ..tree import Directory
from .objects import ObjectSet

IMPORTER_VERSION: Final = "0.15.3"  # of the ostree-ext whose keys these are
_CREATED: Final = "org.opencontainers.image.created"
_IMPORTER: Final = "ostree.importer.version"
# Docker's media types, as clients of a registry turn them into OCI's on the way.
_OCI_TYPES: Final = {
    "application/vnd.docker.distribution.manifest.v2+json": (
        "application/vnd.oci.image.manifest.v1+json"
    ),
    "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ),
    "application/vnd.docker.image.rootfs.diff.tar.zstd": (
        "application/vnd.oci.image.layer.v1.tar+zstd"
    ),
}


def merge_commit(
    objects: ObjectSet, merged: Directory, image: Image, timestamp: int, parent: bytes = b""
) -> bytes:
    """Add the commit of the merged tree; return its checksum. Raises SourceError for odd JSON.

    ``parent`` is the checksum of the commit that an encapsulated image is derived from.
    """
    metadata = {
        "ostree.container.image-config": canonical_json(image.config_json),
        _IMPORTER: IMPORTER_VERSION,
        "ostree.manifest": canonical_json(_as_oci(image.manifest_json)),
        "ostree.manifest-digest": image.digest,
    }
    return objects.add_commit(merged, timestamp=timestamp, metadata=metadata, parent=parent)


def layer_commit(objects: ObjectSet, tree: Directory, timestamp: int) -> bytes:
    """Add the commit of one layer, whiteouts and all; return its checksum."""
    return objects.add_commit(tree, timestamp=timestamp, metadata={_IMPORTER: IMPORTER_VERSION})


def image_timestamp(image: Image) -> int:
    """Return when the image was made, in seconds since 1970; 0 where it does not say."""
    return timestamp_of(image.manifest_json, image.config_json)


def timestamp_of(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Return the same by the image's manifest and config.

    The manifest's annotation goes before the config's member; dates are RFC 3339.
    """
    notes = manifest.get("annotations")
    annotated = notes.get(_CREATED) if is_table(notes) else None
    for value in (annotated, config.get("created")):
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            continue
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, math.floor(aware.timestamp()))
    return 0


def canonical_json(value: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys and no blanks. Raises SourceError for text no reader accepts."""
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except (ValueError, RecursionError):  # half a surrogate pair, infinity
        raise SourceError(
            "the image's manifest or config holds text or numbers that JSON has no form for"
        ) from None
    return text


def _as_oci(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with OCI's media types for Docker's."""

    def typed(item: Mapping[str, Any]) -> dict[str, Any]:
        found = item.get("mediaType")
        return {**item, "mediaType": _OCI_TYPES.get(str(found), found)} if found else dict(item)

    return {
        **typed(manifest),
        "config": typed(manifest["config"]),
        "layers": [typed(layer) for layer in manifest["layers"]],
    }
