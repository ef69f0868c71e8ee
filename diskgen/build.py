"""The whole build, one screen: from an image reference to a finished file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from . import preflight
from .arch import Machine
from .bootloader import choose
from .bootloader.loader import ForDisk
from .config import AccessOptions, Output, Request
from .decision import Decision, Route, decide, wishes
from .decision.suited import unshared, unsuited
from .disk import appliance, ext4, fatnames, room
from .disk_files import write_files
from .disk_writer import Prepared, write_disk
from .events import Emit, notice, step
from .identifiers import filesystem_name
from .image import fetch, layers, local
from .image.index import LayerIndex
from .image.model import Image
from .image.repair import repairing
from .image.store import Store
from .initramfs.findings import Cached
from .layout import Content, Filesystem, Role
from .ostree import commit, deploy, facts, firstboot, kernel, labelling, stack
from .ostree.stack import Stack
from .plan import DiskPlan, ImageFacts, identify, make_plan
from .reference import ImageRef
from .tree import Directory
from .workspace import Workspace, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A finished output; sizes in bytes, ``size`` of the file, ``virtual_size`` of the disk."""

    path: Path
    format: str
    size: int
    virtual_size: int
    digest: str  # of the image it was made of
    commit: str


def build(request: Request, emit: Emit) -> Artifact:
    """Make what a request asks for, and return its first format's file. As :func:`build_all`."""
    return build_all(request, emit)[0]


def build_all(request: Request, emit: Emit) -> tuple[Artifact, ...]:
    """Make one disk and the file of each format that a request asks for, in its order.

    All of them appear when the last is complete. Raises DiskgenError and leaves nothing then.
    """
    preflight.check_request(request)
    request = local.settled(request, emit)
    with Store(request.cache).session() as store:
        return repairing(store, emit, lambda: _build(request, store, emit))


def _build(request: Request, store: Store, emit: Emit) -> tuple[Artifact, ...]:
    assert request.output is not None
    prepared = prepare(request, store, emit)
    preflight.check_plan(prepared.plan)
    for warning in prepared.plan.warnings:
        notice(emit, warning, warning=True)
    with Workspace(request.output, force=request.force) as work:
        disk = work.partial("disk")
        with writing(request.output.parent):
            write_disk(prepared, disk, work, emit)
        with writing(request.output.parent):
            finished = write_files(disk, request, prepared.plan.layout.disk_guid, work, emit)
        work.publish_all(finished)
    return tuple(_artifact(output, prepared.plan) for output in request.outputs)


def _artifact(output: Output, plan: DiskPlan) -> Artifact:
    assert output.path is not None
    return Artifact(
        path=output.path,
        format=output.format,
        size=output.path.stat().st_size,
        virtual_size=plan.layout.size,
        digest=plan.image.digest,
        commit=plan.commit,
    )


def plan_only(request: Request, emit: Emit) -> DiskPlan:
    """Return the plan for a request; nothing but the cache is written. Raises DiskgenError."""
    preflight.check_request(request)
    request = local.settled(request, emit)
    with Store(request.cache).session() as store:
        return repairing(store, emit, lambda: prepare(request, store, emit).plan)


def read_image(
    source: ImageRef, machine: Machine, access: AccessOptions, store: Store, emit: Emit
) -> tuple[Image, Stack]:
    """Return the image and its layers as trees."""
    image, indexes = fetch_layers(source, machine, access, store, emit)
    with step(emit, "merge", "Merging the layers", unit="bytes") as phase:
        made = stack.stack(image, indexes, phase.advance)
        phase.detail = f"{len(image.layers)} layers" + (
            f", of an encapsulated commit and {len(made.layers)} above it" if made.base else ""
        )
    return image, made


def fetch_layers(
    source: ImageRef, machine: Machine, access: AccessOptions, store: Store, emit: Emit
) -> tuple[Image, tuple[LayerIndex, ...]]:
    """Return the image and the contents of its layers, all verified.

    A blob of the cache that turns out to be damaged is fetched again, once.
    """

    def fetched() -> tuple[Image, tuple[LayerIndex, ...]]:
        image = fetch.fetch(source, machine, access, store, emit)
        image.check_sizes()
        return image, layers.index_layers(image, store.layers, emit)

    return repairing(store, emit, fetched)


