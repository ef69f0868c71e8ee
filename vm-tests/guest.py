"""A guest under test: started from a disk, watched on its serial line, ended with the block."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from diskgen import run
from diskgen.vm import stall
from diskgen.vm.forward import Forward
from diskgen.vm.qemu import BOARDS, VirtualMachine, command

_PROOF = re.compile(r"DISKGEN-PROOF ([\w-]+)=(.*?)\r?$", re.MULTILINE)
_MARK = "mark-42"  # what a typed command ends with
_DEATHS = (
    "Kernel panic",
    "error: no such device",
    "Security Violation",
    "grub rescue>",
    "dracut:/#",
    "You are in emergency mode",
)


class GuestError(AssertionError):
    """The guest ended, panicked or fell silent before it said what was expected."""


class StalledError(AssertionError):
    """The emulator lost the guest's timers: pytest runs such a test again (see conftest)."""


class Guest:
    """A running machine. ``log`` is all it said on its serial line so far."""

    def __init__(self, child: run.Child, log: Path, line: Path) -> None:
        self._child = child
        self._path = log
        self._line = line
        self._from = 0  # where the current boot's lines begin

    @property
    def log(self) -> str:
        return self._path.read_text(errors="replace")

    def facts(self) -> dict[str, list[str]]:
        """Return what the proof agent has said since the last :meth:`forget`."""
        found: dict[str, list[str]] = {}
        for key, value in _PROOF.findall(self.log[self._from :]):
            found.setdefault(key, []).append(value.strip())
        return found

    def forget(self) -> None:
        """Start over: what was said so far belongs to the boot before."""
        self._from = len(self.log)

    def wait_for(self, text: str, *, seconds: float = 420) -> None:
        """Wait until the guest has said a text."""
        deadline = time.monotonic() + seconds
        while text not in (log := self.log[self._from :]):
            dead = [word for word in _DEATHS if word in log]
            if stall.seen(log):
                raise StalledError(f"{stall.MEANING}:\n{log[-3000:]}")
            if dead:
                raise GuestError(f"the guest said '{dead[0]}':\n{log[-3000:]}")
            if self._child.poll() is not None:
                raise GuestError(f"QEMU ended with {self._child.returncode}:\n{log[-3000:]}")
            if time.monotonic() > deadline:
                raise GuestError(f"no '{text}' within {seconds:.0f} s:\n{log[-3000:]}")
            time.sleep(0.2)

    def log_in(self, user: str, password: str, command: str, *, seconds: float = 420) -> str:
        """Type a name, a password and a command on the serial line; return what the last said."""
        self.wait_for("login:", seconds=seconds)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self._line))
            line.settimeout(0.3)
            said = ""
            for text, answer in (("", user), ("assword:", password), ("$ ", command), (_MARK, "")):
                deadline = time.monotonic() + seconds
                while text not in said:
                    if stall.seen(self.log[self._from :]):
                        raise StalledError(f"{stall.MEANING}:\n{self.log[-3000:]}")
                    assert time.monotonic() < deadline, f"no {text!r}:\n{self.log[-3000:]}"
                    try:
                        said += line.recv(65536).decode(errors="replace")
                    except TimeoutError:
                        continue
                if answer:
                    said = ""
                    done = "; echo mark-$((6 * 7))" if text == "$ " else ""
                    line.sendall(f"{answer}{done}\r".encode())
        return said.partition(_MARK)[0].rpartition("7))")[2]

    def wait_end(self, *, seconds: float = 120) -> int:
        """Wait until the machine has switched itself off; return QEMU's status."""
        return self._child.wait(seconds)

    def proof(self, *, seconds: float = 420) -> dict[str, str]:
        """Wait for the whole proof of one boot and return its last values."""
        self.wait_for("DISKGEN-PROOF done=", seconds=seconds)
        return {key: values[-1] for key, values in self.facts().items()}


@contextmanager
def guest(
    disk: Path,
    *,
    firmware: str | None = None,
    arch: str = "x86_64",
    write: bool = False,
    sector_size: int = 512,
    scsi: bool = False,
    requests: dict[str, str] | None = None,
    extra: Sequence[str | Path] = (),
    forwards: Sequence[Forward] = (),
    log: Path | None = None,
) -> Iterator[Guest]:
    """Start a machine. ``requests`` reach the proof agent on a disk of that name."""
    with tempfile.TemporaryDirectory(prefix="diskgen-guest-") as place:
        scratch = Path(place)
        lines = log or scratch / "serial.log"
        lines.write_bytes(b"")
        note = scratch / "requests"
        lines_asked = "".join(f"{key}={value}\n" for key, value in (requests or {}).items())
        note.write_bytes(lines_asked.encode().ljust(4096, b"\0"))
        asked = (
            "-drive", f"if=none,id=requests,format=raw,readonly=on,file={note}",
            "-device", f"virtio-blk-{BOARDS[arch].bus},drive=requests,serial=requests",
        )  # fmt: skip
        vm = VirtualMachine(
            disk=disk, arch=arch, firmware=firmware, write=write, memory=2048,
            sector_size=sector_size, scsi=scsi, forwards=tuple(forwards),
            extra=(*asked, *extra),
        )  # fmt: skip
        line = scratch / "line"
        serial = ["-chardev", f"socket,id=line,path={line},server=on,wait=off,logfile={lines}",
                  "-serial", "chardev:line"]  # fmt: skip
        argv, _accelerator = command(vm, scratch, serial=serial)
        with run.running(argv, stdout=None, stderr=None) as child:
            try:
                yield Guest(child, lines, line)
            finally:
                run.stop(child)


def boot(
    disk: Path,
    firmware: str | None = None,
    *,
    arch: str = "x86_64",
    sector_size: int = 512,
    scsi: bool = False,
    **requests: str,
) -> dict[str, str]:
    """Boot once, for keeps, until the guest resets itself or switches off; return its proof."""
    extra = ["-no-reboot"]
    with guest(
        disk, firmware=firmware, arch=arch, write=True, sector_size=sector_size, scsi=scsi,
        requests=requests, extra=extra,
    ) as machine:  # fmt: skip
        machine.wait_for("DISKGEN-PROOF done=", seconds=600)
        assert machine.wait_end(seconds=300) == 0
        return {key: values[-1] for key, values in machine.facts().items()}
