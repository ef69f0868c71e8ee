"""From a reference to an image whose blobs are on this machine, pinned by digest."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..arch import Machine
from ..budgets import CONFIG_BYTES, MANIFEST_BYTES
from ..config import AccessOptions
from ..documents import load_object
from ..errors import SourceError
from ..events import Emit, Step, step
from ..reference import ImageRef
from ..units import format_size
from ..workspace import neutral
from .complaints import NotFound
from .content import matching, sha256, verified
from .manifest import DOCKER_MANIFEST, Manifest, parse_any, parse_config
from .model import Image, Layer
from .ocilayout import in_place, locate, locate_in_tar, nested
from .platforms import Choice, choose, override
from .skopeo import accepts_anything, skopeo
from .store import Store

# [driver@root+runroot]NAME:TAG@DIGEST, as containers-storage(5) has it
_STORED: Final = re.compile(r"(?P<where>\[[^]]*\])?(?P<name>[^@]*?)(?P<tag>:\w[\w.-]*)?(@.*)?")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A reference made definite: one platform's manifest, verified, and where it is."""

    ref: ImageRef  # as given
    pinned: ImageRef  # what to copy: by digest where the transport can
    digest: str
    manifest: bytes
    parsed: Manifest
    config: bytes | None  # None: comes with the blobs
    choice: Choice | None  # None: there was no index to choose from


def fetch(
    ref: ImageRef, machine: Machine, access: AccessOptions, store: Store, emit: Emit
) -> Image:
    """Return the image for one architecture, all its blobs on this machine.

    Blobs that the cache has are not fetched again. Nothing is trusted yet but the manifest and the
    config, whose digests are verified here; layers are verified when they are read. Raises
    SourceError, HostError or ToolError.
    """
    with step(emit, "fetch", "Fetching the image", unit="bytes") as phase:
        if ref.transport == "oci" and accepts_anything(access):
            image = in_place(ref, machine)
            sizes = format_size(sum(layer.size for layer in image.layers))
            phase.detail = f"{len(image.layers)} layers, {sizes}, in place" + _taken(image.platform)
            store.record(image)
            return image
        if ref.transport in ("docker", "dir"):
            return _copied(_resolve(ref, machine, access), machine, access, store, phase)
        return _converted(ref, machine, access, store, phase)


def _taken(platform: str) -> str:
    return f"; of its index {platform}" if platform else ""


@dataclass(frozen=True, slots=True)
class Description:
    """What an image says of itself: its manifest's digest, the manifest and the config's bytes."""

    digest: str
    manifest: Manifest
    config: bytes
    platform: str = ""  # the one of an index that was taken: linux/amd64/v3; "" without an index
    warnings: tuple[str, ...] = ()


def describe(ref: ImageRef, machine: Machine, access: AccessOptions) -> Description:
    """Return an image's manifest and config for one architecture; no layer is fetched.

    Raises SourceError, HostError or ToolError.
    """
    local = None
    if ref.transport == "oci":
        local = locate(ref, machine)
    elif ref.transport == "oci-archive":
        local = locate_in_tar(ref, machine)
    if local is not None:
        return _described(local.digest, local.parsed, local.config, local.choice)
    found = _resolve(ref, machine, access)
    config = found.config
    if config is None:
        what = ref.short
        argv = ["--config", "--raw", str(found.pinned)]
        config = skopeo("inspect", argv, access, what=what, options=override(machine)).stdout
        parse_config(config, len(found.parsed.layers), machine, what)
    return _described(found.digest, found.parsed, config, found.choice)


def _described(digest: str, parsed: Manifest, config: bytes, choice: Choice | None) -> Description:
    if choice is None:
        return Description(digest, parsed, config)
    return Description(digest, parsed, config, choice.spelling, choice.warnings)


def _resolve(ref: ImageRef, machine: Machine, access: AccessOptions) -> Resolved:
    what = ref.short
    data = _raw(ref, access, what)
    digest = sha256(data)
    if ref.digest is not None:
        matching(data, ref.digest, what)
    parsed = parse_any(data, what)
    pinned = ref.at(digest) if ref.is_registry else ref
    choice = None
    if isinstance(parsed, tuple):
        choice = choose(parsed, machine, what)
        digest = choice.platform.descriptor.digest
        pinned, data = _instance(ref, choice, machine, access)
        parsed = parse_any(matching(data, digest, what), what)
        if isinstance(parsed, tuple):
            raise nested(what)
    config = None
    if ref.is_registry:
        config = skopeo("inspect", ["--config", "--raw", str(pinned)], access, what=what).stdout
    elif ref.transport == "dir":  # skopeo would give it converted
        config = verified(
            _in_directory(ref, parsed.config.digest), parsed.config.digest, CONFIG_BYTES
        )
    if config is not None:
        matching(config, parsed.config.digest, what)
        parse_config(config, len(parsed.layers), machine, what)  # refuse before layers are fetched
    return Resolved(ref, pinned, digest, data, parsed, config, choice)


