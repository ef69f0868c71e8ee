"""A whole installer medium, one screen: from an image and an installer to a finished ISO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from . import medium_fit, medium_sources, preflight, secrecy, session
from .arch import Machine
from .config import IsoRequest
from .decision import Decision, completed, installing
from .decision.unmet import USUAL_SUBVOLUME
from .events import Emit, warn
from .image.store import Store
from .iso.access import access
from .iso.access.access import RUNTIME, Access
from .iso.assembly import container, contents, medium
from .iso.assembly import plan as iso_plan
from .iso.assembly.contents import Written
from .iso.assembly.plan import IsoPlan
from .iso.kickstarts import partitions
from .iso.kickstarts.kickstart import Settings
from .iso.mastering import identity
from .iso.menus import menu
from .iso.menus.menu import Choices
from .iso.runtimes.anaconda import BUILD_STAMP, CONFIGURATION, build_stamp, configuration
from .layout import Content
from .medium_fit import Noted
from .medium_sources import MediumSources
from .medium_writer import Prepared, write
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
    plan: IsoPlan


def build_iso(request: IsoRequest, emit: Emit) -> IsoArtifact:
    """Make the medium a request asks for. Raises DiskgenError and leaves nothing then."""
    request = installing(request)
    preflight.check_iso_request(request)
    return session.run(request, emit, _build)


def plan_only(request: IsoRequest, emit: Emit) -> IsoPlan:
    """Return the plan for a request; nothing but the cache is written. Raises DiskgenError."""
    request = installing(request)
    preflight.check_iso_request(request)
    return session.run(request, emit, prepare).plan


def prepare(request: IsoRequest, store: Store, emit: Emit) -> Prepared:
    """Fetch and read everything and decide; only the cache is written. Raises DiskgenError."""
    contents.check_words(request)
    read = medium_sources.read(request, store, emit)
    request = completed(request, read.payload.tree)
    decided = medium_fit.decided(request, read)
    rule = decided.origin.removesuffix(decided.target.name)
    given = access.decide(request, rule, (read.runtime, read.payload.root), proxy())
    _add_modules(request, read, given.tree)
    settings = _settings(request, read, decided, given, rule)
    written = _written(request, read, decided, settings)
    noted = medium_fit.noted(request, read, written)
    offers = _offers(request, read, settings, written)
    ours = _ours(request, read, settings, written, offers, noted)
    choices = _identified(request, read, offers, ours, given)
    _check_menus(choices, read, request.machine)
    plan = _plan(request, read, decided, given, written, noted, choices, ours)
    overlay = _overlay(plan, read, given, written)
    return Prepared(plan=plan, installer=read.source, ours=ours, product_image=overlay)


def _build(request: IsoRequest, store: Store, emit: Emit) -> IsoArtifact:
    assert request.output is not None
    prepared = prepare(request, store, emit)
    preflight.check_iso_plan(prepared.plan)
    warn(emit, prepared.plan.warnings)
    with Workspace(request.output, force=request.force) as work:
        with writing(request.output.parent):
            finished, md5 = write(prepared, store, work, emit)
        preflight.check_iso_size(request, finished.stat().st_size)
        path = work.publish(finished, secret=bool(secrecy.secrets(prepared.plan.request)))
    return IsoArtifact(
        path=path,
        size=path.stat().st_size,
        label=prepared.plan.label,
        digest=prepared.plan.digest,
        md5=md5,
        plan=prepared.plan,
    )


def _settings(
    request: IsoRequest, read: MediumSources, decided: Decision, given: Access, rule: str
) -> Settings:
    """Return what kickstarts say; ``rule`` is what precedes the reference in the origin."""
    payload, anaconda = read.payload, read.installer.anaconda
    least = request.customizations.sizes.get("/boot", 0)
    return replace(
        contents.asked(request, payload.digest),
        stateroot=decided.stateroot if decided.known or anaconda else "",
        rule=rule,
        verified=given.verified,
        remote=given.remote,
        product=iso_plan.plain_title(request.product or payload.title),
        packages=read.offered.packages,
        graphical=payload.graphical,
        # Ours reads the image again on the machine, and what that asks for.
        kargs=decided.appended if anaconda else decided.user_kargs,
        completion=decided.completed if anaconda else (),
        subvolume=decided.subvolume or USUAL_SUBVOLUME,
        boot=partitions.commands(payload.content if anaconda else Content(), least),
        there=medium_fit.accounts_of(payload),
        groups=medium_fit.groups_of(payload),
        homeless=medium_fit.homeless(payload) if "image" in request.modes else (),
        anaconda=anaconda,
    )


def _written(
    request: IsoRequest, read: MediumSources, decided: Decision, settings: Settings
) -> Written:
    """Return the kickstarts, whose arguments no kernel cuts off."""
    installer = read.installer
    written = contents.write(
        request,
        settings,
        installer.language,
        _roots(decided, anaconda=installer.anaconda),
        anaconda=installer.anaconda,
        repository=installer.repository,
    )
    medium_fit.check_arguments(decided, written.texts, installer.language, request.machine)
    return written


def _roots(decided: Decision, *, anaconda: bool) -> Mapping[str, str | None]:
    """Return the root filesystem by mode where nobody is asked; None: the installer decides."""
    if anaconda:
        return {"image": str(decided.root_filesystem), "package": "xfs"}
    return {"image": None, "package": "ext4"}


def _offers(
    request: IsoRequest, read: MediumSources, settings: Settings, written: Written
) -> Choices:
    """Return what the menu offers, before the medium has a label and an identity."""
    installer = read.installer
    installs = read.offered.packages is not None or installer.anaconda
    return Choices(
        product=settings.product,
        label="",
        image="image" in request.modes,
        packages="package" in request.modes and installs,
        packages_need_network=read.offered.needs_network,
        unattended=contents.erased(request, written.texts),
        kargs=(*installer.kargs, *request.kargs),
        fips=installer.fips,
        console=medium.console(request.machine),
    )


def _ours(
    request: IsoRequest,
    read: MediumSources,
    settings: Settings,
    written: Written,
    offers: Choices,
    noted: Noted,
) -> Directory:
    """Return our place on the medium, but for the file that says which medium it is."""
    return contents.room(
        request,
        settings,
        written.texts,
        offers,
        read.payload.image,
        read.offered,
        read.installer.language,
        noted.excerpt,
    )


def _identified(
    request: IsoRequest, read: MediumSources, offers: Choices, ours: Directory, given: Access
) -> Choices:
    """Return the menu of this very medium, whose identity a file of ``ours`` says from now on."""
    installer = read.installer
    if not installer.anaconda:
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
        release = read.payload.release or installer.release
        label = iso_plan.default_label(release, request.machine)
        room, anaconda = medium.label_room(request.machine), installer.anaconda
        label = identity.labelled(label, which, room) if anaconda else label[:room].rstrip("-_.+")
    return replace(offers, label=label, identity=which)


def _check_menus(choices: Choices, read: MediumSources, machine: Machine) -> None:
    """Refuse what the installer's kernel would cut off. Raises UsageError."""
    bios = bool(machine.bios_grub)
    made = menu.make(choices, kernel=read.installer.kernel, initrd="", bios=bios)
    menu.check_length(made, machine.command_line)
    if not machine.efi_suffix:
        lines = medium.mainframe_lines(choices, own=not read.installer.anaconda)
        medium.check_mainframe(lines, machine.command_line)


