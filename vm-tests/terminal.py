"""A machine that is started from a medium, with someone at its serial line."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guest import StalledError

from diskgen import run
from diskgen.vm import stall
from diskgen.vm.qemu import VirtualMachine, command

_DEATHS = ("Kernel panic", "grub rescue>", "Security Violation", "this shell is the initramfs's",
           "has a bug", "You are in emergency mode", "DISKGEN-INSTALL failed")  # fmt: skip
PASSWORD = "diskgen"  # of whoever is made an account for


class Terminal:
    """The serial line: what was said so far, and a keyboard."""

    def __init__(self, child: run.Child, line: socket.socket) -> None:
        self._child = child
        self._line = line
        self._line.settimeout(0.3)
        self._from = 0
        self.log = ""

    def expect(self, text: str, *, seconds: float = 300, deaths: Sequence[str] = _DEATHS) -> str:
        """Wait until the machine has said a text since the last one; return what came before."""
        deadline = time.monotonic() + seconds
        while (at := self.log.find(text, self._from)) < 0:
            said = self.log[self._from :]
            dead = [word for word in deaths if word in said]
            if stall.seen(self.log):
                raise StalledError(f"{stall.MEANING}:\n{self.log[-4000:]}")
            assert not dead, f"the machine said '{dead[0]}':\n{self.log[-4000:]}"
            assert self._child.poll() is None or self._read(), (
                f"QEMU ended before '{text}':\n{self.log[-4000:]}"
            )
            assert time.monotonic() < deadline, f"no '{text}':\n{self.log[-4000:]}"
            self._read()
        before = self.log[self._from : at]
        self._from = at + len(text)
        return before

    def send(self, text: str) -> None:
        """Type something and press Enter."""
        self._line.sendall(f"{text}\r".encode())

    def pick(self, *numbers: int, seconds: float = 120) -> None:
        """Choose from GRUB's menu: the entry of that number, in its submenu the next one."""
        for number in numbers:
            self.expect("Use the ", seconds=seconds)
            time.sleep(1)  # the menu is still being drawn
            for _ in range(number):
                self._line.sendall(b"\x1b[B")
                time.sleep(0.3)
            self.send("")

    def wait_end(self, *, seconds: float = 300) -> int:
        """Wait until the machine has ended; return QEMU's status."""
        deadline = time.monotonic() + seconds
        while self._child.poll() is None:
            if stall.seen(self.log):
                raise StalledError(f"{stall.MEANING}:\n{self.log[-4000:]}")
            assert time.monotonic() < deadline, f"no end:\n{self.log[-4000:]}"
            self._read()
        assert self._child.returncode is not None
        return self._child.returncode

    def _read(self) -> bool:
        try:
            data = self._line.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            time.sleep(0.2)
        self.log += data.decode(errors="replace")
        return bool(data)


@contextmanager
def installing(
    iso: Path | None,
    target: Path,
    *,
    firmware: str | None = None,
    arch: str = "x86_64",
    scsi: bool = False,
    network: bool = True,
    attach: str = "cdrom",
    memory: int = 2048,
    extra: Sequence[str | Path] = (),
    log: Path | None = None,
) -> Iterator[Terminal]:
    """Start a machine with a disk and a medium, if there is one; a restart ends it."""
    with tempfile.TemporaryDirectory(prefix="diskgen-terminal-") as place:
        path = Path(place) / "line"
        vm = VirtualMachine(
            disk=target, arch=arch, firmware=firmware, write=True, memory=memory, medium=iso,
            attach=attach, scsi=scsi, network=network, extra=("-no-reboot", *extra),
        )  # fmt: skip
        serial = ["-chardev", f"socket,id=line,path={path},server=on,wait=on",
                  "-serial", "chardev:line"]  # fmt: skip
        argv, _accelerator = command(vm, Path(place), serial=serial)
        with (
            run.running(argv, stdout=None, stderr=None) as child,
            socket.socket(socket.AF_UNIX) as line,
        ):
            _connect(line, path)
            terminal = Terminal(child, line)
            try:
                yield terminal
            finally:
                run.stop(child)
                if log is not None:
                    log.write_text(terminal.log)


def answer(terminal: Terminal, disk: str = "vda") -> None:
    """Answer everything after the mode."""
    terminal.expect("Onto which disk?", seconds=300)
    terminal.expect(f"{disk} ")
    terminal.expect("Choice [1]: ")
    terminal.send("")
    answer_people(terminal)
    terminal.expect("WILL BE LOST")
    terminal.expect("to go on, anything else to stop: ")
    terminal.send("erase")


def answer_people(terminal: Terminal) -> None:
    """Say who will use the machine."""
    terminal.expect("User name: ")
    terminal.send("jo")
    terminal.expect("Password of jo: ")
    terminal.send(PASSWORD)
    terminal.expect("Again: ")
    terminal.send(PASSWORD)
    terminal.expect("Password of root")
    terminal.send("")


def _connect(line: socket.socket, path: Path) -> None:
    for _ in range(100):
        try:
            line.connect(str(path))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("QEMU gave no serial line")
