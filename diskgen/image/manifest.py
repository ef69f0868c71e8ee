"""Manifests and configs as a registry sends them: untrusted JSON into checked values.

Formats: OCI image specification 1.1 (image index, manifest, config); Docker "Image Manifest
Version 2, Schema 2".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..arch import MACHINES, Machine, find
from ..budgets import CONFIG_BYTES, LAYERS, MANIFEST_BYTES, Budget
from ..documents import DocumentError, is_list, is_table, load_object
from ..errors import SourceError
from ..reference import is_digest

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA1: Final = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_INDEXES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_ZSTD: Final = "io.github.containers.compression.zstd"  # annotation of a manifest in an index
_MANIFESTS: Final = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        DOCKER_MANIFEST,
    }
)
_LAYERS: Final = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A single-platform manifest: its config and its layers."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Platform:
    """One manifest of an index. ``os`` and ``architecture`` are Go's names."""

    os: str
    architecture: str
    variant: str
    descriptor: Descriptor
    name: str  # annotation org.opencontainers.image.ref.name
    stated: bool = True  # the index says which platform it is for
    zstd: bool = False  # the index says that its layers are zstd

    @property
    def spelling(self) -> str:
        """Return it as people write it: ``linux/amd64/v3``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse_any(data: bytes, what: str) -> Manifest | tuple[Platform, ...]:
    """Return a manifest, or the platforms of an index. Raises SourceError naming ``what``."""
    value = _object(data, f"the manifest of '{what}'", MANIFEST_BYTES)
    kind = _text(value, "mediaType", f"the manifest of '{what}'")
    _notes(value, what)
    if not kind:  # optional in OCI: the members tell
        kind = (
            "application/vnd.oci.image.index.v1+json"
            if "manifests" in value
            else "application/vnd.oci.image.manifest.v1+json"
        )
    if value.get("schemaVersion") == 1:
        raise outdated(what)
    if kind in _INDEXES:
        oci = kind != _DOCKER_LIST
        return tuple(_platform(item, what, oci=oci) for item in _list(value, "manifests", what))
    if kind not in _MANIFESTS:
        raise SourceError(f"'{what}' is no container image: its type is '{kind}'")
    config = _descriptor(value.get("config"), what)
    layers = tuple(_descriptor(item, what) for item in _list(value, "layers", what))
    if not layers:
        raise SourceError(f"'{what}' has no layers")
    if len(layers) > LAYERS.limit:
        raise SourceError(f"'{what}' has {LAYERS.exceeded}: {len(layers)}")
    for layer in layers:
        if layer.media_type not in _LAYERS:
            raise SourceError(
                f"layer '{layer.digest}' of '{what}' has the type '{layer.media_type}', "
                "which is no plain, gzip or zstd tar",
                hint=_layer_hint(layer.media_type),
            )
    return Manifest(config, layers)


def parse_config(data: bytes, layers: int, machine: Machine, what: str) -> tuple[str, ...]:
    """Return the diff_ids of a config after checking it. Raises SourceError."""
    value = _object(data, f"the config of '{what}'", CONFIG_BYTES)
    _check_architecture(value.get("architecture"), machine, what)
    rootfs = value.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if is_table(rootfs) else None
    if not is_list(diff_ids) or not all(
        isinstance(item, str) and is_digest(item) for item in diff_ids
    ):
        raise SourceError(f"the config of '{what}' lists no valid diff_ids")
    if len(diff_ids) != layers:
        raise SourceError(
            f"the config of '{what}' lists {len(diff_ids)} diff_ids for {layers} layers"
        )
    _text(value, "created", f"the config of '{what}'")
    inner = value.get("config")
    if inner is not None and not is_table(inner):
        raise SourceError(f"the config of '{what}' is malformed")
    labels = (inner or {}).get("Labels")
    if labels is not None and not (
        is_table(labels) and all(isinstance(item, str) for item in labels.values())
    ):
        raise SourceError(f"the labels of '{what}' are malformed")
    return tuple(diff_ids)


def labels_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of an image's config that was checked."""
    inner = config.get("config")
    labels = inner.get("Labels") if is_table(inner) else None
    return {str(key): str(value) for key, value in labels.items()} if is_table(labels) else {}


