"""A whole installer medium, one screen: from an image and an installer to a finished ISO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from . import preflight, secrecy
from .arch import Machine
from .config import IsoRequest
from .decision import Decision, Route, decide, wishes
from .decision.system import Tree, excerpt
from .errors import Problem, UsageError
from .events import Emit, notice
from .image import local
from .image.repair import repairing
from .image.store import Store
from .iso.access import access
from .iso.access.access import RUNTIME
from .iso.assembly import container, contents, medium, remaster
from .iso.assembly import plan as iso_plan
from .iso.assembly.container import Container
from .iso.assembly.plan import Installer, IsoPlan
from .iso.assembly.remaster import Original
from .iso.kickstarts import partitions
from .iso.mastering import identity
from .iso.menus import menu
from .iso.menus.menu import Choices
from .iso.runtimes import own
from .iso.runtimes.anaconda import BUILD_STAMP, build_stamp
from .kickstart import language
from .layout import Content, Filesystem
from .medium_sources import Payload, read_container, read_payload
from .medium_writer import Prepared, write
from .ostree import facts, kargs
from .run import proxy
from .tree import Directory, regular
from .workspace import Workspace, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoArtifact:
    """A finished medium; ``size`` in bytes."""

    path: Path
    size: int
    label: str
    digest: str  # of the payload
    md5: str  # as the medium checks itself


def build_iso(request: IsoRequest, emit: Emit) -> IsoArtifact:
    """Make the medium a request asks for. Raises DiskgenError and leaves nothing then."""
    preflight.check_iso_request(request)
    request = local.settled_iso(request, emit)
    with Store(request.cache).session() as store:
        return repairing(store, emit, lambda: _build(request, store, emit))


def _build(request: IsoRequest, store: Store, emit: Emit) -> IsoArtifact:
    assert request.output is not None
    prepared = prepare(request, store, emit)
    preflight.check_iso_plan(prepared.plan)
    for warning in prepared.plan.warnings:
        notice(emit, warning, warning=True)
    with Workspace(request.output, force=request.force) as work:
        with writing(request.output.parent):
            finished, md5 = write(prepared, store, work, emit)
        preflight.check_iso_size(request, finished.stat().st_size)
        path = work.publish(finished, secret=bool(secrecy.secrets(request)))
    return IsoArtifact(
        path=path,
        size=path.stat().st_size,
        label=prepared.plan.label,
        digest=prepared.plan.digest,
        md5=md5,
    )


def plan_only(request: IsoRequest, emit: Emit) -> IsoPlan:
    """Return the plan for a request; nothing but the cache is written. Raises DiskgenError."""
    preflight.check_iso_request(request)
    request = local.settled_iso(request, emit)
    with Store(request.cache).session() as store:
        return repairing(store, emit, lambda: prepare(request, store, emit).plan)


def prepare(request: IsoRequest, store: Store, emit: Emit) -> Prepared:
    """Fetch and read everything and decide; only the cache is written. Raises DiskgenError."""
    machine = request.machine
    contents.check_words(request)
    source: Container | Original
    if isinstance(request.installer, Path):
        source = remaster.read(request, machine, emit)
        offered = contents.offer(request, machine, source.installer.repository)
        target = read_payload(request, machine, store, emit)
    else:
        offered = contents.offer(request, machine)
        target = read_payload(request, machine, store, emit)
        source = read_container(request, machine, store, emit)
    installer = source.installer
    route = Route.ANACONDA if installer.anaconda else Route.DISKGEN
    decided = decide(wishes(request, route), target.tree, machine, route)
    problems = list(_unfit(request, target, installer, decided))
    if isinstance(source, Container) and not installer.anaconda:
        problems += _unmakable(request, source.root, decided)
    if problems:
        raise facts.UnfitError(problems)
    version, anaconda = installer.language, installer.anaconda
    product = iso_plan.plain_title(request.product or target.title)
    rule = decided.origin.removesuffix(decided.target.name)
    runtime = source.root if isinstance(source, Container) else None
    given = access.decide(request, rule, (runtime, target.root), proxy())
    settings = replace(
        contents.asked(request),
        digest=target.digest,
        stateroot=decided.stateroot,
        rule=rule,
        verified=given.verified,
        remote=given.remote,
        product=product,
        packages=offered.packages,
        graphical=target.graphical,
        # Ours reads the image again on the machine, and what that asks for.
        kargs=decided.appended if anaconda else request.install_kargs,
        completion=decided.completed if anaconda else (),
        subvolume=decided.subvolume or "root",
        boot=partitions.commands(target.content if anaconda else Content()),
    )
    written = contents.write(
        request,
        settings,
        version,
        _roots(decided, anaconda=anaconda),
        anaconda=anaconda,
        repository=installer.repository,
    )
    texts = written.texts
    _check_arguments(decided, texts, version, machine)
    noted, lacks = None, tuple[str, ...]()
    if isinstance(source, Container) and not anaconda:
        lacks = _lacks(request, written, version, (target.root, source.root))
    if not anaconda and target.root is not None:
        noted = excerpt(target.root, target.digest, container.root_size(target.root))
    installs = "package" in request.modes and (offered.packages is not None or anaconda)
    offers = Choices(
        product=product,
        label="",
        image="image" in request.modes,
        packages=installs,
        packages_need_network=offered.needs_network,
        unattended=contents.erased(request, texts),
        kargs=(*installer.kargs, *request.kargs),
        fips=installer.fips,
        console=medium.console(machine),
    )
    ours = contents.room(request, settings, texts, offers, target.image, offered, version, noted)
    if not anaconda:
        ours.add(RUNTIME, given.tree)
    known = {
        "menu": offers,
        "installer": installer.identity,
        "given": identity.derive(given.tree, {}),
    }
    which = identity.derive(ours, known)
    ours.add(identity.mark(which), regular(b""))
    label = request.label or installer.label
    if label is None:
        label = iso_plan.default_label(target.release or installer.release, machine)
        room = medium.label_room(machine)
        label = identity.labelled(label, which, room) if anaconda else label[:room].rstrip("-_.+")
    choices = replace(offers, label=label, identity=which)
    bios = bool(machine.bios_grub)
    made = menu.make(choices, kernel=installer.kernel, initrd="", bios=bios)
    menu.check_length(made, machine.command_line)
    if not machine.efi_suffix:
        lines = medium.mainframe_lines(choices, own=not anaconda)
        medium.check_mainframe(lines, machine.command_line)
    plan = IsoPlan(
        request=request,
        machine=machine,
        digest=target.digest,
        platform=target.platform,
        title=target.title,
        product=product,
        version=target.release.get("VERSION_ID", ""),
        label=label,
        installer=installer.title,
        kickstart_version=version,
        kernel=installer.kernel,
        choices=choices,
        kickstarts=tuple(sorted(texts)),
        for_server=next(
            (texts[name] for mode in request.modes if (name := f"unattended-{mode}.ks") in texts),
            None,
        ),
        deployment=decided,
        met=written.met,
        timestamp=target.timestamp,
        payload_bytes=container.root_size(ours.get_dir("container")),
        package_bytes=offered.source.size if offered.source is not None else 0,
        runtime_bytes=installer.runtime_bytes,
        base_bytes=installer.base_bytes,
        given=given.given,
        warnings=(
            *target.warnings,
            *(decided.warnings if "image" in request.modes else ()),
            *installer.warnings,
            *given.warnings,
            *contents.doubts(written, target.content),
            *lacks,
            *secrecy.warnings(request),
        ),
    )
    added = given.tree
    if not installer.stamped:
        stamp = build_stamp(product, plan.version, machine, target.timestamp)
        added.add(BUILD_STAMP, regular(stamp))
    overlay = contents.product_image(texts, target.timestamp, added, installer.overlay)
    return Prepared(
        plan=plan, installer=source, ours=ours, product_image=overlay if anaconda else None
    )


def _check_arguments(
    decided: Decision, texts: Mapping[str, str], version: str, machine: Machine
) -> None:
    """Refuse arguments of installed machines that their kernel would cut off.

    As they come together: those of the image, and what a kickstart appends. Raises PreflightError.
    """
    some = str(UUID(int=0))
    ostree = f"ostree=/ostree/boot.1/{decided.stateroot}/{'0' * 64}/0"
    for name in ("image-offline.ks", "image-remote.ks", "unattended-image.ks"):
        if name in texts:
            loader = language.parse(texts[name], version, name).handler.bootloader
            words = (*decided.kernel_arguments(some, some), *kargs.split(loader.appendLine or ""))
            preflight.check_arguments((*dict.fromkeys(words), ostree), machine, "install-karg")


def _roots(decided: Decision, *, anaconda: bool) -> Mapping[str, str | None]:
    """Return the root filesystem by mode where nobody is asked; None: the installer decides."""
    if anaconda:
        return {"image": str(decided.root_filesystem), "package": "xfs"}
    return {"image": None, "package": "ext4"}


def _lacks(
    request: IsoRequest,
    written: contents.Written,
    version: str,
    roots: tuple[Directory | None, Directory],
) -> tuple[str, ...]:
    """Return what systems that our installer sets up pass over: of its image, of its packages.

    ``roots`` are the image's, where it is read, and the installer's own. Raises UnfitError.
    """
    problems: dict[str, Problem] = {}  # by what they say: one for both
    lacks: list[str] = []
    for mode, root in zip(("image", "package"), roots, strict=True):
        if root is not None:
            asked = contents.unsuited(request, written, version, Tree(root), mode=mode)
            problems |= {problem.message: problem for problem in asked[0]}
            lacks += asked[1]
    if problems:
        raise facts.UnfitError(list(problems.values()))
    return tuple(dict.fromkeys(lacks))


def _unmakable(request: IsoRequest, root: Directory, decided: Decision) -> Iterator[Problem]:
    """Yield that our installer, in this root, could not make the image's root filesystem."""
    needed = own.MAKERS.get(str(decided.root_filesystem), ())
    lacks = [name for name in needed if not own.has_program(root, name)]
    if lacks and decided.known and "image" in request.modes and request.kickstart is None:
        yield Problem(
            code="rootfs",
            message=f"the image asks for the root filesystem '{decided.root_filesystem}', and the "
            "installer lacks " + ", ".join(f"'{name}'" for name in lacks),
            hint="add the program to the installer's image",
            setting="installer",
        )