def _plan(
    request: IsoRequest,
    read: MediumSources,
    decided: Decision,
    given: Access,
    written: Written,
    noted: Noted,
    choices: Choices,
    ours: Directory,
) -> IsoPlan:
    payload, installer, texts = read.payload, read.installer, written.texts
    servers = [f"unattended-{mode}.ks" for mode in request.modes]
    packages = read.offered.source
    return IsoPlan(
        request=request,
        machine=request.machine,
        digest=payload.digest,
        platform=payload.platform,
        title=payload.title,
        product=choices.product,
        version=payload.release.get("VERSION_ID", ""),
        label=choices.label,
        installer=installer.title,
        kickstart_version=installer.language,
        kernel=installer.kernel,
        choices=choices,
        kickstarts=tuple(sorted(texts)),
        for_server=next((texts[name] for name in servers if name in texts), None),
        deployment=decided,
        met=written.met,
        timestamp=payload.timestamp,
        payload_bytes=container.root_size(ours.get_dir("container")),
        package_bytes=packages.size if packages is not None else 0,
        runtime_bytes=installer.runtime_bytes,
        base_bytes=installer.base_bytes,
        given=given.given,
        warnings=(
            *payload.warnings,
            *(decided.warnings if "image" in request.modes else ()),
            *installer.warnings,
            *given.warnings,
            *contents.doubts(written, payload.content),
            *dict.fromkeys((*noted.lacks, *medium_fit.lacking(request, read))),
            *secrecy.warnings(request),
            *medium_fit.left_out(request, read),
        ),
    )


def _add_modules(request: IsoRequest, read: MediumSources, tree: Directory) -> None:
    """Add what tells Anaconda of its modules, where a description says something of them."""
    installer = request.customizations.installer
    if read.installer.anaconda and (installer.enabled or installer.disabled):
        text = configuration(installer.enabled, installer.disabled)
        tree.add(CONFIGURATION, regular(text))


def _overlay(plan: IsoPlan, read: MediumSources, given: Access, written: Written) -> bytes | None:
    """Return what Anaconda's initramfs unpacks over its root; ours has it on the medium."""
    installer, added = read.installer, given.tree
    if not installer.stamped:
        stamp = build_stamp(plan.product, plan.version, plan.machine, plan.timestamp)
        added.add(BUILD_STAMP, regular(stamp))
    if not installer.anaconda:
        return None
    return contents.product_image(written.texts, plan.timestamp, added, installer.overlay)
