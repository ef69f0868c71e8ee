"""Decide everything before anything is written: a request and an image's facts make a plan.

Pure: the same request and facts give the same plan. ``diskgen plan`` prints it and stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from .arch import Machine
from .blueprint import summary
from .config import Request
from .identifiers import derive_uuid, filesystem_name, identity_seed
from .layout import Content, Filesystem, Layout, Role, make_layout
from .terminal import page
from .units import MIB, format_size

SCHEMA_VERSION: Final = 1
_MOUNTS: Final = {"/": Role.ROOT, "/boot": Role.BOOT}  # of what can be given a size
FIRST_BOOT_VARIABLE: Final = "$ignition_firstboot"  # set by GRUB while the stamp is on /boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way firmware can start the disk (``uefi``, ``secureboot``, ``bios``), or why it can't."""

    name: str
    works: bool
    reason: str  # why not; or which files make it work


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the image says of itself, as far as a plan depends on it."""

    digest: str
    arch: str
    platform: str  # the one of an index that was taken: linux/amd64/v3; "" without an index
    title: str  # PRETTY_NAME
    version: str | None
    layers: int
    content_bytes: int  # of all distinct files
    kernel: str  # release
    bootloader: str
    loader_tools: tuple[str, ...]  # uses of host programs that installing it has
    menu: str  # how the boot menu follows new deployments, in words
    ways: tuple[Way, ...]
    timestamp: int  # seconds since 1970, from the image
    kargs: tuple[str, ...]  # of its install configuration and kargs.d, in order
    karg_deletes: tuple[str, ...]
    stateroot: str
    root_filesystem: Filesystem
    root_subvolume: str | None = None  # of btrfs, which is the root
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Identifiers that are known before sizes are.

    All derive from ``seed`` but for ``renewed``, which the first boot replaces, and ``fixed``,
    which the image says.
    """

    seed: str
    # By identifiers.DISK, filesystem_name and partition_name.
    renewed: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    fixed: Mapping[str, UUID] = field(default_factory=dict[str, UUID])

    @property
    def root_uuid(self) -> UUID:
        return self.filesystem(Role.ROOT)

    @property
    def boot_uuid(self) -> UUID:
        return self.filesystem(Role.BOOT)

    def filesystem(self, role: Role) -> UUID:
        """The identifier of the filesystem of a role."""
        name = filesystem_name(role)
        return self.renewed.get(name) or self.fixed.get(name) or derive_uuid(self.seed, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """All that will be done for one disk."""

    request: Request
    image: ImageFacts
    machine: Machine
    identity: Identity
    layout: Layout
    kargs: tuple[str, ...]  # without ostree=, which follows from the commit
    ostree_karg: str
    commit: str
    origin: str  # what the machine updates from, as ostree writes it
    root_bytes: int  # needed on the root filesystem
    boot_bytes: int
    esp_bytes: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the image gives rise to, then what the disk does."""
        return (*self.image.warnings, *self.layout.warnings)


def identify(
    digest: str,
    text: str | None,
    renewed: Mapping[str, UUID],
    fixed: Mapping[str, UUID] = MappingProxyType({}),
) -> Identity:
    """Return the identifiers of every disk made from an image by its digest and the user's text.

    ``renewed`` are those that the image's first boot replaces. A text means that the user wants
    these very identifiers, so that nothing is left to the first boot.
    """
    seed = identity_seed(digest, text)
    return (
        Identity(seed=seed)
        if text is not None
        else Identity(seed=seed, renewed=renewed, fixed=fixed)
    )


def make_plan(
    request: Request,
    image: ImageFacts,
    machine: Machine,
    identity: Identity,
    *,
    kargs: tuple[str, ...],
    ostree_karg: str,
    commit: str,
    origin: str,
    content: Content,
    esp_bytes: int,
) -> DiskPlan:
    """Place everything; ``esp_bytes`` are those of its files alone.

    Raises UsageError when the disk the user wants cannot hold it.
    """
    make = partial(
        make_layout,
        machine,
        seed=identity.seed,
        given={**identity.fixed, **identity.renewed},
        content=content,
        root_filesystem=image.root_filesystem,
        sector_size=request.sector_size,
        grain=math.lcm(*(place.grain for place in request.places)),
        sizes={Role(role): size for role, size in request.sizes.items()},
        floors={_MOUNTS[path]: size for path, size in request.customizations.sizes.items()},
    )
    layout = make(disk_size=request.disk_size)
    if request.disk_size is None and layout.size < (request.least_size or 0):
        layout = make(disk_size=request.least_size)
    return DiskPlan(
        request=request,
        image=image,
        machine=machine,
        identity=identity,
        layout=layout,
        kargs=kargs,
        ostree_karg=ostree_karg,
        commit=commit,
        origin=origin,
        root_bytes=content.root,
        boot_bytes=content.boot[0],
        esp_bytes=esp_bytes,
    )


def to_json(plan: DiskPlan) -> dict[str, Any]:
    """Return the plan as JSON values; the keys are a contract, ``version`` counts its changes."""
    image = plan.image
    return {
        "version": SCHEMA_VERSION,
        "format": plan.request.format,
        "output": str(plan.request.output) if plan.request.output else None,
        "outputs": [
            {"format": output.format, "path": str(output.path) if output.path else None}
            for output in plan.request.outputs
        ],
        "image": {
            "source": str(plan.request.source),
            "digest": image.digest,
            "architecture": plan.machine.name,
            "platform": image.platform or None,
            "title": image.title,
            "version": image.version,
            "layers": image.layers,
            "content_bytes": image.content_bytes,
            "kernel": image.kernel,
        },
        "deployment": {
            "stateroot": image.stateroot,
            "commit": plan.commit,
            "origin": plan.origin,
            "kargs": [*plan.kargs, plan.ostree_karg],
        },
        "machine": summary.to_json(plan.request.customizations),
        "bootloader": {
            "name": image.bootloader,
            "menu": image.menu,
            "ways": {way.name: {"works": way.works, "reason": way.reason} for way in image.ways},
        },
        "disk": _disk_json(plan),
        "warnings": list(plan.warnings),
    }


def _disk_json(plan: DiskPlan) -> dict[str, Any]:
    layout = plan.layout
    return {
        "size": layout.size,
        "sector_size": layout.sector_size,
        "guid": str(layout.disk_guid),
        "seed": plan.request.seed,
        "renewed_at_first_boot": sorted(plan.identity.renewed),
        "laid_out_by": list(plan.request.laid_out_by),
        "partitions": [
            {
                "number": part.number,
                "role": str(part.role),
                "name": part.name,
                "start": part.start,
                "size": part.size,
                "type": str(part.type),
                "uuid": str(part.uuid),
                "filesystem": str(part.filesystem) if part.filesystem else None,
                "filesystem_uuid": part.fs_uuid_text if part.filesystem else None,
                "label": part.label,
                "mountpoint": part.mountpoint,
                "content_bytes": _content(plan).get(part.role),
            }
            for part in layout.partitions
        ],
    }


def to_text(plan: DiskPlan) -> str:
    """Return the plan for people."""
    image, layout = plan.image, plan.layout
    lines = [
        f"{image.title}" + (f", version {image.version}" if image.version else ""),
        f"  image       {plan.request.source.short}",
        f"  digest      {image.digest}"
        + (f", {image.platform} of an index" if image.platform else ""),
        (
            f"  content     {format_size(image.content_bytes)} in {image.layers} layers, "
            f"kernel {image.kernel}, {plan.machine.name}"
        ),
        f"  updates     from {plan.request.tracked.short}",
        f"  stateroot   {image.stateroot}, commit {plan.commit[:12]}",
        f"  kargs       {' '.join([*plan.kargs, plan.ostree_karg])}",
        *(f"  {line}" for line in summary.to_text(plan.request.customizations)),
        "",
        f"Disk of {format_size(layout.size)}, sectors of {layout.sector_size} bytes, as "
        + ", ".join(
            output.format + (f" in {output.path}" if output.path else "")
            for output in plan.request.outputs
        ),
        *(f"  {line}" for line in _identity(plan)),
        "  no  name        start       size        filesystem  identifier",
    ]
    for part in layout.partitions:
        mega = f"{part.start // MIB} MiB"
        lines.append(
            f"  {part.number:<3} {part.name:<11} {mega:<11} {format_size(part.size):<11} "
            f"{part.filesystem or '-':<11} {part.fs_uuid_text if part.filesystem else part.uuid}"
        )
    lines += ["", f"Boot by {image.bootloader}"]
    lines += [
        f"  {way.name:<11} {'yes' if way.works else 'no'}: {way.reason}" for way in image.ways
    ]
    lines.append(f"  {'menu':<11} {image.menu}")
    if plan.warnings:
        lines += ["", "Warnings", *(f"  {warning}" for warning in plan.warnings)]
    return page(lines)


def _identity(plan: DiskPlan) -> Iterator[str]:
    """Yield what is unusual about the disk's identifiers."""
    if plan.request.seed is not None:
        yield f"identifiers of the digest and '{plan.request.seed}'"
    if plan.request.laid_out_by:
        yield f"laid out as the image says: {', '.join(plan.request.laid_out_by)}"
    if plan.identity.renewed:
        names = ", ".join(sorted(plan.identity.renewed))
        yield f"identifiers that the first boot replaces: {names}"


def _content(plan: DiskPlan) -> Mapping[Role, int]:
    return {Role.ROOT: plan.root_bytes, Role.BOOT: plan.boot_bytes, Role.ESP: plan.esp_bytes}
