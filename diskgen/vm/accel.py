"""Find out whether hardware acceleration really works: by running something on it.

/dev/kvm may open, create machines, and still be a software emulator hundreds of times slower than
QEMU's own, or hang. So a tiny machine counts to fifty million under a deadline, with the very
binary and options that will be used.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from .. import scratch
from ..errors import HostError, ToolError, UsageError
from ..run import run, which

_DEADLINE: Final = 3.0  # seconds; a working KVM needs a twentieth of one
_ITERATIONS: Final = 50_000_000
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
    return self_test(qemu, guest, "kvm", "host")


def of_host() -> Accelerator:
    """Return the accelerator for machines of this host's own architecture."""
    arch = platform.machine()
    qemu = which(f"qemu-system-{arch}", "qemu-kvm")
    if qemu is None:
        return Accelerator("tcg", "there is no QEMU to try KVM with")
    return choose(qemu, guest=arch, host=arch)


def self_test(qemu: Path, arch: str, accelerator: str, cpu: str) -> Accelerator:
    """Let a tiny machine count to fifty million; return the accelerator, or emulation and why."""
    probe = _PROBES[arch]
    with scratch.directory() as place:
        image = place / "probe"
        image.write_bytes(probe.image(_ITERATIONS))
        argv: list[str | Path] = [
            qemu, "-accel", accelerator, "-cpu", cpu, "-m", probe.memory, "-nodefaults",
            "-display", "none", "-no-reboot", *(word.format(image=image) for word in probe.words),
        ]  # fmt: skip
        begun = time.monotonic()
        try:
            done = run(argv, ok=range(256), timeout=_DEADLINE)
        except (ToolError, HostError):
            slow = time.monotonic() - begun >= _DEADLINE
            why = f"no answer within {_DEADLINE:.0f} s" if slow else "QEMU's self-test crashed"
            return Accelerator("tcg", f"KVM does not work: {why}")
        spent = time.monotonic() - begun
    if done.status != probe.status:
        return Accelerator("tcg", f"KVM does not work: QEMU's self-test ended with {done.status}")
    return Accelerator(accelerator, f"{accelerator.upper()} passed a self-test in {spent:.2f} s")


def _probe_x86_64(iterations: int) -> bytes:
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


def _probe_aarch64(iterations: int) -> bytes:
    """Return code that counts down and then asks PSCI for SYSTEM_OFF (Arm DEN 0022, 5.10)."""
    low, high = iterations & 0xFFFF, iterations >> 16
    return struct.pack(
        "<8I",
        0x52800001 | low << 5,  # movz w1, #low
        0x72A00001 | high << 5,  # movk w1, #high, lsl #16
        0x71000421,  # subs w1, w1, #1
        0x54FFFFE1,  # b.ne to the line before
        0x52800100,  # movz w0, #8
        0x72B08000,  # movk w0, #0x8400, lsl #16: SYSTEM_OFF
        0xD4000002,  # hvc #0
        0x14000000,  # b to itself
    )


def _probe_s390x(iterations: int) -> bytes:
    """Return an image for address 0 that counts down at 0x10000, then waits as a stopped CPU does.

    The PSW is QEMU's sign of a guest that quiesces (Principles of Operation, "Wait State").
    """
    image = bytearray(0x10000)
    struct.pack_into(">I", image, 4, 0x8001_0000)  # where it starts
    struct.pack_into(">QQ", image, 0x800, 0x0002_0001_8000_0000, 0xFFF)
    code = b"\xc0\x11" + struct.pack(">I", iterations)  # lgfi %r1
    code += b"\xa7\x16\0\0"  # brct %r1 to itself
    code += b"\xb2\xb2\x08\x00"  # lpswe 0x800
    return bytes(image) + code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    image: Callable[[int], bytes]  # by the number of iterations
    words: tuple[str, ...]  # for QEMU, with the image's path as {image}
    memory: str
    status: int  # QEMU's, after success


_PROBES: Final[Mapping[str, _Probe]] = MappingProxyType(
    {
        "x86_64": _Probe(
            image=_probe_x86_64,
            words=(
                "-machine", "pc", "-bios", "{image}",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
            ),
            memory="4",
            status=(16 << 1) | 1,  # what isa-debug-exit makes of 16
        ),
        "aarch64": _Probe(
            image=_probe_aarch64,
            words=(
                "-machine", "virt",
                "-device", "loader,file={image},addr=0x40200000,cpu-num=0,force-raw=on",
            ),
            memory="64",
            status=0,
        ),
        "s390x": _Probe(
            image=_probe_s390x,
            words=("-machine", "s390-ccw-virtio", "-kernel", "{image}"),
            memory="64",
            status=0,
        ),
    }
)  # fmt: skip