def outdated(what: str) -> SourceError:
    """Return the refusal of Docker's schema 1."""
    return SourceError(
        f"'{what}' has a manifest of Docker's schema 1, which holds no verifiable layers",
        hint="copy it in a format of today: skopeo copy --format v2s2 SOURCE docker-archive:FILE, "
        "and name that file",
    )


def _check_architecture(found: object, machine: Machine, what: str) -> None:
    """Refuse an image for another machine, or for one that no client can name."""
    if found == machine.oci:
        return
    row = find(found) if isinstance(found, str) else None
    repair = f"podman build --platform linux/{(row or machine).oci}"
    if not found:
        raise SourceError(
            f"the config of '{what}' lacks 'architecture': it does not say for which machine it is",
            hint=f"build it again with the architecture: {repair}; or write it into the config: "
            f"umoci config --architecture {machine.oci}",
        )
    if row is not None and found != row.oci:
        raise SourceError(
            f"the config of '{what}' has the architecture '{found}', which images call '{row.oci}'",
            hint=f"build it again with that name: {repair}; or write it into the config: "
            f"umoci config --architecture {row.oci}",
        )
    raise SourceError(
        f"'{what}' is an image for '{found}', not for {machine.name} ({machine.oci})",
        hint=f"for that machine: --arch {row.name}"
        if row is not None
        else f"known are: {', '.join(MACHINES)}",
        setting="arch",
    )


def _layer_hint(media_type: str) -> str:
    """Return what to do about a layer that cannot be read."""
    if media_type.endswith("+encrypted"):
        return "decrypt it first: skopeo copy --decryption-key KEY docker://REF oci:DIR:TAG"
    if ".nondistributable." in media_type or ".foreign." in media_type:
        return "it lies outside of its registry (Windows images have such); no machine boots it"
    if "layer" not in media_type and "diff" not in media_type:
        return "an artifact, such as a chart or a signature: name a bootable container image"
    return "build the image again with gzip or zstd layers: podman push --compression-format gzip"


def _object(data: bytes, what: str, limit: Budget) -> dict[str, Any]:
    try:
        return load_object(data, limit)
    except DocumentError as error:
        raise SourceError(f"{what} cannot be used: {error}") from None


def _text(value: dict[str, Any], key: str, what: str) -> str:
    """Return a text that may be missing: empty then."""
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise SourceError(f"{what} is malformed: its '{key}' is no text")
    return found


def _notes(value: dict[str, Any], what: str) -> dict[str, str]:
    """Return the annotations, all of them texts."""
    found = value.get("annotations")
    if found is None:
        return {}
    if not is_table(found) or not all(isinstance(text, str) for text in found.values()):
        raise SourceError(f"the manifest of '{what}' is malformed: its 'annotations' are no texts")
    return found


def _list(value: dict[str, Any], key: str, what: str) -> list[Any]:
    items = value.get(key)
    if not is_list(items):
        raise SourceError(f"the manifest of '{what}' has no list of {key}")
    return items


def _descriptor(value: object, what: str) -> Descriptor:
    if is_table(value):
        media_type, digest, size = (value.get(k) for k in ("mediaType", "digest", "size"))
        if (
            isinstance(media_type, str)
            and isinstance(digest, str)
            and is_digest(digest)
            and isinstance(size, int)
            and not isinstance(size, bool)
            and 0 <= size < 2**50
        ):
            return Descriptor(media_type, digest, size)
    raise SourceError(f"the manifest of '{what}' has a malformed descriptor: {str(value)[:100]}")


def _platform(value: object, what: str, *, oci: bool) -> Platform:
    descriptor = _descriptor(value, what)
    assert is_table(value)
    stated = value.get("platform")
    platform, index = stated or dict[str, Any](), f"the index of '{what}'"
    notes = _notes(value, what)
    if not is_table(platform):
        raise SourceError(f"{index} is malformed: its 'platform' is no object")
    return Platform(
        _text(platform, "os", index),
        _text(platform, "architecture", index),
        _text(platform, "variant", index),
        descriptor,
        _text(notes, "org.opencontainers.image.ref.name", index),
        stated=stated is not None or not oci,  # Docker's lists have no way to leave it out
        zstd=oci and notes.get(_ZSTD) == "true",
    )
