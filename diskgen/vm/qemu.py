"""QEMU's command line for a machine that boots a disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..errors import HostError, UsageError
from ..formats.reading import format_of
from ..hosttools import install_command, tools_for
from ..run import which
from . import accel, firmware
from .credentials import strings
from .forward import Forward, check

# What QEMU calls the formats that it reads; to a VMDK of ours it does not write.
_DRIVERS: Final = {"raw": "raw", "qcow2": "qcow2", "vhd": "vpc", "vhdx": "vhdx", "vmdk": "vmdk"}
_WRITABLE: Final = ("raw", "qcow2", "vhd", "vhdx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What QEMU calls a machine of an architecture. Data only."""

    program: str
    machine: str
    kinds: tuple[str, ...]  # of firmware, the first is the default
    cpu: str  # under emulation: whatever current distributions need
    bus: str  # what the names of its virtio devices end in
    smbios: bool = True  # its firmware hands strings to the system


BOARDS: Final[Mapping[str, Board]] = MappingProxyType(
    {
        "x86_64": Board(
            program="qemu-system-x86_64",
            machine="q35",
            kinds=("uefi", "secureboot", "bios"),
            cpu="max",
            bus="pci",
        ),
        "aarch64": Board(
            program="qemu-system-aarch64",
            machine="virt",
            kinds=("uefi", "secureboot"),
            cpu="neoverse-n1",
            bus="pci",
        ),
        "s390x": Board(
            program="qemu-system-s390x",
            machine="s390-ccw-virtio",
            kinds=("ipl",),
            cpu="max",
            bus="ccw",
            smbios=False,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """A machine to start.

    ``firmware`` None is the architecture's first. ``memory`` is in MiB, ``sector_size`` in bytes.
    ``write`` False throws away what it writes to the disk. ``scsi`` attaches the disk by SCSI.
    ``attach`` is how the medium is seen: ``cdrom`` or ``usb``. ``credentials`` are systemd's, by
    name.
    """

    disk: Path
    arch: str = "x86_64"
    firmware: str | None = None
    memory: int = 2048
    sector_size: int = 512
    write: bool = False
    scsi: bool = False
    medium: Path | None = None
    attach: str = "cdrom"
    network: bool = True
    forwards: tuple[Forward, ...] = ()
    credentials: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    extra: tuple[str | Path, ...] = field(default=())


def command(
    vm: VirtualMachine, scratch: Path, *, serial: Sequence[str | Path]
) -> tuple[list[str | Path], accel.Accelerator]:
    """Return QEMU's command line and the accelerator it takes.

    ``scratch`` receives the machine's firmware variables and credentials. Raises HostError or
    UsageError.
    """
    board = _board(vm.arch)
    kind = vm.firmware or board.kinds[0]
    if kind not in board.kinds:
        raise UsageError(
            f"'{vm.arch}' machines have no '{kind}' firmware",
            hint="there is: " + ", ".join(board.kinds),
            setting="firmware",
        )
    program = which(board.program)
    if program is None:
        raise HostError(
            f"'{board.program}' is not installed",
            hint=install_command(tools_for(f"boot-{vm.arch}")),
        )
    chosen = accel.choose(program, guest=vm.arch, host=platform.machine())
    machine = board.machine
    flash: list[str | Path] = []
    if kind in firmware.KINDS:
        found = firmware.find(vm.arch, kind)
        flash = _flash(found, scratch)
        if found.needs_smm:
            machine += ",smm=on"
            flash += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    flash += _credentials(vm, board, scratch)
    snapshot = "off" if vm.write else "on"
    drive = f"if=none,id=disk,format={_format(vm)},snapshot={snapshot},file={quoted(vm.disk)}"
    argv: list[str | Path] = [
        program, "-accel", chosen.name, "-machine", machine,
        "-cpu", "host" if chosen.name == "kvm" else board.cpu,
        "-smp", str(min(os.cpu_count() or 1, 4)), "-m", str(vm.memory), *flash,
        "-nodefaults", "-display", "none", "-drive", drive,
        "-device", f"virtio-rng-{board.bus}",
        "-nic", _network(vm, board),
    ]  # fmt: skip
    # An empty disk comes first, and starts nothing until something is installed on it; firmware
    # that tries one device alone gets the medium. BIOS tries one of its hard disks, as sticks are.
    alone = kind == "ipl" or (kind == "bios" and vm.attach == "usb")
    order = 2 if vm.medium is not None and alone else 1
    attached = f"drive=disk,bootindex={order},{_sectors(vm.sector_size)}"
    if vm.medium is not None:
        argv += _medium(vm.medium, vm.attach, board, 3 - order)
    if vm.scsi:
        argv += ["-device", f"virtio-scsi-{board.bus}", "-device", f"scsi-hd,{attached}"]
    else:
        argv += ["-device", f"virtio-blk-{board.bus},{attached}"]
    return [*argv, *serial, *vm.extra], chosen


def _medium(medium: Path, attach: str, board: Board, order: int) -> list[str | Path]:
    drive = f"if=none,id=medium,format=raw,readonly=on,file={quoted(medium)}"
    if attach == "usb":
        stick = f"usb-storage,drive=medium,bootindex={order}"
        devices = ["-device", "qemu-xhci", "-device", stick]
    else:
        scsi = f"virtio-scsi-{board.bus},id=media"
        devices = [
            "-device",
            scsi,
            "-device",
            f"scsi-cd,bus=media.0,drive=medium,bootindex={order}",
        ]
    return ["-drive", drive, *devices]


def _network(vm: VirtualMachine, board: Board) -> str:
    if vm.network:
        for one in vm.forwards:
            check(one)
        return ",".join([f"user,model=virtio-net-{board.bus}", *(f.rule for f in vm.forwards)])
    if vm.forwards:
        raise UsageError("a machine without a network has no ports", setting="no-network")
    return "none"


def _credentials(vm: VirtualMachine, board: Board, scratch: Path) -> list[str | Path]:
    """Return options that hand over the credentials: by files, for whoever sees our arguments."""
    if not vm.credentials:
        return []
    if not board.smbios:
        raise UsageError(
            f"'{vm.arch}' machines take no credentials: they have no SMBIOS, and their boot loader "
            "takes no arguments from QEMU",
            hint="put the account on the disk or into the image, and log in to that",
            setting="arch",
        )
    options: list[str | Path] = []
    for number, text in enumerate(strings(vm.credentials)):
        path = scratch / f"credential-{number}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        options += ["-smbios", f"type=11,path={quoted(path)}"]
    return options


def _board(arch: str) -> Board:
    board = BOARDS.get(arch)
    if board is None:
        raise UsageError(
            f"'{arch}' machines cannot be booted yet",
            hint="supported: " + ", ".join(BOARDS),
            setting="arch",
        )
    return board


def _flash(found: firmware.Firmware, scratch: Path) -> list[str | Path]:
    variables = scratch / "variables"
    shutil.copyfile(found.variables, variables)
    code = f"format={found.code_format},readonly=on,file={quoted(found.code)}"
    state = f"format={found.variables_format},file={quoted(variables)}"
    return ["-drive", f"if=pflash,unit=0,{code}", "-drive", f"if=pflash,unit=1,{state}"]


def _sectors(size: int) -> str:
    return f"logical_block_size={size},physical_block_size={size}"


def _format(vm: VirtualMachine) -> str:
    """Return what QEMU calls the format of a machine's disk. Raises SourceError, UsageError."""
    name = format_of(vm.disk)
    if name not in _DRIVERS:
        raise UsageError(
            f"'{vm.disk}' is an archive, from which no machine starts",
            hint=f"unpack it and start the disk in it: tar -xSf '{vm.disk}'",
        )
    if vm.write and name not in _WRITABLE:
        raise UsageError(
            f"'{vm.disk}' is a {name}, to which nothing can be written",
            hint=f"qemu-img convert -O qcow2 '{vm.disk}' disk.qcow2, and start that",
            setting="write",
        )
    return _DRIVERS[name]


def quoted(path: Path) -> str:
    """Return a path as options of QEMU have it, in which commas begin others."""
    return str(path.absolute()).replace(",", ",,")
