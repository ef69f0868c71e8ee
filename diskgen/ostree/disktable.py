"""``disk.yaml`` of an image: how its disks are to be laid out, as far as our table can be so.

The format is image-builder's (osbuild.org, "Sources of Configuration"): a partition table, which
replaces that program's own. Here it says sizes, filesystems and identifiers of the table that every
disk has; what would be another table is an error, and what makes no other machine a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NoReturn
from uuid import UUID

from ..arch import TYPE_BIOS_BOOT
from ..blueprint.document import size_of
from ..config import ROOT_FILESYSTEMS
from ..documents import is_list, is_table
from ..identifiers import DISK, filesystem_name, partition_name
from ..layout import Role

_MOUNTS: Final = {"/": Role.ROOT, "/boot": Role.BOOT, "/boot/efi": Role.ESP}
_SERIAL: Final = re.compile(r"([0-9A-Fa-f]{4})-?([0-9A-Fa-f]{4})")
_FSTAB: Final = ("fstab_options", "fstab_freq", "fstab_passno")
_LARGEST_PASS: Final = 9
_BOOT_FILESYSTEMS: Final = {Role.BOOT: ("ext4",), Role.ESP: ("vfat", "fat", "fat32")}
# A word of fstab(5), and of a line of a unit, whose specifiers begin with %.
_OPTIONS: Final = re.compile(r"[^\s\\\"'#%$]+", re.ASCII)


class Mounted(StrEnum):
    """Which files name what a machine mounts."""

    NONE = "none"
    FSTAB = "fstab"
    UNITS = "units"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """The last fields of a line of fstab(5)."""

    options: str = "defaults"
    freq: int = 0
    passno: int = 0


class TableError(ValueError):
    """A table is not one that a disk can get; the text names the key, and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskTable:
    """What a table says; sizes in bytes, identifiers by DISK, partition_name, filesystem_name."""

    size: int | None = None  # of the disk, at least
    sector_size: int | None = None
    root_filesystem: str | None = None
    root_size: int | None = None  # at least
    sizes: Mapping[Role, int] = field(default_factory=dict[Role, int])
    identifiers: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    mounted: Mounted | None = None  # None: nothing is said of it
    mounts: Mapping[Role, MountOptions] = field(default_factory=dict[Role, MountOptions])
    roles: tuple[Role, ...] = ()  # in order
    warnings: tuple[str, ...] = ()


