"""``diskgen boot``: a machine on this terminal."""

from __future__ import annotations

import sys
import termios
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from .. import run, scratch
from ..events import Emit, notice
from ..terminal import put
from .qemu import VirtualMachine, command

_LAST_WORDS_SECONDS: Final = 5.0  # for what QEMU wrote before it ended


def boot(vm: VirtualMachine, emit: Emit) -> int:
    """Run a machine whose serial line is this terminal until it ends; return QEMU's status.

    Raises HostError or UsageError before anything is started.
    """
    with scratch.directory() as place:
        argv, chosen = command(
            vm,
            place,
            serial=[
                "-chardev", "stdio,id=terminal,mux=on,signal=off", "-serial", "chardev:terminal",
                "-mon", "chardev=terminal",
            ],
        )  # fmt: skip
        notice(emit, f"accelerator: {chosen.name} ({chosen.reason})")
        notice(
            emit,
            "Ctrl-A X ends the machine, Ctrl-A C is QEMU's own prompt; what it writes is "
            + ("kept" if vm.write else "thrown away (--write keeps it)"),
        )
        with (
            terminal(),
            run.running(argv, stdin=0, stdout=None, stderr=run.PIPE, idle=None) as child,
            relayed(child),
        ):
            return run.wait(child)


@contextmanager
def relayed(child: run.Child) -> Generator[None]:
    """Show what QEMU itself complains of; the machine's serial line is not touched."""

    def relay() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            put(sys.stderr, line.decode(errors="surrogateescape").rstrip("\n") + "\n")

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    yield
    thread.join(_LAST_WORDS_SECONDS)


@contextmanager
def terminal() -> Generator[None]:
    """Give the terminal back as it was, whatever happens to QEMU."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
