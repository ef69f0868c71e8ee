"""Whether what a medium is made of fits together: the image, the installer, and what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from . import preflight
from .arch import Machine
from .blueprint import summary
from .blueprint.keys import Way
from .blueprint.model import ROOT
from .config import IsoRequest
from .decision import Decision, decide, wishes
from .decision.installing import unheard
from .decision.system import Tree, excerpt, fields
from .disk import makers
from .errors import Problem, UsageError
from .iso.assembly import container, contents
from .iso.assembly.contents import Written
from .iso.assembly.plan import Installer
from .iso.runtimes import own
from .kickstart import language
from .layout import Filesystem
from .medium_sources import MediumSources, Payload
from .ostree import facts, kargs
from .ostree.lookup import find_dir, find_text
from .provision.apply import NO_IGNITION, check_strict, suits
from .provision.passwords import crypted
from .tree import Directory


def decided(request: IsoRequest, read: MediumSources) -> Decision:
    """Return what machines get. Raises UnfitError with all reasons against it, UsageError."""
    made = decide(wishes(request, read.route), read.payload.tree, request.machine, read.route)
    problems = list(_unfit(request, read.payload, read.installer, made))
    if read.runtime is not None and not read.installer.anaconda:
        problems += _unmakable(request, read.runtime, made)
    if problems:
        raise facts.UnfitError(problems)
    return made


def check_arguments(
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


def lacking(request: IsoRequest, read: MediumSources) -> tuple[str, ...]:
    """Return what machines of the image will lack of what they are to be given.

    As far as the image is read here. Raises BlueprintError with all that it cannot take.
    """
    payload = read.payload
    if payload.root is None or "image" not in request.modes:
        return ()
    wanted = crypted(request.customizations, payload.digest)
    return suits(wanted, payload.root, payload.timestamp, strict=request.strict)


def left_out(request: IsoRequest, read: MediumSources) -> tuple[str, ...]:
    """Return what of a description the medium does not take, by the installer that it has.

    With ``strict`` that is an error: BlueprintError.
    """
    wanted, tree = request.customizations, read.payload.tree
    ways = [Way.ANACONDA if read.installer.anaconda else Way.OWN]
    if "package" in request.modes and (read.offered.packages or read.offered.repository):
        ways.append(Way.PACKAGES)
    found = [
        *summary.left_out(wanted, ways, unattended=request.unattended is not None),
        *unheard(tree.embedded.described if tree is not None else None, request),
    ]
    if wanted.ignition and not read.installer.anaconda and tree is not None and not tree.ignition:
        found.append(NO_IGNITION)
    check_strict(found, strict=request.strict)
    return tuple(found)


def accounts_of(payload: Payload) -> tuple[str, ...]:
    """Return the accounts of the image that programs can change: those in its /etc."""
    text = find_text(payload.root, "etc/passwd") if payload.root is not None else None
    return tuple(line[0] for line in fields(text or ""))


def homeless(payload: Payload) -> tuple[str, ...]:
    """Return the accounts of the image whose homes are not in it; root's Anaconda makes."""
    if payload.root is None:
        return ()
    lines = [line for line in fields(find_text(payload.root, "etc/passwd") or "") if line[5:]]
    return tuple(
        line[0]
        for line in lines
        if line[0] != ROOT and find_dir(payload.root, line[5].strip("/")) is None
    )


def groups_of(payload: Payload) -> tuple[str, ...]:
    """Return the groups of the image, as far as it was read."""
    if payload.root is None:
        return ()
    return tuple(dict.fromkeys(line[0] for line in Tree(payload.root).table("group")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What our installer is told of the image, and what systems lack for what is set up in them."""

    excerpt: Mapping[str, Any] | None = None
    lacks: tuple[str, ...] = ()


def noted(request: IsoRequest, read: MediumSources, written: Written) -> Noted:
    """Return what our installer is told; Anaconda is told nothing. Raises UnfitError."""
    payload, installer = read.payload, read.installer
    if installer.anaconda:
        return Noted()
    lacks: tuple[str, ...] = ()
    if read.runtime is not None:
        roots = (payload.root, read.runtime)
        lacks = _lacks(request, written, installer.language, roots)
    held = None
    if payload.root is not None:
        held = excerpt(payload.root, payload.digest, container.root_size(payload.root))
    return Noted(excerpt=held, lacks=lacks)


def _lacks(
    request: IsoRequest, written: Written, version: str, roots: tuple[Directory | None, Directory]
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
    needed = makers.programs(decided.root_filesystem)
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
