"""`diskgen boot`: people log in by ssh and over the serial line, and end the machine."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cross_image
import debian_image
import pytest

from tests.fixtures.program import Program, fingerprint
from tests.fixtures.registry import Registry

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


HASH = "$6$given$" + "h" * 86  # as chpasswd of sid wants a hash to look
# Where SELinux is enforced, Debian's policy keeps systemd from what it is handed.
KINDS: dict[str, Callable[[Path], Path]] = {
    "plain": debian_image.build,
    "composefs": partial(debian_image.build, recipe=debian_image.COMPOSEFS),
    "aarch64": partial(cross_image.build, arch="aarch64"),
}


@pytest.mark.parametrize(
    "kind", ["plain", *(pytest.param(name, marks=pytest.mark.extended) for name in [*KINDS][1:])]
)
def test_a_command_by_ssh(diskgen: Program, served: Registry, cache: Path, kind: str) -> None:
    """A disk without a key lets in whoever starts it; its bytes and the host stay as they are."""
    served.push(KINDS[kind](cache), "login", "1")
    disk = diskgen.place / "ssh.raw"
    arch = "aarch64" if kind == "aarch64" else "x86_64"
    diskgen("raw", f"{served.host}/login:1", "--tls-verify=false", "--arch", arch, "-o", disk)
    before = fingerprint(disk)
    script = (
        "grep '^root:' /etc/shadow; stat -L -c 'mode %a %U' /root/.ssh /root/.ssh/authorized_keys;"
        " wc -l < /root/.ssh/authorized_keys; systemctl is-active diskgen-root-password.service;"
        " systemctl --failed --no-legend; journalctl -b -o cat | grep -c 'avc:  denied';"
        " cat /etc/issue.d/50-provision.conf; echo; exit 42"
    )
    done = diskgen.run(
        "boot", disk, "--ssh", script, "--memory", "1500M", "--root-password-hash", HASH,
        "--credential", "login.issue=by diskgen", "--timeout", "3000", timeout=3600,
    )  # fmt: skip
    disk_after = fingerprint(disk)
    disk.unlink()
    assert done.returncode == 42, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"root:{HASH}:")
    assert lines[1:4] == ["mode 700 root", "mode 600 root", "2"]
    assert lines[-1] == "by diskgen"
    assert lines[-2] == "0"  # denials
    assert lines[4:-2] == ["inactive"]  # it has run, and nothing failed
    assert disk_after == before
    assert not list(diskgen.place.glob(".diskgen-*"))


@pytest.mark.extended
def test_log_in_over_the_serial_line(diskgen: Program, served: Registry) -> None:
    disk = diskgen.place / "terminal.raw"
    diskgen("raw", f"{served.host}/os:1", "--tls-verify=false", "-o", disk)
    before = disk.stat().st_mtime_ns
    crypted = subprocess.run(
        ["openssl", "passwd", "-6", "another"], capture_output=True, text=True, check=True
    ).stdout.strip()
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    child = subprocess.Popen(
        diskgen.command("boot", disk, "--firmware", "bios", "--memory", "1500M",
                        "--root-password-hash", crypted),
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
        terminal.type(b"another\n")  # not the image's
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
