"""What an image asks for and a machine does not get: by name, with the way out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..arch import Machine
from ..config import Request
from ..errors import Problem
from ..layout import Filesystem, Role
from ..ostree import kargs
from ..ostree.disktable import Mounted
from ..ostree.embedded import Embedded
from ..ostree.facts import TreeFacts
from ..ostree.installconfig import KEYS, InstallConfig
from ..reference import ImageRef
from .wishes import Route, Wishes

_DIRECT: Final = "direct"  # of block setups: no encryption
# What parsers between a kickstart and the kernel's command line would take for their own.
_NOT_APPENDED: Final = frozenset("'\"\\`$")
# Those that are written with fs-verity: into a disk's file, and by our installer.
_SEALABLE: Final = (Filesystem.EXT4, Filesystem.BTRFS)
_SEALABLE_ON_MACHINES: Final = (Filesystem.EXT4,)
USUAL_SUBVOLUME: Final = "root"  # where nothing names one
_SUBVOLUME: Final = re.compile(r"[A-Za-z0-9@_][A-Za-z0-9@_.-]*(/[A-Za-z0-9@_][A-Za-z0-9@_.-]*)*")
# Tags of fstab(5).
_IDENTIFIERS: Final = frozenset({"UUID", "PARTUUID"})
_NAMES: Final = frozenset({"LABEL", "PARTLABEL"})
_SHOWN: Final = 60  # characters of a line


@dataclass(frozen=True, slots=True)
class _WayOut:
    """What helps against a root that cannot be mounted: its kind, or the subvolume's name."""

    kind: str
    name: str
    setting: str | None


_OF_DISK: Final = _WayOut(
    "take another one (--rootfs), or drop the argument: --karg-delete rootflags",
    "drop the argument (--karg-delete rootflags), and name it by a plain path: --karg "
    "rootflags=subvol=root",
    None,
)
# No option of media changes what the image asks for: whoever installs another image gets that.
_OF_MEDIUM: Final = _WayOut(
    "let the image ask for what fits (filesystem.root.type, kargs), give no such --install-karg, "
    "or partition the disk by a kickstart of your own: --kickstart",
    "let the image name it by a plain path (rootflags=subvol=root), or partition the disk by a "
    "kickstart of your own: --kickstart",
    "kickstart",
)


# What comes of a root that is to be found by its partition's type: where that works, and where not.
_DISCOVERY: Final = {
    True: "root= is left out: started by BIOS, or by a GRUB without its module bli, the machine "
    "finds no root; leave the key out of the image to have it named",
    False: "root= names it all the same, as no firmware tells this machine which disk it started "
    "from",
}


def can_be_discovered(machine: Machine) -> bool:
    """Say whether a root can be found by its partition's type.

    systemd-gpt-auto-generator(8) looks on the disk which a variable of UEFI names.
    """
    return bool(machine.efi_suffix)


def can_be_appended(word: str) -> bool:
    """Say whether a kernel argument means the same behind ``bootloader --append``."""
    bare = word.replace('"', "")
    return not set(bare) & _NOT_APPENDED and len(bare.split()) == 1


def can_be_completed(word: str) -> bool:
    """Say whether a kernel argument can stand on a line of a script behind the installation."""
    return not any(unicodedata.category(char) == "Cc" for char in word)


def of_origin(target: ImageRef) -> Iterator[str]:
    """Yield why a machine would never find updates."""
    if not target.is_remote:
        yield (
            f"the machine will never update: '{target}' is on this host alone; name what it "
            "updates from in a registry with --target-imgref"
        )


def of_keys(config: InstallConfig, machine: Machine, route: Route) -> Iterator[str]:
    """Yield the keys of the install configuration that are not obeyed, by KEYS."""
    for name, value in config.said.items():
        key = KEYS[name]
        instead = key.anaconda if route is Route.ANACONDA else key.diskgen
        if instead is not None and not _is_usual(name, value, machine, config):
            said = f"'{value}'" if isinstance(value, str) else str(value).lower()
            yield (
                f"the image's install configuration has {name} = {said}: "
                + instead.format(
                    loader=machine.bootloader, discovery=_DISCOVERY[can_be_discovered(machine)]
                )
            )


def of_specs(config: InstallConfig) -> Iterator[str]:
    """Yield which names of what is mounted no filesystem of our disks has."""
    for key, spec, role in (
        ("root-mount-spec", config.root_mount_spec, Role.ROOT),
        ("boot-mount-spec", config.boot_mount_spec, Role.BOOT),
    ):
        kind, _equals, name = (spec or "").partition("=")
        # Filesystems and partitions are called as their role is; identifiers differ by disk.
        if kind in _IDENTIFIERS or (kind in _NAMES and name != role):
            yield (
                f"the image's install configuration has {key} = '{spec}', which nothing on the "
                f"machine is called: it will not be mounted; LABEL={role} would be found"
            )


def of_files(tree: TreeFacts, *, replaced: bool) -> Iterator[str]:
    """Yield what becomes of files that every machine should have of its own.

    ``replaced`` says whether the machine gets another fstab.
    """
    if tree.fstab:
        lines = f"{len(tree.fstab)} lines" if tree.fstab[1:] else "a line"
        fate = (
            "the machine has its own instead; mount by units of systemd"
            if replaced
            else "the machine keeps them, and mounts what they name"
        )
        yield (
            f"the image's '/etc/fstab' has {lines} of its own ('{tree.fstab[0][:_SHOWN]}'): {fate}"
        )
    if tree.machine_id:
        yield (
            "the image's '/etc/machine-id' is filled, and stays: all machines of the image will "
            "have one identity; empty it in the image's build"
        )


