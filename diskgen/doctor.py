"""Look at this machine: every program a build uses, what is missing, what brings it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from .arch import Machine
from .disk.filesystems import KINDS
from .errors import HostError
from .hosttools import Tool, install_command, tools_for, version_of
from .run import which
from .terminal import page
from .vm import accel, firmware, qemu

_LIBRARIES = ("isal", "pycdlib", "pykickstart", "pyparted", "rich", "zstandard")
# What only some builds take, or no build.
_OF_SOME = ("libvirt", *(use for kind in KINDS.values() for use in kind.uses))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report. ``needed`` is False for what only some commands use."""

    name: str
    found: bool
    needed: bool
    version: str
    purpose: str
    fix: str


def examine(machine: Machine) -> tuple[Finding, ...]:
    """Return a finding for every program, library and accelerator that an architecture takes."""
    uses = ["build", *_OF_SOME, f"boot-{machine.name}", "boot-ssh"]
    uses += ["efi"] * bool(machine.efi_suffix) + ["bios"] * bool(machine.bios_grub)
    findings = [_tool(tool) for tool in tools_for(*uses)]
    findings += [
        Finding(
            name=f"python: {name}",
            found=True,
            needed=True,
            version=metadata.version(name),
            purpose="is part of diskgen",
            fix="",
        )
        for name in _LIBRARIES
    ]
    board = qemu.BOARDS.get(machine.name)
    kinds = [kind for kind in firmware.KINDS if board is not None and kind in board.kinds]
    findings += [_firmware(machine, kind) for kind in kinds]
    findings.append(_accelerator(machine))
    return tuple(findings)


def to_text(findings: tuple[Finding, ...]) -> str:
    """Return the report for people; the last line says whether builds work."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        mark = "ok     " if finding.found else "MISSING" if finding.needed else "absent "
        lines.append(f"{mark} {finding.name:<{width}}  {finding.version or '-'}  {finding.purpose}")
        if finding.fix:
            lines.append(f"        {'':<{width}}  -> {finding.fix}")
    missing = [finding.name for finding in findings if finding.needed and not finding.found]
    lines.append("")
    lines.append(
        f"builds will fail without: {', '.join(missing)}"
        if missing
        else "this machine builds disks"
    )
    return page(lines)


def to_json(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {"version": 1, "findings": [asdict(finding) for finding in findings]}


def _tool(tool: Tool) -> Finding:
    found = version_of(tool)
    return Finding(
        name=tool.names[0],
        found=found is not None,
        needed=not any(use.startswith("boot-") or use in _OF_SOME for use in tool.needed_for),
        version=found[1] if found else "",
        purpose=tool.purpose,
        fix="" if found else install_command((tool,)),
    )


def _firmware(machine: Machine, kind: str) -> Finding:
    fix = ""
    try:
        where = str(firmware.find(machine.name, kind).code)
    except HostError as error:
        where, fix = "", error.hint or ""
    return Finding(
        name=f"firmware: {kind}",
        found=bool(where),
        needed=False,
        version=where,
        purpose="is for 'diskgen boot'",
        fix=fix,
    )


def _accelerator(machine: Machine) -> Finding:
    board = qemu.BOARDS.get(machine.name)
    program = which(board.program) if board else None
    if program is None:
        reason = "there is no QEMU to try it with"
        found = False
    else:
        chosen = accel.choose(program, guest=machine.name, host=platform.machine())
        found, reason = chosen.name == "kvm", chosen.reason
    return Finding(
        name="acceleration (KVM)",
        found=found,
        needed=False,
        version="",
        purpose=f"makes 'diskgen boot' quick: {reason}",
        fix="",
    )
