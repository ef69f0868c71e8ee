"""Find out whether hardware acceleration really works: by running something on it.

/dev/kvm may open, create machines, and still be a software emulator hundreds of times slower than
QEMU's own, or hang. So a tiny machine counts to fifty million under a deadline, with the very
binary and options that will be used.
"""

from __future__ import annotations

import os
import platform
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import HostError, ToolError, UsageError
from ..run import run, which

_DEADLINE: Final = 3.0  # seconds; a working KVM needs a twentieth of one
_ITERATIONS: Final = 50_000_000
_PASS_STATUS: Final = 33  # (16 << 1) | 1: what isa-debug-exit makes of 16
_ENVIRONMENT: Final = "DISKGEN_ACCEL"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """QEMU's name of the accelerator to use, and why."""

    name: str  # kvm or tcg
    reason: str


def choose(qemu: Path, *, guest: str, host: str) -> Accelerator:
    """Return the accelerator for a guest architecture on this host. Never hangs.

    Raises UsageError when the environment asks for an accelerator that does not exist.
    """
    wanted = os.environ.get(_ENVIRONMENT)
    if wanted:
        if wanted not in ("kvm", "tcg"):
            raise UsageError(
                f"'{wanted}' is no accelerator", hint=f"{_ENVIRONMENT} may be kvm or tcg"
            )
        return Accelerator(wanted, f"{_ENVIRONMENT} says so")
    if guest != host:
        return Accelerator("tcg", f"a {guest} machine is emulated on {host}")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        there = Path("/dev/kvm").exists()
        return Accelerator(
            "tcg", "/dev/kvm cannot be opened by this user" if there else "there is no /dev/kvm"
        )
    if guest != "x86_64":
        return Accelerator("kvm", "/dev/kvm can be opened")
    return _probe(qemu)


def of_host() -> Accelerator:
    """Return the accelerator for machines of this host's own architecture."""
    arch = platform.machine()
    qemu = which(f"qemu-system-{arch}", "qemu-kvm")
    if qemu is None:
        return Accelerator("tcg", "there is no QEMU to try KVM with")
    return choose(qemu, guest=arch, host=arch)


def _probe(qemu: Path) -> Accelerator:
    with tempfile.TemporaryDirectory(prefix="diskgen-") as scratch:
        rom = Path(scratch) / "probe.rom"
        rom.write_bytes(probe_rom(_ITERATIONS))
        argv: list[str | Path] = [
            qemu, "-accel", "kvm", "-cpu", "host", "-machine", "pc", "-m", "4", "-nodefaults",
            "-display", "none", "-no-reboot", "-bios", rom,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
        ]  # fmt: skip
        begun = time.monotonic()
        try:
            done = run(argv, ok=range(256), timeout=_DEADLINE)
        except (ToolError, HostError):
            slow = time.monotonic() - begun >= _DEADLINE
            why = f"no answer within {_DEADLINE:.0f} s" if slow else "QEMU's self-test crashed"
            return Accelerator("tcg", f"KVM does not work: {why}")
        spent = time.monotonic() - begun
    if done.status != _PASS_STATUS:
        return Accelerator("tcg", f"KVM does not work: QEMU's self-test ended with {done.status}")
    return Accelerator("kvm", f"KVM passed a self-test in {spent:.2f} s")


def probe_rom(iterations: int) -> bytes:
    """Return a 64 KiB firmware that counts down in 32-bit mode and then leaves QEMU.

    Entry at the reset vector in real mode (Intel SDM volume 3, 10.1.4); a flat code segment from a
    descriptor table in the ROM; then ``dec`` and ``jnz``, and 16 written to port 0xf4.
    """
    rom = bytearray(b"\xf4" * 0x10000)  # hlt
    code = 0xF000
    table = 0xF100
    protected = 0xF200
    # lgdt cs:[table pointer]; set CR0.PE; far jump to the 32-bit segment
    real = b"\xfa\x2e\x66\x0f\x01\x16" + struct.pack("<H", table)
    real += b"\x0f\x20\xc0\x66\x83\xc8\x01\x0f\x22\xc0"
    real += b"\x66\xea" + struct.pack("<IH", 0xF0000 + protected, 8)
    rom[code : code + len(real)] = real
    descriptors = bytes(8) + bytes.fromhex("ffff0000009bcf00") + bytes.fromhex("ffff00000093cf00")
    rom[table : table + 6] = struct.pack("<HI", len(descriptors) - 1, 0xF0000 + table + 8)
    rom[table + 8 : table + 8 + len(descriptors)] = descriptors
    loop = b"\xb9" + struct.pack("<I", iterations) + b"\x49\x75\xfd"  # mov ecx; dec ecx; jnz
    loop += b"\xb0\x10\xe6\xf4\xf4"  # mov al, 16; out 0xf4, al; hlt
    rom[protected : protected + len(loop)] = loop
    jump = code - (0xFFF0 + 3)
    rom[0xFFF0:0xFFF3] = b"\xe9" + struct.pack("<h", jump)
    return bytes(rom)