def _instance(
    ref: ImageRef, choice: Choice, machine: Machine, access: AccessOptions
) -> tuple[ImageRef, bytes]:
    """Return how the chosen image of an index is named, and its manifest."""
    what = ref.short
    digest = choice.platform.descriptor.digest
    if ref.is_registry:
        pinned = ref.at(digest)
        return pinned, _raw(pinned, access, what)
    if ref.transport == "dir":
        path = _in_directory(ref, digest, ".manifest.json")
        return ref, verified(path, digest, MANIFEST_BYTES)
    if ref.transport == "containers-storage":
        match = _STORED.fullmatch(ref.name)
        if match is not None and match["name"]:
            pinned = replace(ref, name=f"{match['where'] or ''}{match['name']}@{digest}")
            try:
                return pinned, _raw(pinned, access, what)
            except NotFound:
                pass
    raise SourceError(
        f"'{what}' is a manifest list, and its image for {choice.spelling} is not stored under "
        "that name",
        hint=f"name the image itself, as 'podman images' has it, or fetch it: podman pull --arch "
        f"{machine.oci} REF",
    )


def _in_directory(ref: ImageRef, digest: str, suffix: str = "") -> Path:
    return Path(ref.name) / (digest.removeprefix("sha256:") + suffix)


def _copied(
    image: Resolved, machine: Machine, access: AccessOptions, store: Store, phase: Step
) -> Image:
    wanted = {layer.digest: layer.size for layer in image.parsed.layers}
    present = {digest for digest in wanted if store.blob(digest).is_file()}
    missing = sum(size for digest, size in wanted.items() if digest not in present)
    phase.total = missing
    with store.scratch() as scratch:

        def poll() -> None:
            done = sum(
                size
                for digest, size in wanted.items()
                if digest not in present and store.blob(digest).is_file()
            )
            phase.update(done + _partial_bytes(scratch))

        _copy(image.pinned, scratch, machine, access, store, what=image.ref.short, poll=poll)
    phase.update(missing)
    cached = sum(wanted.values()) - missing
    phase.detail = f"{len(image.parsed.layers)} layers, {format_size(missing)} fetched" + (
        f", {format_size(cached)} were in the cache" if cached else ""
    )
    phase.detail += _taken(image.choice.spelling if image.choice else "")
    assert image.config is not None
    made = _image(
        image.ref, machine, image.digest, image.manifest, image.parsed, image.config, store,
        image.choice,
    )  # fmt: skip
    store.record(made)
    return made


def _converted(
    ref: ImageRef, machine: Machine, access: AccessOptions, store: Store, phase: Step
) -> Image:
    """Fetch from a source that keeps no registry manifest: the converted one stands for it."""
    what = ref.short
    pinned, choice = ref, None
    if ref.transport == "oci-archive":
        local = locate_in_tar(ref, machine)
        if local is not None:
            choice = local.choice
            if choice is None and local.media_type == DOCKER_MANIFEST:
                raise SourceError(
                    f"'{what}' is an OCI archive with a manifest of Docker's schema 2, which no "
                    "client finds in it",
                    hint="make the archive again without --format, or as a docker-archive",
                )
    elif ref.transport == "containers-storage":
        resolved = _resolve(ref, machine, access)
        pinned, choice = resolved.pinned, resolved.choice
    with store.scratch() as scratch:

        def poll() -> None:
            phase.update(_partial_bytes(scratch))

        _copy(pinned, scratch, machine, access, store, what=what, poll=poll)
        listed = load_object((scratch / "layout/index.json").read_bytes(), MANIFEST_BYTES)
        digest = listed["manifests"][0]["digest"]
        data = verified(store.blob(digest), digest, MANIFEST_BYTES)
    parsed = parse_any(data, what)
    assert isinstance(parsed, Manifest)
    config = verified(store.blob(parsed.config.digest), parsed.config.digest, CONFIG_BYTES)
    made = _image(ref, machine, digest, data, parsed, config, store, choice)
    store.record(made)
    sizes = format_size(sum(layer.size for layer in made.layers))
    phase.detail = f"{len(made.layers)} layers, {sizes}" + _taken(made.platform)
    return made


def _copy(
    ref: ImageRef,
    scratch: Path,
    machine: Machine,
    access: AccessOptions,
    store: Store,
    *,
    what: str,
    poll: Callable[[], None],
) -> None:
    """Have skopeo bring all blobs into the store, as they are; what is there is not fetched."""
    with neutral(scratch) as place, neutral(store.blobs) as blobs:
        argv: list[str | Path] = [
            "--remove-signatures",  # they are verified on the way; a layout cannot hold them
            "--dest-oci-accept-uncompressed-layers",
            "--dest-shared-blob-dir", blobs,
            str(ref), f"oci:{place}/layout:image",
        ]  # fmt: skip
        skopeo("copy", argv, access, what=what, poll=poll, options=override(machine))


def _image(
    ref: ImageRef,
    machine: Machine,
    digest: str,
    manifest: bytes,
    parsed: Manifest,
    config: bytes,
    store: Store,
    choice: Choice | None,
) -> Image:
    diff_ids = parse_config(config, len(parsed.layers), machine, ref.short)
    layers = tuple(
        Layer(d.digest, diff_id, d.size, d.media_type, store.blob(d.digest))
        for d, diff_id in zip(parsed.layers, diff_ids, strict=True)
    )
    return Image(
        ref, machine.name, digest, manifest, config, layers,
        platform=choice.spelling if choice else "",
        warnings=choice.warnings if choice else (),
    )  # fmt: skip


def _raw(ref: ImageRef, access: AccessOptions, what: str) -> bytes:
    return skopeo("inspect", ["--raw", str(ref)], access, what=what).stdout


def _partial_bytes(scratch: Path) -> int:
    total = 0
    for path in scratch.rglob("oci-put-blob*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
