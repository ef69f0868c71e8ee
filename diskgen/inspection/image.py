"""What an image says of itself; its layers are not fetched."""

from __future__ import annotations

from typing import Any

from ..arch import Machine
from ..budgets import CONFIG_BYTES
from ..config import AccessOptions
from ..documents import load_object
from ..events import Emit, step
from ..image import fetch, local
from ..image.manifest import labels_of
from ..ostree import encapsulated
from ..reference import ImageRef
from . import SCHEMA_VERSION


def of_image(ref: ImageRef, machine: Machine, access: AccessOptions, emit: Emit) -> dict[str, Any]:
    """Return what an image says of itself; its layers are not fetched. Raises SourceError."""
    ref = local.find(ref, access, emit)
    with step(emit, "inspect", "Asking for the manifest"):
        found = fetch.describe(ref, machine, access)
    config = load_object(found.config, CONFIG_BYTES)
    labels = labels_of(config)
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