def _unfit(
    request: IsoRequest, target: Payload, installer: Installer, decided: Decision
) -> Iterator[Problem]:
    """Yield why this installer could not install this image. Raises UsageError."""
    if "image" in request.modes:
        yield from decided.problems
    if (
        installer.anaconda
        and "image" in request.modes
        and request.unattended is not None
        and decided.root_filesystem is Filesystem.BTRFS
        and installer.language.startswith("RHEL")
    ):
        yield Problem(
            code="rootfs",
            message="the image asks for the root filesystem 'btrfs', which this installer "
            f"({installer.language}) does not make",
            hint="leave out --unattended, or take diskgen's own installer",
            setting="unattended",
        )
    if installer.anaconda and "image" in request.modes and not target.bootupd:
        yield Problem(
            code="bootupd",
            message="Anaconda installs boot loaders by bootupd, and the image has no data for it "
            "(/usr/lib/bootupd/updates)",
            hint="run 'bootupctl backend generate-update-metadata' in the image's build; diskgen's "
            "own installer needs no bootupd",
            setting="installer",
        )
    if not installer.anaconda and request.modes == ("package",) and request.packages is None:
        raise UsageError(
            "diskgen's own installer is not told where packages come from",
            hint="name a mirror's URL, or a directory with packages",
            setting="packages",
        )
