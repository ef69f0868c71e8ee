"""From a reference to an image whose blobs are on this machine, pinned by digest."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..arch import Machine
from ..budgets import CONFIG_BYTES, MANIFEST_BYTES, Budget
from ..config import AccessOptions
from ..documents import load_object
from ..errors import SourceError
from ..events import Emit, Step, step
from ..reference import ImageRef
from ..units import format_size
from ..workspace import neutral
from .manifest import Manifest, choose, parse_any, parse_config
from .model import Image, Layer
from .skopeo import skopeo
from .store import Store


@dataclass(frozen=True, slots=True)
class Resolved:
    """A reference made definite: one platform's manifest, verified, and where it is."""

    ref: ImageRef  # as given
    pinned: ImageRef  # what to copy: by digest where the transport can
    digest: str
    manifest: bytes
    parsed: Manifest
    config: bytes | None  # None: comes with the blobs


def fetch(
    ref: ImageRef, machine: Machine, access: AccessOptions, store: Store, emit: Emit
) -> Image:
    """Return the image for one architecture, all its blobs on this machine.

    Blobs that the cache has are not fetched again. Nothing is trusted yet but the manifest and the
    config, whose digests are verified here; layers are verified when they are read. Raises
    SourceError, HostError or ToolError.
    """
    with step(emit, "fetch", "Fetching the image", unit="bytes") as phase:
        if ref.transport == "oci" and _accepts_anything(access):
            image = _in_place(ref, machine, phase)
            store.record(image)
            return image
        if ref.transport in ("docker", "dir"):
            return _copied(_resolve(ref, machine, access), machine, access, store, phase)
        return _converted(ref, machine, access, store, phase)


@dataclass(frozen=True, slots=True)
class Description:
    """What an image says of itself: its manifest's digest, the manifest and the config's bytes."""

    digest: str
    manifest: Manifest
    config: bytes


def describe(ref: ImageRef, machine: Machine, access: AccessOptions) -> Description:
    """Return an image's manifest and config for one architecture; no layer is fetched.

    Raises SourceError, HostError or ToolError.
    """
    if ref.transport == "oci":
        local = _locate(ref, machine)
        return Description(local.digest, local.parsed, local.config)
    found = _resolve(ref, machine, access)
    config = found.config
    if config is None:
        what = ref.short
        config = skopeo("inspect", ["--config", "--raw", str(ref)], access, what=what).stdout
        parse_config(config, len(found.parsed.layers), machine, what)
    return Description(found.digest, found.parsed, config)


def _resolve(ref: ImageRef, machine: Machine, access: AccessOptions) -> Resolved:
    what = ref.short
    data = _raw(ref, access, what)
    digest = _sha256(data)
    if ref.digest is not None and digest != ref.digest:
        raise _mismatch(what, ref.digest, digest)
    parsed = parse_any(data, what)
    pinned = ref.at(digest) if ref.is_registry else ref
    if isinstance(parsed, tuple):
        if not ref.is_registry:
            raise SourceError(f"'{what}' is an index without its images")
        wanted = choose(parsed, machine, what)
        pinned = ref.at(wanted.digest)
        data = _raw(pinned, access, what)
        digest = _sha256(data)
        if digest != wanted.digest:
            raise _mismatch(what, wanted.digest, digest)
        parsed = parse_any(data, what)
        if isinstance(parsed, tuple):
            raise SourceError(f"'{what}' has an index inside its index")
    config = None
    if ref.is_registry:
        config = skopeo("inspect", ["--config", "--raw", str(pinned)], access, what=what).stdout
        if _sha256(config) != parsed.config.digest:
            raise _mismatch(what, parsed.config.digest, _sha256(config))
        parse_config(config, len(parsed.layers), machine, what)  # refuse before layers are fetched
    return Resolved(ref, pinned, digest, data, parsed, config)


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
    config = image.config
    if config is None:
        config = _verified(
            store.blob(image.parsed.config.digest), image.parsed.config.digest, CONFIG_BYTES
        )
    made = _image(image.ref, machine, image.digest, image.manifest, image.parsed, config, store)
    store.record(made)
    return made


def _converted(
    ref: ImageRef, machine: Machine, access: AccessOptions, store: Store, phase: Step
) -> Image:
    """Fetch from a source that keeps no registry manifest: the converted one stands for it."""
    what = ref.short
    with store.scratch() as scratch:

        def poll() -> None:
            phase.update(_partial_bytes(scratch))

        _copy(ref, scratch, machine, access, store, what=what, poll=poll)
        listed = load_object((scratch / "layout/index.json").read_bytes(), MANIFEST_BYTES)
        digest = listed["manifests"][0]["digest"]
        data = _verified(store.blob(digest), digest, MANIFEST_BYTES)
    parsed = parse_any(data, what)
    assert isinstance(parsed, Manifest)
    config = _verified(store.blob(parsed.config.digest), parsed.config.digest, CONFIG_BYTES)
    made = _image(ref, machine, digest, data, parsed, config, store)
    store.record(made)
    phase.detail = f"{len(made.layers)} layers, {format_size(sum(x.size for x in made.layers))}"
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
    platform = ["--override-arch", machine.oci, "--override-os", "linux"]
    with neutral(scratch) as place, neutral(store.blobs) as blobs:
        argv: list[str | Path] = [
            "--remove-signatures",  # they are verified on the way; a layout cannot hold them
            "--dest-oci-accept-uncompressed-layers",
            "--dest-shared-blob-dir", blobs,
            str(ref), f"oci:{place}/layout:image",
        ]  # fmt: skip
        skopeo("copy", argv, access, what=what, poll=poll, options=platform)


