"""What a medium is made of, read: the image that machines get, what installs it, and packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import sources
from .arch import Machine
from .bootloader import bootupd, choose
from .budgets import CONFIG_BYTES
from .config import IsoRequest
from .decision import Route
from .disk import room
from .documents import load_object
from .events import Emit, step
from .image import fetch, flatten
from .image.manifest import labels_of
from .image.model import Image
from .image.store import Store
from .initramfs.findings import Cached
from .iso.assembly import container, contents, remaster
from .iso.assembly.container import Container
from .iso.assembly.contents import Offer
from .iso.assembly.plan import Installer
from .iso.assembly.remaster import Original
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
    release: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # os-release, where it was read
    graphical: bool = False
    tree: facts.TreeFacts | None = None
    bootupd: bool = True  # False: it is known that there is no data for it
    content: Content = field(default_factory=Content)  # as far as it was read
    root: Directory | None = None
    image: Image | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumSources:
    """All that a medium is made of."""

    source: Container | Original  # what installs
    offered: Offer
    payload: Payload

    @property
    def installer(self) -> Installer:
        return self.source.installer

    @property
    def runtime(self) -> Directory | None:
        """The root that the installer runs in, where it is a container's."""
        return self.source.root if isinstance(self.source, Container) else None

    @property
    def route(self) -> Route:
        """Who makes the machines."""
        return Route.ANACONDA if self.installer.anaconda else Route.DISKGEN


def read(request: IsoRequest, store: Store, emit: Emit) -> MediumSources:
    """Read everything, first what is most quickly refused. Raises DiskgenError."""
    machine = request.machine
    source: Container | Original
    if isinstance(request.installer, Path):
        source = remaster.read(request, machine, emit)
        offered = contents.offer(request, machine, source.installer.repository)
        payload = read_payload(request, machine, store, emit)
    else:
        offered = contents.offer(request, machine)
        payload = read_payload(request, machine, store, emit)
        source = read_container(request, machine, store, emit)
    return MediumSources(source=source, offered=offered, payload=payload)


def read_payload(request: IsoRequest, machine: Machine, store: Store, emit: Emit) -> Payload:
    """Read the image that machines get; of one that stays in its registry the description."""
    if request.payload == "remote" and request.installer is not None:
        with step(emit, "describe", "Reading the image's description"):
            found = fetch.describe(request.source, machine, request.access)
        config = load_object(found.config, CONFIG_BYTES)
        labels = labels_of(config)
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
    read = sources.read(request, store, emit)
    image, tree = read.image, read.tree
    choose.inspect(read.root, machine, BIOS_SECTOR)  # it must start what it installs
    return Payload(
        digest=image.digest,
        platform=image.platform,
        title=tree.title,
        release=facts.os_release(read.root),
        timestamp=commit.image_timestamp(image),
        graphical=facts.is_graphical(read.root),
        tree=tree,
        bootupd=machine.bootloader != "grub" or bootupd.read_payload(read.root) is not None,
        content=Content(boot=room.of_boot(deploy.kernels(tree.kernel))),
        root=read.root,
        image=image,
        warnings=read.warnings,
    )


def read_container(request: IsoRequest, machine: Machine, store: Store, emit: Emit) -> Container:
    """Read the container that installs."""
    source = request.installer or request.source
    assert isinstance(source, ImageRef)
    image, indexes = sources.fetch_layers(source, machine, request.access, store, emit)
    with step(emit, "flatten", "Merging the installer's layers"):
        root = flatten.flatten(indexes)
    made = commit.image_timestamp(image)
    read = Cached(store.initramfs)
    return container.examine(request, machine, root, made, image.digest, read)
