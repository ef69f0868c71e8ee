"""The answers: origin, signatures, kernel arguments and filesystems, by image and wishes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from ..arch import Machine
from ..errors import Problem
from ..layout import Filesystem
from ..ostree import kargs
from ..ostree.disktable import Mounted
from ..ostree.facts import TreeFacts
from ..ostree.installconfig import InstallConfig
from ..place import Place
from ..plan import FIRST_BOOT_VARIABLE
from ..reference import SIGNED, UNVERIFIED, ImageRef
from . import unmet
from .unmet import can_be_appended, can_be_completed
from .wishes import Route, Wishes

DEFAULT_FILESYSTEM: Final = Filesystem.EXT4  # of a root of which nobody says anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answers; ``problems`` are reasons why no such machine can be made.

    A mount's ``spec`` is what ``root=`` or ``boot=`` name: None by the filesystem's identifier,
    empty for no such argument.
    """

    known: bool  # whether the image was read
    target: ImageRef
    signature: str
    stateroot: str
    root_filesystem: Filesystem
    root_spec: str | None
    boot_spec: str | None
    name_boot_uuid: bool  # in bootuuid.cfg, for the image's boot loader
    bls_append_except_default: str | None
    image_kargs: tuple[str, ...]
    added: tuple[str, ...]  # for the kind of machine
    deletes: tuple[str, ...]
    user_kargs: tuple[str, ...]
    setting: str = "karg"  # the option that those come from
    mounted: Mounted | None = None  # which files name what is mounted; None: bootc's line for /boot
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def origin(self) -> str:
        """The ``container-image-reference`` of the deployment."""
        return self.target.origin_by(self.signature)

    @property
    def subvolume(self) -> str | None:
        """The btrfs subvolume that is the root; None is the top itself, which ``/`` names."""
        if self.root_filesystem is not Filesystem.BTRFS:
            return None
        named = unmet.subvolume_of(self.words)
        return unmet.USUAL_SUBVOLUME if named is None else named or None

    @property
    def words(self) -> tuple[str, ...]:
        """The kernel arguments of whichever filesystems. Raises as ``kernel_arguments``."""
        return self._combined((), self.image_kargs)

    def kernel_arguments(self, root_uuid: str, boot_uuid: str) -> tuple[str, ...]:
        """Return all arguments but ``ostree=`` of a disk whose filesystems are these.

        Raises SourceError or UsageError for a quote that is never closed.
        """
        root = f"UUID={root_uuid}" if self.root_spec is None else self.root_spec
        boot = f"UUID={boot_uuid}" if self.boot_spec is None else self.boot_spec
        fixed = [f"root={root}"] * bool(root) + ["rw"] + [f"boot={boot}"] * bool(boot)
        return self._combined(fixed, self.image_kargs)

    @property
    def appended(self) -> tuple[str, ...]:
        """What is given to an installer that names the filesystems by itself.

        Left out is what of the image's cannot be given so, which ``completed`` has. Raises as
        ``kernel_arguments``.
        """
        image = [word for word in _words(self.image_kargs) if can_be_appended(word)]
        return tuple(
            word.replace('"', "") if can_be_appended(word) else word
            for word in self._combined((), image)
        )

    @property
    def completed(self) -> tuple[str, ...]:
        """What brings an installer's own arguments to ours, where ``appended`` cannot say it.

        ``-KEY`` and ``-KEY=VALUE`` go, whoever set them; then each ``+WORD`` comes, in this order.
        Raises as ``kernel_arguments``.
        """
        if not self.deletes and all(map(can_be_appended, _words(self.image_kargs))):
            return ()
        return (
            *(f"-{word}" for word in _words(self.deletes) if can_be_completed(word)),
            *(f"+{word}" for word in self.words if can_be_completed(word)),
        )

    def _combined(self, fixed: Iterable[str], image: Iterable[str]) -> tuple[str, ...]:
        return kargs.combine(
            fixed=fixed,
            image=image,
            added=self.added,
            deletes=self.deletes,
            user=self.user_kargs,
            setting=self.setting,
        )


