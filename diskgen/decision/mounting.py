"""What a machine mounts, and which files say so: as the image's ``disk.yaml`` asks for it.

Without a word of it a disk has bootc's line for /boot, and systemd finds the rest. Formats:
fstab(5), systemd.mount(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..arch import Machine
from ..blueprint.model import AddedFile, Customizations
from ..identifiers import filesystem_name
from ..layout import Filesystem, Role, serial_text
from ..layout.table import Spec, specs
from ..ostree.disktable import DiskTable, Mounted, MountOptions
from ..ostree.prepare_root import Composefs
from ..plan import Identity
from .answers import Decision

_UNITS: Final = "/etc/systemd/system"
# What is said of a filesystem where the table says nothing.
_USUAL: Final = {
    Role.ROOT: MountOptions(options="defaults"),
    Role.BOOT: MountOptions(options="ro"),
    Role.ESP: MountOptions(options="umask=0077,shortname=winnt", passno=2),
}
_READ_ONLY: Final = MountOptions(options="ro")  # an overlay takes none of its image's options
_LINKS: Final = {
    "UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A filesystem as fstab(5) names it."""

    spec: str
    place: str
    filesystem: str
    how: MountOptions


def mounts(
    table: DiskTable, decided: Decision, identity: Identity, machine: Machine, root: Composefs
) -> Iterator[Mount]:
    """Yield what a disk's machine mounts, the root first; ``root`` says how that is mounted.

    Left out is what the image's install configuration lets nothing name.
    """
    named = {Role.ROOT: decided.root_spec, Role.BOOT: decided.boot_spec}
    known = [spec for spec in specs(machine, decided.root_filesystem) if spec.mountpoint]
    for spec in sorted(known, key=lambda spec: spec.mountpoint or ""):
        assert spec.mountpoint is not None
        name = named.get(spec.role)
        if name == "":
            continue
        if name is None:
            name = _name(spec, identity)
        usual = _USUAL[spec.role]
        if spec.role is Role.ROOT and decided.subvolume is not None:
            usual = replace(usual, options=f"subvol={decided.subvolume}")
        if spec.role is Role.ROOT and root is not Composefs.NO:
            usual = _READ_ONLY
        yield Mount(
            spec=name,
            place=spec.mountpoint,
            filesystem=str(spec.filesystem),
            how=table.mounts.get(spec.role, usual),
        )


def _name(spec: Spec, identity: Identity) -> str:
    """Return what names a filesystem: its identifier, if the first boot does not replace that."""
    if filesystem_name(spec.role) in identity.renewed:
        return f"LABEL={spec.label}"
    number = identity.filesystem(spec.role)
    vfat = spec.filesystem is Filesystem.VFAT
    return f"UUID={serial_text(number) if vfat else number}"


def with_mounts(
    wanted: Customizations, said: Mounted | None, found: Sequence[Mount]
) -> Customizations:
    """Return what a machine is given, and the files that name what it mounts.

    What is said of such a unit counts: one that is masked or written by others is not written.
    """
    if said is Mounted.FSTAB:
        file = AddedFile(path="/etc/fstab", data=lines(found).encode(), group=0)
        return replace(wanted, files=(*wanted.files, file))
    if said is not Mounted.UNITS:
        return wanted
    services, theirs = wanted.services, {file.path for file in wanted.files}
    units = {
        name: unit(mount)
        for mount in found
        if (name := unit_name(mount.place)) not in services.masked
        and f"{_UNITS}/{name}" not in theirs
    }
    files = [
        AddedFile(path=f"{_UNITS}/{name}", data=text.encode(), group=0)
        for name, text in units.items()
    ]
    enabled = [name for name in units if name not in services.disabled]
    services = replace(services, enabled=(*services.enabled, *enabled))
    return replace(wanted, files=(*wanted.files, *files), services=services)


def lines(found: Sequence[Mount]) -> str:
    """Return filesystems as fstab(5) has them, a line each."""
    return "".join(
        f"{one.spec} {one.place} {one.filesystem} {one.how.options} {one.how.freq} "
        f"{one.how.passno}\n"
        for one in found
    )


def unit_name(place: str) -> str:
    """Return the unit of a mount point, as systemd-escape(1) calls it; for plain paths alone."""
    return f"{place.strip('/').replace('/', '-') or '-'}.mount"


def unit(mount: Mount) -> str:
    """Return a unit that mounts, as what systemd makes of a line of fstab(5) does."""
    tag, equals, name = mount.spec.partition("=")
    what = f"/dev/disk/{_LINKS[tag]}/{name}" if equals and tag in _LINKS else mount.spec
    return (
        f"[Mount]\nWhat={what}\nWhere={mount.place}\nType={mount.filesystem}\n"
        f"Options={mount.how.options}\n\n[Install]\nRequiredBy=local-fs.target\n"
    )