def read_table(document: object) -> DiskTable:
    """Return what a document says. Raises TableError."""
    top = _Table(document, "")
    said = top.take("mount_configuration", str)
    if said not in (None, *Mounted):
        raise TableError(f"'mount_configuration' is '{said}', known are: " + ", ".join(Mounted))
    mounted = Mounted(said) if said is not None else None
    table = top.table("partition_table")
    top.finish()
    if table is None:
        return DiskTable(mounted=mounted, warnings=tuple(top.doubts))
    kind = table.take("type", str)
    if kind not in (None, "gpt"):
        table.refuse("type", f"a table of type '{kind}'")
    size, sector = table.size("size"), table.size("sector_size")
    identifiers: dict[str, UUID] = {}
    if (disk := table.take("uuid", str)) is not None:
        identifiers[DISK] = table.uuid("uuid", disk)
    for name, usual in (("grain_size", 2**20), ("start_offset", 0), ("absolute_start_offset", 0),
                        ("extra_padding", 0)):  # fmt: skip
        if (value := table.size(name)) not in (None, usual):
            table.refuse(name, f"'{name}' of {value} bytes")
    policy = table.table("policy")
    if policy is not None:
        policy.take("ensure_xbootldr", bool)
        if policy.take("grow_root_to_fill_disk", bool) is False:
            policy.refuse("grow_root_to_fill_disk", "a root that leaves room on the disk")
        policy.finish()
    named = mounted in (Mounted.FSTAB, Mounted.UNITS)
    rows = [_partition(row, named=named) for row in table.rows("partitions")]
    table.finish()
    made = _made(rows, size, sector, identifiers, [*top.doubts, *table.doubts])
    return replace(made, mounted=mounted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One partition."""

    role: Role
    size: int | None
    filesystem: str | None
    identifiers: Mapping[str, UUID]
    mount: MountOptions | None
    doubts: tuple[str, ...]


def _made(
    rows: list[_Row],
    size: int | None,
    sector: int | None,
    identifiers: dict[str, UUID],
    doubts: list[str],
) -> DiskTable:
    roles = [row.role for row in rows]
    for role in roles:
        if roles.count(role) > 1:
            raise TableError(f"'partition_table.partitions' has two partitions for '{role}'")
    for row in rows:
        identifiers |= row.identifiers
        doubts += row.doubts
    for name, value in identifiers.items():
        if not value.int or [*identifiers.values()].count(value) > 1:
            what = "twice" if value.int else "with nothing but zeros"
            raise TableError(
                f"'partition_table' has the identifier of the {name} {what}: '{value}'"
            )
    by_role = {row.role: row for row in rows}
    root = by_role.get(Role.ROOT)
    fixed = (Role.ESP, Role.BOOT)
    return DiskTable(
        size=size,
        sector_size=sector,
        root_filesystem=root.filesystem if root is not None else None,
        root_size=root.size if root is not None else None,
        sizes={role: found for role in fixed
               if role in by_role and (found := by_role[role].size) is not None},
        identifiers=identifiers,
        mounts={row.role: row.mount for row in rows if row.mount is not None},
        roles=tuple(roles),
        warnings=tuple(doubts),
    )  # fmt: skip


def _partition(table: _Table, *, named: bool) -> _Row:
    """Return a partition; ``named`` says whether a file names what is mounted."""
    kind = table.take("payload_type", str)
    if kind not in (None, "filesystem", "no-payload"):
        table.refuse("payload_type", f"a partition of '{kind}'")
    size, number = table.size("size"), table.take("uuid", str)
    payload = table.table("payload")
    code = (table.take("type", str) or "").lower()
    if payload is None:
        if code != str(TYPE_BIOS_BOOT):
            table.refuse("payload", "a partition without a filesystem, but for BIOS boot,")
        role = Role.BIOS_BOOT
        table.take("bootable", bool)
        if size not in (None, 2**20):
            table.refuse("size", f"a BIOS boot partition of {size} bytes")
        size = None
    else:
        mount = payload.take("mountpoint", str)
        if mount not in _MOUNTS:
            payload.refuse("mountpoint", f"a partition for '{mount}'")
        role = _MOUNTS[mount or ""]
    filesystem, mount, identifiers = None, None, dict[str, UUID]()
    if number is not None:
        identifiers[partition_name(role)] = table.uuid("uuid", number)
    if payload is not None:
        filesystem = payload.take("type", str)
        known = _BOOT_FILESYSTEMS.get(role, ROOT_FILESYSTEMS)
        if filesystem not in (None, *known):
            payload.refuse("type", f"'{filesystem}' for {role}")
        if (text := payload.take("uuid", str)) is not None:
            identifiers[filesystem_name(role)] = payload.uuid("uuid", text, serial=role is Role.ESP)
        mount = _mount(payload) if named else None
        for name in ("label", "mkfs_options", *(() if named else _FSTAB)):
            _cosmetic(payload, name)
        payload.finish()
    for name in ("label", "attrs"):
        _cosmetic(table, name)
    if table.take("bootable", bool):
        table.refuse("bootable", f"the bootable partition for {role}")
    table.finish()
    doubts = (*table.doubts, *(payload.doubts if payload is not None else ()))
    return _Row(
        role=role, size=size, filesystem=filesystem, identifiers=identifiers, mount=mount,
        doubts=doubts,
    )  # fmt: skip


def _mount(payload: _Table) -> MountOptions | None:
    """Return how a filesystem is to be mounted, None where nothing is said. Raises TableError."""
    options = payload.take("fstab_options", str)
    freq, passno = (payload.take(name, int) for name in _FSTAB[1:])
    if options is not None and not _OPTIONS.fullmatch(options):
        payload.refuse("fstab_options", f"the options '{options[:40]}'")
    for name, number in zip(_FSTAB[1:], (freq, passno), strict=True):
        if number is not None and not 0 <= number <= _LARGEST_PASS:
            payload.refuse(name, f"'{number}'")
    if options is None and not freq and not passno:
        return None
    return MountOptions(options=options or "defaults", freq=freq or 0, passno=passno or 0)


def _cosmetic(table: _Table, name: str) -> None:
    if table.take(name, object) not in (None, "", 0, [], {}):
        table.doubt(name, "diskgen writes its own")


class _Table:
    """A table of the document, from which keys are taken; what is left is not known."""

    def __init__(self, value: object, path: str) -> None:
        if not is_table(value):
            raise TableError(f"'{path}' is no table" if path else "it is no table of keys")
        self._left: dict[Any, Any] = dict(value)
        self._path = path
        self.doubts: list[str] = []

    def name(self, key: object) -> str:
        """Return a key's whole path."""
        return f"{self._path}.{key}" if self._path else str(key)

    def take(self, key: str, kind: type) -> Any:  # noqa: ANN401
        """Return a value of a kind, None where there is none. Raises TableError."""
        value = self._left.pop(key, None)
        if value is not None and (not isinstance(value, kind) or
                                  (kind is not bool and kind is not object
                                   and isinstance(value, bool))):  # fmt: skip
            raise TableError(f"'{self.name(key)}' is not what it has to be")
        return value

    def size(self, key: str) -> int | None:
        """Return a size in bytes: a number, or a text with a unit. Raises TableError."""
        value = self._left.pop(key, None)
        if value is None or value == 0:
            return None if value is None else 0
        found = size_of(value)
        if found is None:
            raise TableError(f"'{self.name(key)}' is no size, such as 501 MiB")
        return found

    def uuid(self, key: str, text: str, *, serial: bool = False) -> UUID:
        """Return an identifier; FAT's are 32 bits. Raises TableError."""
        found = _SERIAL.fullmatch(text) if serial else None
        try:
            return UUID(hex=f"{found[1]}{found[2]}{'0' * 24}" if found else text)
        except ValueError:
            raise TableError(f"'{self.name(key)}' is no identifier: '{text[:40]}'") from None

    def table(self, key: str) -> _Table | None:
        """Return a table in this one. Raises TableError."""
        value = self._left.pop(key, None)
        return None if value is None else _Table(value, self.name(key))

    def rows(self, key: str) -> Iterator[_Table]:
        """Yield the tables of a list. Raises TableError."""
        value: object = self._left.pop(key, None)
        if value is None:
            return
        if not is_list(value):
            raise TableError(f"'{self.name(key)}' is no list")
        for number, row in enumerate(value):
            yield _Table(row, f"{self.name(key)}[{number}]")

    def doubt(self, key: str, instead: str) -> None:
        """Note what is not done as it is said."""
        self.doubts.append(f"'{self.name(key)}' is left out: {instead}")

    def refuse(self, key: str, what: str) -> NoReturn:
        """Raise TableError for what would be another table."""
        raise TableError(
            f"'{self.name(key)}' asks for what diskgen does not make: {what.rstrip(',')}"
        )

    def finish(self) -> None:
        """Raise TableError for a key that is not known."""
        for key in self._left:
            raise TableError(f"'{self.name(key)}' is not known, or asks for another layout")