@dataclass(frozen=True, slots=True)
class _Local:
    """One platform's image in an OCI layout, its manifest and config verified."""

    directory: Path
    digest: str
    data: bytes
    parsed: Manifest
    config: bytes


def _in_place(ref: ImageRef, machine: Machine, phase: Step) -> Image:
    """Read an OCI layout where it is: no copy is made of what is local already."""
    local = _locate(ref, machine)
    diff_ids = parse_config(local.config, len(local.parsed.layers), machine, ref.short)
    layers = tuple(
        Layer(d.digest, diff_id, d.size, d.media_type, _inside(local.directory, d.digest))
        for d, diff_id in zip(local.parsed.layers, diff_ids, strict=True)
    )
    for layer in layers:
        if not layer.blob.is_file():
            raise SourceError(f"'{local.directory}' lacks layer '{layer.digest}'")
        if not os.access(layer.blob, os.R_OK):
            raise SourceError(f"'{layer.blob}' cannot be read: {os.strerror(errno.EACCES)}")
    phase.detail = f"{len(layers)} layers, {format_size(sum(x.size for x in layers))}, in place"
    return Image(ref, machine.name, local.digest, local.data, local.config, layers)


def _locate(ref: ImageRef, machine: Machine) -> _Local:
    """Find an image in an OCI layout. Raises SourceError."""
    try:
        return _found(ref, machine)
    except OSError as error:
        raise SourceError(
            f"'{ref.short}' cannot be read: '{error.filename}': {error.strerror}",
            hint="whoever runs diskgen must be able to read all of the layout",
        ) from error


def _found(ref: ImageRef, machine: Machine) -> _Local:
    directory, tag = _layout_path(ref)
    what = ref.short
    if not (directory / "index.json").is_file():
        raise SourceError(f"'{directory}' is no OCI layout: it has no index.json")
    platforms = parse_any(_small(directory / "index.json"), what)
    if not isinstance(platforms, tuple):
        raise SourceError(f"'{directory}' is no OCI layout: its index.json lists no manifests")
    named = [p for p in platforms if not tag or p.name == tag]
    if not named or (len(named) > 1 and not tag):
        tags = ", ".join(sorted({p.name for p in platforms if p.name})) or "none"
        raise SourceError(
            f"'{what}' names {'no' if not named else 'more than one'} image of the layout",
            hint=f"its tags are: {tags}",
        )
    descriptor = named[0].descriptor if len(named) == 1 else choose(tuple(named), machine, what)
    for _level in range(3):
        data = _verified(_inside(directory, descriptor.digest), descriptor.digest, MANIFEST_BYTES)
        parsed = parse_any(data, what)
        if isinstance(parsed, Manifest):
            break
        descriptor = choose(parsed, machine, what)
    else:
        raise SourceError(f"'{what}' nests indexes too deeply")
    config = _verified(_inside(directory, parsed.config.digest), parsed.config.digest, CONFIG_BYTES)
    parse_config(config, len(parsed.layers), machine, what)
    return _Local(directory, descriptor.digest, data, parsed, config)


def _image(
    ref: ImageRef,
    machine: Machine,
    digest: str,
    manifest: bytes,
    parsed: Manifest,
    config: bytes,
    store: Store,
) -> Image:
    diff_ids = parse_config(config, len(parsed.layers), machine, ref.short)
    layers = tuple(
        Layer(d.digest, diff_id, d.size, d.media_type, store.blob(d.digest))
        for d, diff_id in zip(parsed.layers, diff_ids, strict=True)
    )
    return Image(ref, machine.name, digest, manifest, config, layers)


def _accepts_anything(access: AccessOptions) -> bool:
    """Say whether the signature policy in force accepts every OCI layout.

    Only then may a layout be read without skopeo, which would enforce the policy. The files and
    their order are those of containers-policy.json(5).
    """
    candidates = (
        [access.policy]
        if access.policy
        else [
            Path("~/.config/containers/policy.json").expanduser(),
            Path("/etc/containers/policy.json"),
        ]
    )
    for path in candidates:
        if path.is_file():
            try:
                policy = load_object(path.read_bytes())
                return bool(
                    policy["default"] == [{"type": "insecureAcceptAnything"}]
                    and "oci" not in policy.get("transports", {})
                )
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return False
    return False


def _layout_path(ref: ImageRef) -> tuple[Path, str]:
    path, _colon, tag = ref.name.partition(":")
    return Path(path), tag


def _inside(directory: Path, digest: str) -> Path:
    """Return the path of a layout's blob; a link out of the layout is refused."""
    path = directory / "blobs" / digest.replace(":", "/", 1)
    if not path.resolve().is_relative_to(directory.resolve()):
        raise SourceError(f"blob '{digest}' of '{directory}' is a link to outside of the layout")
    return path


def _raw(ref: ImageRef, access: AccessOptions, what: str) -> bytes:
    return skopeo("inspect", ["--raw", str(ref)], access, what=what).stdout


def _small(path: Path, limit: Budget = MANIFEST_BYTES) -> bytes:
    if path.stat().st_size > limit.limit:
        raise SourceError(f"'{path}' has {limit.exceeded}")
    return path.read_bytes()


def _verified(path: Path, digest: str, limit: Budget) -> bytes:
    if not path.is_file():
        raise SourceError(f"blob '{digest}' is missing from '{path.parent}'")
    data = _small(path, limit)
    if _sha256(data) != digest:
        raise _mismatch(str(path), digest, _sha256(data))
    return data


def _mismatch(what: str, wanted: str, found: str) -> SourceError:
    return SourceError(
        f"'{what}' does not match its digest: wanted '{wanted}', got '{found}'",
        hint="try again; if it stays, the source is broken",
    )


def _partial_bytes(scratch: Path) -> int:
    total = 0
    for path in scratch.rglob("oci-put-blob*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
