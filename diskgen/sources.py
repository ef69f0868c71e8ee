"""The image that machines get, read: its layers as trees, and what it says of the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .arch import Machine
from .config import AccessOptions, ArtifactRequest
from .events import Emit, step
from .image import fetch, layers
from .image.index import LayerIndex
from .image.model import Image
from .image.repair import repairing
from .image.store import Store
from .initramfs.findings import Cached
from .ostree import facts, kernel, stack
from .ostree.facts import TreeFacts
from .ostree.stack import Stack
from .reference import ImageRef
from .tree import Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image that can become a machine."""

    image: Image
    stacked: Stack
    tree: TreeFacts

    @property
    def root(self) -> Directory:
        """The root filesystem, merged of all layers."""
        return self.stacked.merged

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful of the image itself."""
        return (*self.image.warnings, *self.tree.warnings, *self.stacked.warnings)


def read(request: ArtifactRequest, store: Store, emit: Emit) -> Source:
    """Read the image that a request names. Raises DiskgenError, UnfitError with all reasons."""
    image, indexes = fetch_layers(request.source, request.machine, request.access, store, emit)
    stacked = _stacked(image, indexes, emit)
    tree = facts.examine(
        stacked.merged,
        image.labels,
        request.machine.name,
        initramfs=Cached(store.initramfs),
        skip_bound_images=request.bound_images == "skip",
        base=stacked.base,
    )
    return Source(image=image, stacked=stacked, tree=tree)


def labelled(source: Source, store: Store, emit: Emit) -> Source:
    """Return an image whose files have the labels of its SELinux policy, if it has one."""
    policy, stacked = source.tree.policy, source.stacked
    if policy is None:
        return source
    with step(emit, "label", "Labelling for SELinux", unit="bytes") as phase:
        with store.scratch() as scratch:
            stacked = stack.label(stacked, policy, scratch, phase.advance)
        phase.detail = f"policy '{policy.name}'"
    tree = replace(source.tree, kernel=kernel.find_kernel(stacked.merged))
    return replace(source, stacked=stacked, tree=tree)


def seal(source: Source, emit: Emit) -> None:
    """Seal an image's files, if fs-verity is to guard its root."""
    if not source.tree.composefs.sealed:
        return
    with step(emit, "seal", "Summing files for fs-verity", unit="bytes") as phase:
        stack.seal(source.stacked, phase.advance)


def fetch_layers(
    ref: ImageRef, machine: Machine, access: AccessOptions, store: Store, emit: Emit
) -> tuple[Image, tuple[LayerIndex, ...]]:
    """Return the image and the contents of its layers, all verified.

    A blob of the cache that turns out to be damaged is fetched again, once.
    """

    def fetched() -> tuple[Image, tuple[LayerIndex, ...]]:
        image = fetch.fetch(ref, machine, access, store, emit)
        image.check_sizes()
        return image, layers.index_layers(image, store.layers, emit)

    return repairing(store, emit, fetched)


def _stacked(image: Image, indexes: tuple[LayerIndex, ...], emit: Emit) -> Stack:
    with step(emit, "merge", "Merging the layers", unit="bytes") as phase:
        made = stack.stack(image, indexes, phase.advance)
        phase.detail = f"{len(image.layers)} layers" + (
            f", of an encapsulated commit and {len(made.layers)} above it" if made.base else ""
        )
    return made