def prepare(request: Request, store: Store, emit: Emit) -> Prepared:
    """Fetch and read the image and decide everything; only the cache is written."""
    machine = request.machine
    image, stacked = read_image(request.source, machine, request.access, store, emit)
    tree = facts.examine(
        stacked.merged,
        image.labels,
        machine.name,
        initramfs=Cached(store.initramfs),
        skip_bound_images=request.bound_images == "skip",
    )
    if tree.policy is not None:
        with step(emit, "label", "Labelling for SELinux", unit="bytes") as phase:
            with store.scratch() as scratch:
                stacked = stack.label(stacked, tree.policy, scratch, phase.advance)
            phase.detail = f"policy '{tree.policy.name}'"
        tree = replace(tree, kernel=kernel.find_kernel(stacked.merged))
    loader = choose.inspect(stacked.merged, machine, request.sector_size)
    decided = decide(wishes(request, Route.DISKGEN), tree, machine, Route.DISKGEN)
    problems = [*decided.problems, *unshared(request.places, tree)]
    if problems:
        raise facts.UnfitError(problems)
    identity = identify(image.digest, request.seed, _renewed(stacked.merged, tree, decided))
    options = decided.kernel_arguments(str(identity.root_uuid), str(identity.boot_uuid))
    timestamp = commit.image_timestamp(image)
    with step(emit, "deploy", "Laying out the deployment"):
        sysroot = deploy.deploy(
            deploy.DeployRequest(
                image=image,
                target=decided.target,
                origin=decided.origin,
                timestamp=timestamp,
                kargs=options,
                boot_uuid=str(identity.boot_uuid),
                boot_spec=decided.boot_spec,
                bootloader=loader.hook,
                etc=loader.etc,
            ),
            tree,
            stacked.merged,
            stacked.layers,
            stacked.base,
        )
        loader.check(sysroot.boot, tree.title, sysroot.options)
        for_disk = ForDisk(
            title=tree.title,
            boot_uuid=str(identity.boot_uuid),
            timestamp=timestamp,
            name_uuid=decided.name_boot_uuid,
            ignition=tree.ignition,
        )
        loader.add_to_boot(sysroot.boot, for_disk)
        if tree.policy is not None:
            with store.scratch() as scratch:
                labelling.label_sysroot(sysroot, tree.config.stateroot, tree.policy, scratch)
        esp = loader.esp_files(for_disk)
        fatnames.check(esp)
    labels = image.labels
    plan = make_plan(
        request,
        ImageFacts(
            digest=image.digest,
            arch=machine.name,
            platform=image.platform,
            title=tree.title,
            version=labels.get("org.opencontainers.image.version", labels.get("version")),
            layers=len(image.layers),
            content_bytes=sysroot.content_bytes,
            kernel=tree.kernel.release,
            bootloader=loader.name,
            loader_tools=loader.tools,
            menu=loader.menu,
            ways=loader.ways,
            timestamp=timestamp,
            kargs=tree.config.kargs,
            karg_deletes=tree.config.karg_deletes,
            stateroot=tree.config.stateroot,
            root_filesystem=decided.root_filesystem,
            root_subvolume=decided.subvolume,
            warnings=(
                *image.warnings,
                *tree.warnings,
                *decided.warnings,
                *dict.fromkeys(w for place in request.places for w in unsuited(place, tree)),
                *stacked.warnings,
            ),
        ),
        machine,
        identity,
        kargs=options,
        ostree_karg=sysroot.ostree_karg,
        commit=sysroot.commit,
        origin=decided.origin,
        content=Content(
            root=_root_bytes(sysroot.root, decided.root_filesystem),
            boot=room.of_boot(sysroot.boot),
            esp=room.of_esp(esp),
        ),
        esp_bytes=sum(map(len, esp.values())),
    )
    preflight.check_arguments((*plan.kargs, plan.ostree_karg), machine, "karg")
    return Prepared(plan=plan, loader=loader, root=sysroot.root, boot=sysroot.boot, esp=esp)


def _renewed(root: Directory, tree: facts.TreeFacts, decided: Decision) -> Mapping[str, UUID]:
    """Return the identifiers that the first boot replaces, and that nothing else names."""
    found = firstboot.renewed(root, decided.root_filesystem) if tree.ignition else {}
    if decided.root_spec is None:
        found.pop(filesystem_name(Role.ROOT), None)
    return found


def _root_bytes(root: Directory, kind: Filesystem) -> int:
    need = ext4.required(root)
    if kind in appliance.KINDS:
        return appliance.minimum_size(need.bytes)
    return ext4.minimum_size(need)
