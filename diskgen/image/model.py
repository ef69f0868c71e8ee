"""An image as it was fetched: one platform's manifest, its config, its layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..budgets import CONFIG_BYTES, MANIFEST_BYTES
from ..documents import load_object
from ..errors import SourceError
from ..reference import ImageRef
from .manifest import labels_of


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; ``blob`` is the compressed file in the cache or in a local OCI layout.

    ``digest`` and ``size`` (bytes) are the blob's, ``diff_id`` is the digest of the tar inside.
    """

    digest: str
    diff_id: str
    size: int
    media_type: str
    blob: Path


@dataclass(frozen=True, slots=True)
class Image:
    """A single-platform image; ``manifest`` and ``config`` are the bytes the registry has."""

    ref: ImageRef
    arch: str
    digest: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    platform: str = ""  # the one of an index that was taken: linux/amd64/v3; "" without an index
    warnings: tuple[str, ...] = ()

    def check_sizes(self) -> None:
        """Raise BrokenBlob for a layer that is not as long as its manifest says."""
        for layer in self.layers:
            try:
                found = layer.blob.stat().st_size
            except OSError as error:
                raise BrokenBlob(layer.digest, f"it cannot be read: {error.strerror}") from error
            if found != layer.size:
                reason = f"it has {found} bytes, its manifest says {layer.size}"
                raise BrokenBlob(layer.digest, reason)

    @property
    def manifest_json(self) -> dict[str, Any]:
        return load_object(self.manifest, MANIFEST_BYTES)

    @property
    def config_json(self) -> dict[str, Any]:
        return load_object(self.config, CONFIG_BYTES)

    @property
    def labels(self) -> dict[str, str]:
        return labels_of(self.config_json)


class BrokenBlob(SourceError):  # noqa: N818 - the state of a file, which may be ours to repair
    """A blob is not what its digest says: truncated, corrupt or replaced."""

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__(
            f"layer '{digest}' is broken: {reason}", hint="push the image again, it cannot be used"
        )
        self.digest = digest
