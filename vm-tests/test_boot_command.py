"""`diskgen boot`: a person at a terminal logs in over the serial line and ends the machine."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time

import debian_image
import pytest

from tests.program import Program
from tests.registry import Registry

pytestmark = pytest.mark.vm


class Terminal:
    """The other end of a terminal: what a person sees and types."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.seen = b""

    def wait_for(self, text: bytes, *, seconds: float = 420) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen[-2000:]!r}"
            if select.select([self._fd], [], [], min(left, 1))[0]:
                self.seen += os.read(self._fd, 65536)

    def type(self, text: bytes) -> None:
        self.seen = b""
        os.write(self._fd, text)


def test_log_in_over_the_serial_line(diskgen: Program, served: Registry) -> None:
    disk = diskgen.place / "terminal.raw"
    diskgen("raw", f"{served.host}/os:1", "--tls-verify=false", "-o", disk)
    before = disk.stat().st_mtime_ns
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    child = subprocess.Popen(
        diskgen.command("boot", disk, "--firmware", "bios", "--memory", "1500M"),
        env=diskgen.environment(TERM="vt100"), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    try:
        terminal = Terminal(ours)
        terminal.wait_for(b"accelerator: ")
        terminal.wait_for(b"Ctrl-A X ends the machine")
        terminal.wait_for(b"GRUB")
        terminal.wait_for(b"diskgen login:")
        terminal.type(b"root\n")
        terminal.wait_for(b"Password:")
        terminal.type(debian_image.ROOT_PASSWORD.encode() + b"\n")
        terminal.wait_for(b"#")
        terminal.type(b"echo mark-$((6 * 7)); ostree admin status | grep -c default\n")
        terminal.wait_for(b"mark-42")
        terminal.type(b"\x01x")
        assert child.wait(20) == 0
    finally:
        child.terminate()
        child.wait(20)
    assert termios.tcgetattr(theirs) == modes
    os.close(ours)
    os.close(theirs)
    assert disk.stat().st_mtime_ns == before  # what it wrote was thrown away
