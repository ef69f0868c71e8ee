"""What a medium is made of, read: the image that machines get, and the container that installs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import build
from .arch import Machine
from .bootloader import bootupd, choose
from .budgets import CONFIG_BYTES
from .config import IsoRequest
from .disk import room
from .documents import load_object
from .events import Emit, step
from .image import fetch, flatten
from .image.model import Image
from .image.store import Store
from .initramfs.findings import Cached
from .iso.assembly import container
from .iso.assembly.container import Container
from .layout import BIOS_SECTOR, Content
from .ostree import commit, deploy, facts
from .reference import ImageRef
from .tree import Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The image that machines get. ``image`` is None where only its description was read."""

    digest: str
    title: str
    timestamp: int
    platform: str = ""  # of an index
    release: Mapping[str, str] = field(default_factory=dict)  # os-release, where it was read
    graphical: bool = False
    tree: facts.TreeFacts | None = None
    bootupd: bool = True  # False: it is known that there is no data for it
    content: Content = field(default_factory=Content)  # as far as it was read
    root: Directory | None = None
    image: Image | None = None
    warnings: tuple[str, ...] = ()


def read_payload(request: IsoRequest, machine: Machine, store: Store, emit: Emit) -> Payload:
    """Read the image that machines get; of one that stays in its registry the description."""
    if request.payload == "remote" and request.installer is not None:
        with step(emit, "describe", "Reading the image's description"):
            found = fetch.describe(request.source, machine, request.access)
        config = load_object(found.config, CONFIG_BYTES)
        labels = (config.get("config") or {}).get("Labels") or {}
        problems = list(facts.kind_problems(labels))
        if problems:
            raise facts.UnfitError(problems)
        name = request.source.name.rpartition("/")[2].partition(":")[0].partition("@")[0]
        return Payload(
            digest=found.digest,
            platform=found.platform,
            warnings=found.warnings,
            title=str(labels.get("org.opencontainers.image.title") or name),
            timestamp=commit.timestamp_of({}, config),
        )
    image, stacked = build.read_image(request.source, machine, request.access, store, emit)
    tree = facts.examine(
        stacked.merged,
        image.labels,
        machine.name,
        initramfs=Cached(store.initramfs),
        skip_bound_images=request.bound_images == "skip",
    )
    choose.inspect(stacked.merged, machine, BIOS_SECTOR)  # it must start what it installs
    return Payload(
        digest=image.digest,
        platform=image.platform,
        title=tree.title,
        release=facts.os_release(stacked.merged),
        timestamp=commit.image_timestamp(image),
        graphical=facts.is_graphical(stacked.merged),
        tree=tree,
        bootupd=machine.bootloader != "grub" or bootupd.read_payload(stacked.merged) is not None,
        content=Content(boot=room.of_boot(deploy.kernels(tree.kernel))),
        root=stacked.merged,
        image=image,
        warnings=(*image.warnings, *tree.warnings, *stacked.warnings),
    )


def read_container(request: IsoRequest, machine: Machine, store: Store, emit: Emit) -> Container:
    """Read the container that installs."""
    source = request.installer or request.source
    assert isinstance(source, ImageRef)
    image, indexes = build.fetch_layers(source, machine, request.access, store, emit)
    with step(emit, "flatten", "Merging the installer's layers"):
        root = flatten.flatten(indexes)
    made = commit.image_timestamp(image)
    read = Cached(store.initramfs)
    return container.examine(request, machine, root, made, image.digest, read)
