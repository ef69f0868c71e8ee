"""The ways in which firmware can start a disk, from the code that lies where each looks for it.

UEFI specification 2.11, 3.5.1.1 (removable media); GRUB manual, "BIOS installation"; s390-tools'
``include/boot``; PAPR, "PReP boot partition".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ..arch import MACHINES, TYPE_BIOS_BOOT, TYPE_ESP, Machine
from ..bootloader.grub import is_signed
from ..disk.gpt import Entry
from ..errors import DiskgenError
from ..formats.reading import Disk
from ..units import MIB
from .filesystems import Found

_PREP: Final = UUID("9e1a2d38-c612-4316-aa26-8b49521e5a8b")
_BOOT_CODE: Final = 440
_ZIPL: Final = b"zIPL"
_MAX_PROGRAM: Final = 16 * MIB


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, and what lies in it."""

    entry: Entry
    found: Found | None


def ways(disk: Disk, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
    """Return every way that this disk has something for; its name, whether it works, and why.

    Raises SourceError where the disk cannot be read.
    """
    first = disk.read_at(0, 512)
    found: list[dict[str, Any]] = []
    for part in partitions:
        if part.entry.type == TYPE_ESP:
            found += _uefi(part.found)
        elif part.entry.type == TYPE_BIOS_BOOT:
            core = disk.read_at(part.entry.start, 512)
            code = any(first[:_BOOT_CODE]) and any(core)
            reason = "boot code, and a core image in its partition" if code else "no boot code"
            found.append(_way("bios", works=code, reason=reason))
        elif part.entry.type == _PREP:
            code = disk.read_at(part.entry.start, 4) == b"\x7fELF"
            found.append(
                _way(
                    "prep",
                    works=code,
                    reason="a program in its partition" if code else "no program",
                )
            )
    if first.startswith(_ZIPL):
        found.append(_way("ipl", works=True, reason="a boot map for virtio, SCSI and FCP disks"))
    return found


def architecture(partitions: Sequence[Partition], ways_: Sequence[dict[str, Any]]) -> str | None:
    """Return what a disk is for, a name of ``arch.MACHINES``; None where nothing tells."""
    types = {part.entry.type for part in partitions}
    for row in MACHINES.values():
        if row.root_type in types:
            return row.name
    named = next((way["architecture"] for way in ways_ if way.get("architecture")), None)
    return named or ("s390x" if any(way["name"] == "ipl" for way in ways_) else None)


def _way(name: str, *, works: bool, reason: str, machine: Machine | None = None) -> dict[str, Any]:
    way: dict[str, Any] = {"name": name, "works": works, "reason": reason}
    return way | ({"architecture": machine.name} if machine is not None else {})


def _uefi(found: Found | None) -> Iterator[dict[str, Any]]:
    if found is None or found.fat is None:
        note = found.note if found is not None else None
        yield _way("uefi", works=False, reason=note or "there is no FAT in its partition")
        return
    volume = found.fat
    try:
        files = {name.upper(): entry for name, entry in volume.walk()}
        for row in MACHINES.values():
            path = f"EFI/BOOT/BOOT{(row.efi_suffix or '').upper()}.EFI"
            entry = files.get(path)
            if row.efi_suffix is None or entry is None:
                continue
            yield _way("uefi", works=True, reason=f"'{path}' is there", machine=row)
            signed = entry.size <= _MAX_PROGRAM and is_signed(volume.content(entry))
            reason = "it is signed; by whom is not looked at" if signed else "it is not signed"
            yield _way("secureboot", works=signed, reason=reason, machine=row)
            return
        programs = sorted(name for name in files if name.endswith(".EFI"))
    except DiskgenError as error:
        yield _way("uefi", works=False, reason=error.message)
        return
    reason = f"where the firmware has an entry for '{programs[0]}'" if programs else "no program"
    yield _way("uefi", works=False, reason=reason)