def decide(wish: Wishes, tree: TreeFacts | None, machine: Machine, route: Route) -> Decision:
    """Return what a deployment gets; ``tree`` is None for an image that is not read here.

    Raises SourceError or UsageError for kernel arguments that are none.
    """
    config = tree.config if tree is not None else InstallConfig()
    rule = wish.signature or (SIGNED if config.enforce_signatures else UNVERIFIED)
    ignition = tree is not None and tree.ignition and route is Route.DISKGEN
    discovered = config.discoverable_partitions and unmet.can_be_discovered(machine)
    made = Decision(
        known=tree is not None,
        target=wish.target,
        signature=rule,
        stateroot=wish.stateroot or config.stateroot,
        root_filesystem=Filesystem(
            wish.root_filesystem
            or (tree.embedded.root_filesystem if tree is not None else None)
            or config.root_filesystem
            or DEFAULT_FILESYSTEM
        ),
        root_spec=config.root_mount_spec
        if config.root_mount_spec is not None
        else ""
        if discovered
        else None,
        boot_spec=config.boot_mount_spec,
        name_boot_uuid=not config.skip_boot_uuid,
        bls_append_except_default=config.bls_append_except_default,
        image_kargs=config.kargs,
        added=(
            *(_ignition(wish, config.kargs) if ignition else ()),
            *_consoles(wish, machine, config.kargs),
            *_of_places(wish, config.kargs),
        ),
        deletes=(*config.karg_deletes, *wish.karg_deletes),
        user_kargs=wish.kargs,
        setting="install-karg" if wish.medium else "karg",
        mounted=tree.embedded.mounted if tree is not None and route is Route.DISKGEN else None,
    )
    return replace(
        made,
        warnings=(
            *unmet.of_origin(wish.target),
            *(tree.policy_doubts if tree is not None and rule == SIGNED else ()),
            *unmet.of_keys(config, machine, route),
            *(unmet.of_specs(config) if route is Route.DISKGEN else ()),
            *(_of_mounts(tree, made, machine, route) if tree is not None else ()),
            *(unmet.on_anaconda(tree) if route is Route.ANACONDA else ()),
        ),
        problems=(
            *unmet.encryption(config, wish),
            *_mountable(made, wish),
            *(unmet.sealed(tree, made.root_filesystem, wish, route) if tree is not None else ()),
        ),
    )


def _of_mounts(tree: TreeFacts, made: Decision, machine: Machine, route: Route) -> Iterator[str]:
    """Yield what becomes of the image's files of mounts, and what none of them names."""
    own = made.mounted is Mounted.FSTAB or (made.mounted is None and made.boot_spec != "")
    yield from unmet.of_files(tree, replaced=route is Route.ANACONDA or own)
    if route is Route.DISKGEN:
        yield from unmet.of_mounts(tree.embedded, machine)


def _mountable(made: Decision, wish: Wishes) -> Iterator[Problem]:
    if wish.partitions:
        yield from unmet.subvolumes(made.words, made.root_filesystem, medium=wish.medium)


def _words(arguments: Iterable[str]) -> list[str]:
    return [word for text in arguments for word in kargs.split(text)]


def _consoles(wish: Wishes, machine: Machine, image_kargs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the consoles to add: none where the image or the user names one already."""
    words = _words((*image_kargs, *wish.kargs))
    named = any(word.startswith("console=") for word in words)
    if named or not wish.console:
        return ()
    wanted = (word for place in wish.places for word in consoles_at(place, machine))
    found: dict[str, str] = {}
    for word in wanted:
        found.setdefault(device_of(word), word)
    return tuple(found.values())


def consoles_at(place: Place, machine: Machine) -> tuple[str, ...]:
    """Return the consoles that machines of an architecture have at a place."""
    return place.consoles.get(machine.name, machine.consoles)


def device_of(console: str) -> str:
    """Return the device that a ``console=`` names."""
    return console.partition("=")[2].partition(",")[0]


def _of_places(wish: Wishes, image_kargs: tuple[str, ...]) -> tuple[str, ...]:
    """Return what places want beside consoles, where neither the image nor the user says it."""
    words = _words((*image_kargs, *wish.kargs))
    named = {kargs.key_of(word) for word in words}
    wanted = dict.fromkeys(word for place in wish.places for word in place.kargs)
    return tuple(word for word in wanted if kargs.key_of(word) not in named)


def _ignition(wish: Wishes, image_kargs: tuple[str, ...]) -> tuple[str, ...]:
    """Return what Ignition needs: its first boot by GRUB's variable, and the platform."""
    words = _words((*image_kargs, *wish.kargs))
    found = [] if FIRST_BOOT_VARIABLE in words else [FIRST_BOOT_VARIABLE]
    if not any(word.startswith("ignition.platform.id=") for word in words):
        found.append(f"ignition.platform.id={wish.places[0].platform}")
    return tuple(found)
