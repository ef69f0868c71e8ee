"""All that differs between architectures, one row each. Data only.

Partition types: UAPI Group, "Discoverable Partitions Specification"; UEFI specification 2.11,
table 5.7. EFI suffixes: UEFI 2.11, table 3.2. Command lines: COMMAND_LINE_SIZE in the kernel's
``arch/*/include/**/asm/setup.h``, of s390 in ``arch/s390/Kconfig``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from uuid import UUID

from .errors import UsageError

TYPE_BIOS_BOOT: Final = UUID("21686148-6449-6e6f-744e-656564454649")
TYPE_ESP: Final = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_XBOOTLDR: Final = UUID("bc13c2ff-59e6-4262-a352-b275fd6f7172")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One architecture: how images name it, what its disks and firmware look like."""

    name: str  # as the kernel and people say it (uname -m)
    oci: str  # as image indexes say it (GOARCH)
    root_type: UUID  # discoverable type of a root partition
    efi_suffix: str | None  # of BOOT<suffix>.EFI, shim<suffix>.efi; None: no UEFI
    bios_grub: str | None  # directory of GRUB's modules for BIOS boot; None: no BIOS
    efi_grub: str | None  # directory of GRUB's modules for UEFI
    consoles: tuple[str, ...]  # kernel arguments, the last one gets /dev/console
    serial_grub: str | None  # GRUB's serial command for the console above
    aliases: tuple[str, ...] = ()  # other spellings people use
    variants: tuple[str, ...] = ()  # that registry clients know, most capable first
    variant: str = ""  # of its images: what its clients look for, or what the user asked for
    command_line: int  # bytes that its kernels take, the last one NUL
    bootloader: str = "grub"  # a name of bootloader.choose.LOADERS
    supported: bool = True


_ROWS: Final = (
    Machine(
        name="x86_64",
        oci="amd64",
        root_type=UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        efi_suffix="x64",
        bios_grub="i386-pc",
        efi_grub="x86_64-efi",
        consoles=("console=tty0", "console=ttyS0,115200n8"),
        serial_grub="serial --unit=0 --speed=115200",
        command_line=2048,
        aliases=("amd64", "x86-64"),
    ),
    Machine(
        name="aarch64",
        oci="arm64",
        root_type=UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"),
        efi_suffix="aa64",
        bios_grub=None,
        efi_grub="arm64-efi",
        consoles=("console=tty0", "console=ttyAMA0,115200n8"),
        serial_grub=None,  # the firmware's console is the serial line
        command_line=2048,
        aliases=("arm64",),
        variants=("v8",),
        variant="v8",  # clients read it from the processor there, and only there
    ),
    Machine(
        name="s390x",
        oci="s390x",
        root_type=UUID("5eead9a9-fe09-4a1e-a1d7-520d00531306"),
        efi_suffix=None,
        bios_grub=None,
        efi_grub=None,
        consoles=("console=ttysclp0",),
        serial_grub=None,
        # CONFIG_COMMAND_LINE_SIZE, by default, since Linux 5.16. What a kernel takes it says itself
        # (arch/s390/boot/head.S); one that says nothing takes 896.
        command_line=4096,
        bootloader="zipl",
    ),
    Machine(
        name="ppc64le",
        oci="ppc64le",
        root_type=UUID("c31c45e6-3f39-412e-80fb-4809c4980599"),
        efi_suffix=None,
        bios_grub=None,
        efi_grub=None,
        consoles=("console=tty0", "console=hvc0"),
        serial_grub=None,
        command_line=2048,
        aliases=("powerpc64le",),
        supported=False,
    ),
    Machine(
        name="riscv64",
        oci="riscv64",
        root_type=UUID("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
        efi_suffix="riscv64",
        bios_grub=None,
        efi_grub="riscv64-efi",
        consoles=("console=tty0", "console=ttyS0,115200n8"),
        serial_grub=None,
        command_line=1024,
        supported=False,
    ),
)

MACHINES: Final[Mapping[str, Machine]] = MappingProxyType({m.name: m for m in _ROWS})
_VARIANT: Final = re.compile(r"v[0-9]{1,3}(\.[0-9]{1,3})?")


def machine(name: str) -> Machine:
    """Return the row for an architecture by any of its spellings, with the variant behind it.

    ``x86_64``, ``amd64/v3``, ``linux/arm64``. Raises UsageError.
    """
    text, slash, variant = name.lower().removeprefix("linux/").partition("/")
    row = find(text)
    if row is None:
        raise UsageError(
            f"'{name}' is not an architecture diskgen knows",
            hint="known are: " + ", ".join(MACHINES),
            setting="arch",
        )
    if slash and not _VARIANT.fullmatch(variant):
        raise UsageError(
            f"'{name}' names no variant of an architecture",
            hint=f"write it like {row.name}/v3",
            setting="arch",
        )
    return replace(row, variant=variant) if variant else row


def find(name: str) -> Machine | None:
    """Return the row for an architecture by any of its spellings; None where there is none."""
    return next((row for row in _ROWS if name.lower() in (row.name, *row.aliases)), None)
