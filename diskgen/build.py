"""The whole build, one screen: from an image reference to a finished file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from . import disk_contents, preflight, secrecy, session, sources
from .bootloader import choose
from .bootloader.loader import Bootloader
from .config import Output, Request
from .decision import Decision, Route, completed, decide, wishes
from .decision.suited import Disk, unshared, unsuited
from .decision.unmet import of_sectors
from .disk_contents import LaidOut
from .disk_files import write_files
from .disk_writer import Prepared, write_disk
from .events import Emit, warn
from .identifiers import filesystem_name
from .image.store import Store
from .layout import Role
from .ostree import commit, facts, firstboot
from .plan import DiskPlan, Identity, ImageFacts, identify, make_plan
from .sources import Source
from .workspace import Workspace, writing

RESULTS_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A finished output; sizes in bytes, ``size`` of the file, ``virtual_size`` of the disk."""

    path: Path
    format: str
    size: int
    virtual_size: int
    digest: str  # of the image it was made of
    commit: str
    plan: DiskPlan


def build(request: Request, emit: Emit) -> Artifact:
    """Make what a request asks for, and return its first format's file. As :func:`build_all`."""
    return build_all(request, emit)[0]


def build_all(request: Request, emit: Emit) -> tuple[Artifact, ...]:
    """Make one disk and the file of each format that a request asks for, in its order.

    All of them appear when the last is complete. Raises DiskgenError and leaves nothing then.
    """
    preflight.check_request(request)
    return session.run(request, emit, _build)


def plan_only(request: Request, emit: Emit) -> DiskPlan:
    """Return the plan for a request; nothing but the cache is written. Raises DiskgenError."""
    preflight.check_request(request)
    return session.run(request, emit, prepare).plan


def prepare(request: Request, store: Store, emit: Emit) -> Prepared:
    """Fetch and read the image and decide everything; only the cache is written."""
    source = sources.labelled(sources.read(request, store, emit), store, emit)
    request = completed(request, source.tree)
    loader = choose.inspect(source.root, request.machine, request.sector_size)
    decided = _decided(request, source)
    sources.seal(source, emit)
    identity = identify(
        source.image.digest, request.seed, _renewed(source, decided), request.identifiers
    )
    laid = disk_contents.lay_out(request, source, loader, decided, identity, store, emit)
    plan = _plan(request, source, loader, decided, identity, laid)
    preflight.check_arguments((*plan.kargs, plan.ostree_karg), request.machine, "karg")
    return Prepared(
        plan=plan, loader=loader, root=laid.sysroot.root, boot=laid.sysroot.boot, esp=laid.esp
    )


def results(artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """Return what was made as JSON values, with a digest of each file, which is read for that.

    The keys are a contract, ``version`` counts its changes. Raises OSError.
    """
    outputs: list[dict[str, object]] = []
    for artifact in artifacts:
        with artifact.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        outputs.append(
            {
                "format": artifact.format,
                "path": str(artifact.path),
                "size": artifact.size,
                "sha256": digest,
            }
        )
    first = artifacts[0]
    return {
        "version": RESULTS_VERSION,
        "image_digest": first.digest,
        "commit": first.commit,
        "disk_size": first.virtual_size,
        "outputs": outputs,
    }


def _build(request: Request, store: Store, emit: Emit) -> tuple[Artifact, ...]:
    assert request.output is not None
    prepared = prepare(request, store, emit)
    plan = prepared.plan
    preflight.check_plan(plan)
    warn(emit, plan.warnings)
    with Workspace(request.output, force=request.force) as work:
        with writing(request.output.parent):
            disk = work.partial("disk")
            write_disk(prepared, disk, work, emit)
            finished = write_files(disk, request, plan.layout.disk_guid, work, emit)
        work.publish_all(finished, secret=bool(secrecy.secrets(plan.request)))
    return tuple(_artifact(output, plan) for output in request.outputs)


def _artifact(output: Output, plan: DiskPlan) -> Artifact:
    assert output.path is not None
    return Artifact(
        path=output.path,
        format=output.format,
        size=output.path.stat().st_size,
        virtual_size=plan.layout.size,
        digest=plan.image.digest,
        commit=plan.commit,
        plan=plan,
    )


def _decided(request: Request, source: Source) -> Decision:
    """Return what the deployment gets. Raises UnfitError."""
    decided = decide(wishes(request, Route.DISKGEN), source.tree, request.machine, Route.DISKGEN)
    problems = [*decided.problems, *unshared(request.places, source.tree)]
    if problems:
        raise facts.UnfitError(problems)
    return decided


def _renewed(source: Source, decided: Decision) -> Mapping[str, UUID]:
    """Return the identifiers that the first boot replaces, and that nothing else names."""
    ignition = source.tree.ignition
    found = firstboot.renewed(source.root, decided.root_filesystem) if ignition else {}
    if decided.root_spec is None:
        found.pop(filesystem_name(Role.ROOT), None)
    return found


def _plan(
    request: Request,
    source: Source,
    loader: Bootloader,
    decided: Decision,
    identity: Identity,
    laid: LaidOut,
) -> DiskPlan:
    return make_plan(
        request,
        _facts(request, source, loader, decided, laid),
        request.machine,
        identity,
        kargs=laid.kargs,
        ostree_karg=laid.sysroot.ostree_karg,
        commit=laid.sysroot.commit,
        origin=decided.origin,
        content=laid.content(decided.root_filesystem),
        esp_bytes=sum(map(len, laid.esp.values())),
    )


def _facts(
    request: Request, source: Source, loader: Bootloader, decided: Decision, laid: LaidOut
) -> ImageFacts:
    """Return what a plan says of the image."""
    image, tree = source.image, source.tree
    labels = image.labels
    disk = Disk(
        tree=tree,
        machine=request.machine,
        ways=loader.ways,
        kargs=laid.kargs,
        accounts=request.customizations.lets_in,
    )
    return ImageFacts(
        digest=image.digest,
        arch=request.machine.name,
        platform=image.platform,
        title=tree.title,
        version=labels.get("org.opencontainers.image.version", labels.get("version")),
        layers=len(image.layers),
        content_bytes=laid.sysroot.content_bytes,
        kernel=tree.kernel.release,
        bootloader=loader.name,
        loader_tools=loader.tools,
        menu=loader.menu,
        ways=loader.ways,
        timestamp=commit.image_timestamp(image),
        kargs=tree.config.kargs,
        karg_deletes=tree.config.karg_deletes,
        stateroot=decided.stateroot,
        root_filesystem=decided.root_filesystem,
        root_subvolume=decided.subvolume,
        warnings=(
            *image.warnings,
            *tree.warnings,
            *laid.warnings,
            *decided.warnings,
            *of_sectors(tree.embedded, request),
            *dict.fromkeys(w for place in request.places for w in unsuited(place, disk)),
            *source.stacked.warnings,
            *secrecy.warnings(request),
        ),
    )
