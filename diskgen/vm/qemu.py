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
from ..hosttools import install_command, tools_for
from ..run import which
from . import accel, firmware

_MAGIC_QCOW2: Final = b"QFI\xfb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What QEMU calls a machine of an architecture. Data only."""

    program: str
    machine: str
    kinds: tuple[str, ...]  # of firmware, the first is the default
    cpu: str  # under emulation: whatever current distributions need
    devices: tuple[str, ...]


BOARDS: Final[Mapping[str, Board]] = MappingProxyType(
    {
        "x86_64": Board(
            program="qemu-system-x86_64",
            machine="q35",
            kinds=("uefi", "secureboot", "bios"),
            cpu="max",
            devices=("virtio-rng-pci",),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """A machine to start; sizes in MiB. ``write`` False throws away what it writes to the disk."""

    disk: Path
    arch: str = "x86_64"
    firmware: str = "uefi"
    memory: int = 2048
    write: bool = False
    extra: tuple[str | Path, ...] = field(default=())


def command(
    vm: VirtualMachine, scratch: Path, *, serial: Sequence[str | Path]
) -> tuple[list[str | Path], accel.Accelerator]:
    """Return QEMU's command line and the accelerator it takes.

    ``scratch`` receives the machine's firmware variables. Raises HostError or UsageError.
    """
    board = _board(vm.arch)
    if vm.firmware not in board.kinds:
        raise UsageError(
            f"'{vm.arch}' machines have no '{vm.firmware}' firmware",
            hint="there is: " + ", ".join(board.kinds),
            setting="firmware",
        )
    program = which(board.program)
    if program is None:
        raise HostError(
            f"'{board.program}' is not installed",
            hint=install_command(tools_for("boot")),
        )
    chosen = accel.choose(program, guest=vm.arch, host=platform.machine())
    machine = board.machine
    flash: list[str | Path] = []
    if vm.firmware != "bios":
        found = firmware.find(vm.arch, vm.firmware)
        flash = _flash(found, scratch)
        if found.needs_smm:
            machine += ",smm=on"
            flash += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    snapshot = "off" if vm.write else "on"
    drive = f"if=none,id=disk,format={_format(vm.disk)},snapshot={snapshot},file={_quoted(vm.disk)}"
    argv: list[str | Path] = [
        program, "-accel", chosen.name, "-machine", machine,
        "-cpu", "host" if chosen.name == "kvm" else board.cpu,
        "-smp", str(min(os.cpu_count() or 1, 4)), "-m", str(vm.memory), *flash,
        "-drive", drive, "-device", "virtio-blk-pci,drive=disk,bootindex=1",
        "-nodefaults", "-display", "none",
    ]  # fmt: skip
    for device in board.devices:
        argv += ["-device", device]
    return [*argv, *serial, *vm.extra], chosen


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
    code = f"format={found.code_format},readonly=on,file={_quoted(found.code)}"
    state = f"format={found.variables_format},file={_quoted(variables)}"
    return ["-drive", f"if=pflash,unit=0,{code}", "-drive", f"if=pflash,unit=1,{state}"]


def _format(disk: Path) -> str:
    with disk.open("rb") as file:
        return "qcow2" if file.read(4) == _MAGIC_QCOW2 else "raw"


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace(",", ",,")