def of_mounts(embedded: Embedded, machine: Machine) -> Iterator[str]:
    """Yield that nothing mounts /boot, which updates need, where no firmware tells of the disk."""
    if embedded.mounted is Mounted.NONE and (machine.bios_grub or not can_be_discovered(machine)):
        yield (
            f"'{embedded.table_path}' of the image has mount_configuration = 'none': no file names "
            "/boot, and a machine that is not started by UEFI does not find it; units of the image "
            "would"
        )


def of_sectors(embedded: Embedded, request: Request) -> Iterator[str]:
    """Yield that a disk that is there has other sectors than the image's table is for."""
    table = embedded.table
    if request.installed and table is not None and (
        table.sector_size not in (None, request.sector_size)
    ):  # fmt: skip
        yield (
            f"'{embedded.table_path}' of the image is for sectors of {table.sector_size} "
            f"bytes, and the disk has {request.sector_size}: it is written as it is"
        )


def on_anaconda(tree: TreeFacts | None) -> Iterator[str]:
    """Yield what else of an image does not reach machines that Anaconda installs."""
    if tree is None:
        yield (
            "the image is not read here: what its install configuration asks for (kernel "
            "arguments, signatures, stateroot, root filesystem) does not reach machines that "
            "Anaconda installs; name it with --install-karg, --target-signature and --kickstart, "
            "or have it read with --payload both"
        )
        return
    if tree.embedded.table is not None:
        yield (
            f"'{tree.embedded.table_path}' of the image says how disks are laid out, which "
            "Anaconda does by itself: its root filesystem alone is obeyed"
        )
    words = [word for text in tree.config.kargs for word in kargs.split(text)]
    for word in words:
        if not can_be_completed(word):
            yield (
                f"the image's kernel argument {word!r} has characters of control: the machines "
                "that Anaconda installs go without"
            )
    if tree.ignition:
        yield (
            "the image is configured by Ignition at its first boot, which Anaconda does not "
            "prepare: machines that it installs are configured by Anaconda alone"
        )


def encryption(config: InstallConfig, wish: Wishes) -> Iterator[Problem]:
    """Yield that the image asks for an encryption which it would not get."""
    if config.block and config.block[0] != _DIRECT and wish.partitions and not wish.no_encryption:
        yield Problem(
            code="encryption",
            message=f"the image asks for an encrypted root filesystem (block = "
            f"'{config.block[0]}'), which diskgen does not make",
            hint="--no-encryption leaves it unencrypted, if that is what you want",
            setting="no-encryption",
        )


def sealed(tree: TreeFacts, kind: Filesystem, wish: Wishes, route: Route) -> Iterator[Problem]:
    """Yield that a root which fs-verity is to guard would not be guarded."""
    if not tree.composefs.sealed:
        return
    asked = f"this image's root is guarded by fs-verity (composefs.enabled={tree.composefs})"
    if route is Route.ANACONDA:
        yield Problem(
            code="composefs",
            message=f"{asked}, which the filesystems that Anaconda makes do not have",
            hint="make disks of it, or a medium with diskgen's own installer",
        )
    elif wish.medium and kind not in _SEALABLE_ON_MACHINES:
        yield Problem(
            code="composefs",
            message=f"{asked}, which diskgen's own installer does not write on {kind}",
            hint="let the image ask for ext4 (filesystem.root.type)",
        )
    elif kind not in _SEALABLE:
        yield Problem(
            code="composefs",
            message=f"{asked}, which diskgen does not write on {kind}",
            hint="take another one: --rootfs ext4, or btrfs",
            setting="rootfs",
        )


def subvolume_of(words: Iterable[str]) -> str | None:
    """Return the btrfs subvolume that kernel arguments name for the root; the last one counts.

    It is "" for the top, which is none, and None where nothing is named.
    """
    named = None
    for option in _root_flags(words):
        name, _equals, value = option.partition("=")
        if name == "subvol":
            named = value.strip("/")
    return named


def subvolumes(words: Iterable[str], kind: Filesystem, *, medium: bool) -> Iterator[Problem]:
    """Yield why a root filesystem of a kind could not be mounted as ``rootflags=`` say."""
    words = list(words)
    way_out = _OF_MEDIUM if medium else _OF_DISK
    named = subvolume_of(words)
    numbers = [o for o in _root_flags(words) if o.partition("=")[0] == "subvolid"]
    if kind is not Filesystem.BTRFS:
        for what in [f"subvol={named or '/'}"] * (named is not None) + numbers:
            yield Problem(
                code="rootflags",
                message=f"the machine could not mount its root: 'rootflags={what}' is for btrfs, "
                f"and the root filesystem is {kind}",
                hint=way_out.kind,
                setting=way_out.setting,
            )
    elif numbers or (named and not _SUBVOLUME.fullmatch(named)):
        what = f"subvol={named}" if not numbers else numbers[0]
        yield Problem(
            code="rootflags",
            message=f"diskgen cannot make the subvolume that 'rootflags={what}' names",
            hint=way_out.name,
            setting=way_out.setting,
        )


def _root_flags(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        key, _equals, value = word.replace('"', "").partition("=")
        if key == "rootflags":
            yield from value.split(",")


def _is_usual(name: str, value: Any, machine: Machine, config: InstallConfig) -> bool:  # noqa: ANN401 - of TOML
    """Say whether a value asks for what every machine gets."""
    if name == "block":
        return not value or value[0] == _DIRECT
    if name == "discoverable-partitions" and config.root_mount_spec is not None:
        return True  # which says what names the root
    if name == "bootloader":
        return bool(value == machine.bootloader)
    return value is False
