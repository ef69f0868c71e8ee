"""What a deployment of an image gets: one answer for disks, media and both installers.

Pure. Semantics of what the image asks for: bootc-install-config(5), as ``bootc install`` has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .arch import Machine
from .config import IsoRequest, Request
from .layout import Filesystem
from .ostree import kargs
from .ostree.facts import TreeFacts
from .ostree.installconfig import InstallConfig
from .place import PLACES
from .plan import FIRST_BOOT_VARIABLE
from .reference import SIGNED, UNVERIFIED, ImageRef

DEFAULT_FILESYSTEM: Final = Filesystem.EXT4  # of a root of which nobody says anything
_INSTALLED: Final = PLACES["raw"].platform  # where machines run that an installer makes
# What parsers between a kickstart and the kernel's command line would take for their own.
_NOT_APPENDED: Final = frozenset("'\"\\`$")


class Route(StrEnum):
    """Who makes the machine."""

    DISKGEN = "diskgen"  # here, or as the installer on the machine: it reads the image itself
    ANACONDA = "anaconda"  # it reads a kickstart, and nothing of the image's configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user says of the machine; None and empty leave it to the image."""

    target: ImageRef  # what it updates from
    signature: str | None = None  # rule for the signatures of its updates
    root_filesystem: str | None = None
    kargs: tuple[str, ...] = ()
    karg_deletes: tuple[str, ...] = ()
    console: bool = True  # add the architecture's where nobody names one
    platform: str = _INSTALLED  # as Ignition calls it


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answers. ``known`` says whether the image was read."""

    known: bool
    target: ImageRef
    signature: str
    stateroot: str
    root_filesystem: Filesystem
    image_kargs: tuple[str, ...]
    added: tuple[str, ...]  # for the kind of machine
    deletes: tuple[str, ...]
    user_kargs: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The ``container-image-reference`` of the deployment."""
        return self.target.origin_by(self.signature)

    def kernel_arguments(self, root_uuid: str, boot_uuid: str) -> tuple[str, ...]:
        """Return all arguments but ``ostree=`` of a disk whose filesystems are these.

        Raises SourceError or UsageError for a quote that is never closed.
        """
        fixed = (f"root=UUID={root_uuid}", "rw", f"boot=UUID={boot_uuid}")
        return self._combined(fixed, self.image_kargs)

    @property
    def appended(self) -> tuple[str, ...]:
        """What is given to an installer that names the filesystems by itself.

        Left out is what of the image's cannot be given so. Raises as ``kernel_arguments``.
        """
        image = [word for word in _words(self.image_kargs) if can_be_appended(word)]
        return tuple(
            word.replace('"', "") if can_be_appended(word) else word
            for word in self._combined((), image)
        )

    def _combined(self, fixed: Iterable[str], image: Iterable[str]) -> tuple[str, ...]:
        return kargs.combine(
            fixed=fixed,
            image=image,
            added=self.added,
            deletes=self.deletes,
            user=self.user_kargs,
        )


def wishes(request: Request | IsoRequest) -> Wishes:
    """Return what a request says of the machine."""
    if isinstance(request, IsoRequest):
        return Wishes(
            target=request.tracked, signature=request.signature, kargs=request.install_kargs
        )
    return Wishes(
        target=request.tracked,
        signature=request.signature,
        root_filesystem=request.root_filesystem,
        kargs=request.kargs,
        karg_deletes=request.karg_deletes,
        console=request.console,
        platform=PLACES[request.format].platform,
    )


def decide(wish: Wishes, tree: TreeFacts | None, machine: Machine, route: Route) -> Decision:
    """Return what a deployment gets; ``tree`` is None for an image that is not read here."""
    config = tree.config if tree is not None else InstallConfig()
    rule = wish.signature or (SIGNED if config.enforce_signatures else UNVERIFIED)
    ignition = tree is not None and tree.ignition and route is Route.DISKGEN
    return Decision(
        known=tree is not None,
        target=wish.target,
        signature=rule,
        stateroot=config.stateroot,
        root_filesystem=Filesystem(
            wish.root_filesystem or config.root_filesystem or DEFAULT_FILESYSTEM
        ),
        image_kargs=config.kargs,
        added=(
            *(_ignition(wish, config.kargs) if ignition else ()),
            *_consoles(wish, machine, config.kargs),
        ),
        deletes=(*config.karg_deletes, *wish.karg_deletes),
        user_kargs=wish.kargs,
        warnings=(
            *_origin_doubts(wish.target),
            *(tree.policy_doubts if tree is not None and rule == SIGNED else ()),
            *_wishes(config, machine),
            *(_lost_on_anaconda(tree) if route is Route.ANACONDA else ()),
        ),
    )


def can_be_appended(word: str) -> bool:
    """Say whether a kernel argument means the same behind ``bootloader --append``."""
    bare = word.replace('"', "")
    return not set(bare) & _NOT_APPENDED and len(bare.split()) == 1


def _words(arguments: Iterable[str]) -> list[str]:
    return [word for text in arguments for word in kargs.split(text)]


def _consoles(wish: Wishes, machine: Machine, image_kargs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the consoles to add: none where the image or the user names one already."""
    words = _words((*image_kargs, *wish.kargs))
    named = any(word.startswith("console=") for word in words)
    return () if named or not wish.console else machine.consoles


def _ignition(wish: Wishes, image_kargs: tuple[str, ...]) -> tuple[str, ...]:
    """Return what Ignition needs: its first boot by GRUB's variable, and the platform."""
    words = _words((*image_kargs, *wish.kargs))
    found = [] if FIRST_BOOT_VARIABLE in words else [FIRST_BOOT_VARIABLE]
    if not any(word.startswith("ignition.platform.id=") for word in words):
        found.append(f"ignition.platform.id={wish.platform}")
    return tuple(found)


def _origin_doubts(target: ImageRef) -> Iterator[str]:
    if not target.is_registry:
        yield (
            f"the machine will never update: '{target}' is on this host alone; name what it "
            "updates from in a registry with --target-imgref"
        )


def _wishes(config: InstallConfig, machine: Machine) -> Iterator[str]:
    """Yield what the image's install configuration asks for and does not get."""
    if config.bootloader not in (None, machine.bootloader):
        yield (
            f"the image asks for the boot loader '{config.bootloader}', it gets "
            f"{machine.bootloader}"
        )


def _lost_on_anaconda(tree: TreeFacts | None) -> Iterator[str]:
    """Yield what of an image does not reach machines that Anaconda installs."""
    if tree is None:
        yield (
            "the image is not read here: what its install configuration asks for (kernel "
            "arguments, signatures, stateroot, root filesystem) does not reach machines that "
            "Anaconda installs; name it with --install-karg, --target-signature and --kickstart, "
            "or have it read with --payload both"
        )
        return
    for word in _words(tree.config.kargs):
        if not can_be_appended(word):
            yield (
                f"the image's kernel argument '{word}' cannot be given to Anaconda: the machines "
                "that it installs go without"
            )
    if tree.ignition:
        yield (
            "the image is configured by Ignition at its first boot, which Anaconda does not "
            "prepare: machines that it installs are configured by Anaconda alone"
        )
