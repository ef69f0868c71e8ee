"""Runs of the program under attack: forked from an interpreter that has imported it, or started.

A forked run is the program but for its start: the arguments, environment, directory, limits and
rights that it would have. Its workers and tools are started as always.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import diskgen
from diskgen import __main__ as program_main

from .program import NOBODY, Program
from .verdicts import Outcome

HANG_SECONDS = 60.0
_SET_DUMPABLE, _NO_NEW_PRIVS = 4, 38  # prctl(2)
_OWN_SECONDS = 0.001  # between two looks at a run
_READ = 1 << 20

Limits = dict[int, int]  # of setrlimit(2)


@dataclass(kw_only=True)
class Attack:
    """What is done to a run: before it begins (in it), or each moment that it runs (to it)."""

    limits: Limits
    inside: Callable[[], None] | None = None
    outside: Callable[[int, float], None] | None = None  # process, seconds since it began
    stdout: str | None = None  # instead of a pipe
    environment: dict[str, str]


def imported() -> None:
    """Import all of the program, so that forked runs do not have to."""
    for module in pkgutil.walk_packages(diskgen.__path__, "diskgen."):
        if not module.name.endswith(("__main__", "_worker")):
            importlib.import_module(module.name)
    gc.freeze()


def forked(program: Program, words: Sequence[str | Path], attack: Attack) -> Outcome:
    """Run the program in a child of this process."""
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(program, [str(word) for word in words], attack, out_write, write)
    os.close(write)
    os.close(out_write)
    return watched(pid, out_read, read, attack)


def started(program: Program, words: Sequence[str | Path], attack: Attack) -> Outcome:
    """Start the real program."""
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    argv = [str(word) for word in program.command(*words)]
    pid = os.fork()
    if pid == 0:
        try:
            _streams(program, attack, out_write, write)
            os.execvpe(argv[0], argv, program.environment(**attack.environment))
        finally:
            os._exit(127)
    os.close(write)
    os.close(out_write)
    return watched(pid, out_read, read, attack)


def _streams(program: Program, attack: Attack, out: int, err: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if attack.stdout is not None:
        out = os.open(attack.stdout, os.O_WRONLY)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 256)
    os.chdir(program.place)
    os.umask(0o022)
    for name, limit in attack.limits.items():
        resource.setrlimit(name, (limit, limit))


def _become(program: Program, words: list[str], attack: Attack, out: int, err: int) -> None:
    """Be the program in this process, and end."""
    try:
        _streams(program, attack, out, err)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        libc = ctypes.CDLL(None)
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0)  # /proc/self is ours, as after an execve
        os.environ.clear()
        os.environ.update(program.environment(**attack.environment))
        sys.argv = [str(program.path), *words]
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        if attack.inside is not None:
            attack.inside()
        status = program_main.main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - what Python would do at the end of a program
        sys.settrace(None)
        os.write(2, traceback.format_exc().encode(errors="replace"))
        status = 1
    try:
        sys.stdout.flush()
    except OSError as error:  # so says Python as it ends
        os.write(2, f"Exception ignored in standard output: {error}".encode())
        status = 120
    os._exit(status)


def watched(pid: int, out: int, err: int, attack: Attack) -> Outcome:
    """Wait for a run, do to it what is to be done, and return what came of it."""
    begun = time.monotonic()
    said, hung = {out: bytearray(), err: bytearray()}, False
    for fd in said:
        os.set_blocking(fd, False)
    while True:
        for fd in said:
            said[fd] += _pieces(fd)
        done, waited, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        spent = time.monotonic() - begun
        if attack.outside is not None:
            attack.outside(pid, spent)
        if spent > HANG_SECONDS and not hung:
            hung = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(_OWN_SECONDS if attack.outside is not None else 4 * _OWN_SECONDS)
    for fd in said:
        said[fd] += _pieces(fd)  # what a killed one started may run on
        os.close(fd)
    outcome = Outcome(status=os.waitstatus_to_exitcode(waited), hung=hung, rss=usage.ru_maxrss)
    outcome.text = said[err].decode(errors="replace")
    outcome.printed = bytes(said[out])
    return outcome


def _pieces(fd: int) -> bytes:
    try:
        return os.read(fd, _READ)
    except BlockingIOError:
        return b""
