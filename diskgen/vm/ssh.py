"""``diskgen boot --ssh``: start a disk and log in as root, by a key that is made for this run.

The key lies in a directory that is gone when the run ends. Nothing of the user's own configuration
of ssh is read, and nothing is written to it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from .. import run, scratch
from ..budgets import BOOT_SECONDS
from ..errors import GuestError, HostError, UsageError
from ..events import Emit, notice
from ..hosttools import install_command, tools_for
from . import forward, stall
from .boot import relayed, terminal
from .credentials import Access, of
from .qemu import VirtualMachine, command, quoted

_PORT: Final = 22
_USER: Final = "root"
_OPTIONS: Final = (
    "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
    "-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=20",
)  # fmt: skip
_LOST: Final = 255  # ssh's own status: ssh(1), "EXIT STATUS"
_REFUSED: Final = "Permission denied"
_BANNER: Final = b"SSH-"  # RFC 4253, section 4.2
_KNOCK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_OFF_SECONDS: Final = 300.0  # for a machine whose disk is kept to switch itself off
_LAST_WORDS: Final = 1500  # characters of the serial line, for an error


@dataclass(frozen=True, slots=True)
class Login:
    """How ssh gets in: a private key's file and a port of the loopback interface."""

    key: Path
    port: int

    def argv(self, words: str) -> list[str | Path]:
        """Return ssh's command line; no words are a shell."""
        target = f"{_USER}@{forward.LOOPBACK}"
        line: list[str | Path] = ["ssh", *_OPTIONS, "-i", self.key, "-p", str(self.port), target]
        return [*line, "--", words] if words else line


# A line of the kernel: audit of SELinux, about a file of systemd.exec(5), "Credentials".
_DENIED: Final = re.compile(r"avc: +denied .*/run/credentials/")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs: QEMU, and the file with what its serial line said."""

    child: run.Child
    serial: Path

    def said(self) -> str:
        try:
            return self.serial.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        text = self.said()[-_LAST_WORDS:]
        return "\n".join(line for line in text.splitlines() if line.strip())

    def lost(self, what: str, hint: str | None = None) -> GuestError:
        """Return the error for a machine that nobody can get into; its last words are in it."""
        return GuestError(what, hint=hint, said=self.last_words())


def session(
    vm: VirtualMachine,
    access: Access,
    words: str,
    emit: Emit,
    *,
    seconds: float = BOOT_SECONDS.limit,
) -> int:
    """Start a machine, run a command in it (no words: a shell) and end it; return ssh's status.

    Standard streams are those of this process. ``seconds`` is how long a login may take. A machine
    whose disk is kept is switched off by its own means. Raises HostError or UsageError before
    anything is started, GuestError where nobody can log in.
    """
    if not vm.network:
        raise UsageError("ssh needs the machine's network", setting="no-network")
    if run.which("ssh") is None:
        raise HostError("'ssh' is not installed", hint=install_command(tools_for("boot-ssh")))
    with scratch.directory() as place:
        key = _key(place)
        door = forward.to(_PORT)
        known = replace(access, keys=(*access.keys, _public(key)))
        vm = replace(vm, forwards=(*vm.forwards, door), credentials=of(known))
        serial = place / "serial"
        argv, chosen = command(
            vm, place, serial=["-chardev", f"file,id=serial,path={quoted(serial)}",
                               "-serial", "chardev:serial"],
        )  # fmt: skip
        notice(emit, f"accelerator: {chosen.name} ({chosen.reason})")
        with (
            run.running(argv, stdout=run.PIPE, stderr=run.PIPE, idle=None) as child,
            relayed(child),
        ):
            machine, login = Machine(child, serial), Login(key, door.host)
            try:
                _wait(machine, login, emit, time.monotonic() + seconds)
                status = _ssh(login.argv(words))
                if vm.write:
                    _switch_off(machine, login)
            finally:
                run.stop(child)
        return status


def _key(place: Path) -> Path:
    path = place / "key"
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "diskgen", "-f", path])
    return path


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text(encoding="ascii").strip()


def _wait(machine: Machine, login: Login, emit: Emit, deadline: float) -> None:
    """Wait until root can log in. Raises GuestError where that will not come, or takes too long."""
    notice(emit, "waiting for the machine's ssh server")
    said = ""
    while True:
        if machine.child.poll() is not None:
            raise machine.lost(f"the machine ended with status {machine.child.returncode}")
        if _answers(login.port):
            done = run.run(login.argv("exit 0"), ok=range(256))
            if done.status == 0:
                return
            said = done.stderr.strip() or done.text.strip()
            if done.status != _LOST:
                raise GuestError(f"'{_USER}' cannot log in", said=said)
            if _REFUSED in said:
                raise GuestError(
                    f"the machine's ssh server does not let '{_USER}' in",
                    hint=_kept_out(machine)
                    or "keys are handed over by systemd 252 and newer; and sshd must take root",
                    said=said,
                )
        if stall.seen(machine.said()):
            raise machine.lost(
                stall.MEANING, "the host was too busy to emulate them: start the machine again"
            )
        if time.monotonic() > deadline:
            raise machine.lost(
                f"nobody could log in by ssh within the time given{f' ({said})' if said else ''}",
                _kept_out(machine)
                or "does the image have an ssh server that is started? More time: --timeout "
                "SECONDS",
            )
        _pause(_AGAIN_SECONDS)


def _kept_out(machine: Machine) -> str | None:
    """Return what helps where the machine's SELinux keeps systemd from its credentials."""
    if _DENIED.search(machine.said()) is None:
        return None
    return (
        "the SELinux policy of the machine keeps systemd from what it was handed (its serial line "
        "says 'avc: denied' of /run/credentials): give the disk an account when it is made"
    )


def _answers(port: int) -> bool:
    """Say whether an ssh server is behind a port: QEMU accepts for guests that do not listen."""
    try:
        with socket.create_connection((forward.LOOPBACK, port), _KNOCK_SECONDS) as connection:
            return connection.recv(len(_BANNER)) == _BANNER
    except OSError:
        return False


def _pause(seconds: float) -> None:
    time.sleep(seconds)


def _ssh(argv: Sequence[str | Path]) -> int:
    """Run ssh on this process's own streams; return its status as a shell has it."""
    env = {"TERM": os.environ.get("TERM", "dumb")}
    with (
        terminal(),
        run.running(argv, stdin=0, stdout=None, stderr=None, env=env, idle=None) as child,
        _resized(lambda: os.kill(child.pid, signal.SIGWINCH)),
    ):
        status = run.wait(child)
    return status if status >= 0 else 128 - status


@contextmanager
def _resized(tell: Callable[[], None]) -> Generator[None]:
    """Pass on that the terminal has another size: children of ours are in sessions of their own."""
    if not sys.stdin.isatty():
        yield
        return

    def resized(_number: int, _frame: FrameType | None) -> None:
        tell()

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _switch_off(machine: Machine, login: Login) -> None:
    """Have a machine end by itself, so that its disk is clean. Raises GuestError."""
    run.run(login.argv("systemctl poweroff"), ok=range(256))
    deadline = time.monotonic() + _OFF_SECONDS
    while machine.child.poll() is None:
        if time.monotonic() > deadline:
            raise machine.lost("the machine did not switch itself off: its disk is not clean")
        _pause(_AGAIN_SECONDS)
