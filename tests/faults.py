"""Faults of every kind that a build may meet: calls that fail, limits, signals, killed children.

Each function chooses one fault at random and returns it: the name says how to have it again.
Tests only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from .warm import Attack

SOURCE = Path(__file__).with_name("injected.c")
CALLS = ("pread", "pwrite", "read", "write", "ftruncate", "fsync", "rename", "link", "open",
         "copy_file_range", "mkdir", "unlink", "chmod", "lseek", "flock")  # fmt: skip
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EMFILE", "EROFS")
# Without these nothing can be removed, and so something may be left.
REMOVING = ("unlink", "open", "flock", "read")
TOOLS = ("python", "skopeo", "mkfs.vfat", "mcopy", "mmd", "mke2fs", "e2fsck", "mksquashfs")
_TRACED = ("diskgen/commands.py", "diskgen/build.py", "diskgen/build_iso.py", "diskgen/run.py",
           "diskgen/workspace.py", "diskgen/scratch.py", "diskgen/runlog.py", "diskgen/ui.py",
           "diskgen/image/", "diskgen/formats/", "/tempfile.py", "/shutil.py", "/subprocess.py",
           "/contextlib.py")  # fmt: skip
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(kw_only=True)
class Fault:
    """One fault; what it makes of a run's rules: see ``verdicts``."""

    kind: str
    name: str
    attack: Attack
    hit: Callable[[], bool] = lambda: True
    signalled: bool = False
    killed: bool = False
    heard: bool = True
    cleans: bool = True  # what is left can be removed in spite of it
    cold: bool = False  # nothing may come from the cache, or there is nothing to hit
    small: int = 0  # MiB of the filesystem in which all happens, where that is wanted


class Library:
    """The library that lets calls fail; this process was started with it."""

    def __init__(self, path: Path) -> None:
        self._so = ctypes.CDLL(str(path))

    @staticmethod
    def compiled(path: Path) -> Path:
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", path, SOURCE, "-ldl"], check=True)
        path.chmod(0o755)
        return path

    def injection(self, rand: random.Random, place: Path) -> Fault:
        """One call of a kind on a file below ``place`` fails, or all from one on."""
        call, error = rand.choice(CALLS), rand.choice(ERRORS)
        left = rand.choice((0, rand.randrange(8), rand.randrange(60), rand.randrange(600)))
        forever = int(rand.random() < 0.3)
        number = getattr(errno, error)

        def inside() -> None:
            words = (call.encode(), left, number, forever, bytes(place))
            self._so.arm(os.getpid(), *words)

        return Fault(
            kind="calls that fail", name=f"{call} {error} after {left}, forever {forever}",
            attack=Attack(limits={}, environment={}, inside=inside),
            hit=lambda: bool(self._so.disarm()),
            cleans=not forever and call not in REMOVING,
        )  # fmt: skip


def injection_by_start(rand: random.Random, place: Path, library: Path) -> Fault:
    """The same for a program that is really started; whether it was hit is not known."""
    call, error, left = rand.choice(CALLS), rand.choice(ERRORS), rand.randrange(60)
    text = f"{call}:{left}:{getattr(errno, error)}:0:{place}"
    return Fault(
        kind="calls that fail, started", name=text, cleans=call not in REMOVING,
        attack=Attack(
            limits={}, environment={"LD_PRELOAD": str(library), "DISKGEN_TEST_FAULT": text}
        ),
    )  # fmt: skip


def file_size(rand: random.Random) -> Fault:
    size = rand.choice((0, 512, 8192, rand.randrange(20_000) * 1024, rand.randrange(4 << 30)))
    attack = Attack(limits={resource.RLIMIT_FSIZE: size}, environment={})
    return Fault(kind="limit of file sizes", name=f"{size} bytes", attack=attack)


def files(rand: random.Random) -> Fault:
    count = rand.randrange(4, 40)
    attack = Attack(limits={resource.RLIMIT_NOFILE: count}, environment={})
    return Fault(kind="limit of open files", name=str(count), attack=attack, cleans=False)


def full(rand: random.Random) -> Fault:
    size = rand.choice((1, 2, rand.randrange(3, 12), rand.randrange(12, 80)))
    attack = Attack(limits={}, environment={})
    return Fault(kind="full filesystem", name=f"{size} MiB", attack=attack, small=size, cold=True)


def deaf(_rand: random.Random) -> Fault:
    attack = Attack(limits={}, environment={}, stdout="/dev/full")
    return Fault(kind="full standard output", name="/dev/full", attack=attack, heard=False)


def moment(rand: random.Random) -> Fault:
    """A signal at a moment, once or twice."""
    number = rand.choice((*STOPS, signal.SIGKILL))
    due = [rand.uniform(0, rand.choice((0.1, 0.6)))]
    if rand.random() < 0.3 and number != signal.SIGKILL:
        due.append(due[0] + rand.uniform(0, 0.1))
    name = f"{signal.Signals(number).name} after {due}"
    left = list(due)

    def outside(pid: int, spent: float) -> None:
        if left and spent >= left[0]:
            left.pop(0)
            os.kill(pid, number)

    return Fault(
        kind="signals at a moment", name=name, signalled=True, killed=number == signal.SIGKILL,
        attack=Attack(limits={}, environment={}, outside=outside),
        hit=lambda: len(left) < len(due),
    )  # fmt: skip


def line(rand: random.Random, count: int) -> Fault:
    """A signal before a line of the program's: any of ``count``."""
    number, at = rand.choice(STOPS), rand.randrange(count)
    fault = Fault(
        kind="signals at a line", name=f"{number.name} at line {at}", signalled=True,
        attack=Attack(limits={}, environment={}),
    )  # fmt: skip
    fault.attack.inside = lambda: sys.settrace(Tracer(at, number))
    return fault


class Tracer:
    """Sends this process a signal at the n-th line of the modules that begin and end things."""

    def __init__(self, at: int, number: int) -> None:
        self.left, self._number = at, number

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Tracer | None:
        if not any(part in frame.f_code.co_filename for part in _TRACED):
            return None
        if event == "line":
            self.left -= 1
            if self.left == -1:
                os.kill(os.getpid(), self._number)
        return self


def children(rand: random.Random) -> Fault:
    """A program that was started is killed."""
    tool = rand.choice(TOOLS)
    number = rand.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV))
    slow = 0.3 if tool in ("python", "skopeo", "mksquashfs") else 0.003
    after = rand.uniform(0, slow) * (rand.random() < 0.8)
    seen: dict[int, float] = {}
    skip = rand.randrange(2) if tool in ("mcopy", "mke2fs", "e2fsck") else 0
    hits: list[int] = []

    def outside(pid: int, spent: float) -> None:
        if hits:
            return
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found = [int(word) for word in text.split()]
        except OSError:
            return
        for child in found:
            if child not in seen and _is(child, tool):
                seen[child] = spent
            if child in seen and len(seen) > skip and spent - seen[child] >= after:
                try:
                    os.kill(child, number)
                except ProcessLookupError:
                    continue
                hits.append(child)
                return

    return Fault(
        kind=f"{tool} killed", name=f"{number.name} after {after:.4f} s, {skip} before",
        attack=Attack(limits={}, environment={}, outside=outside), cold=True,
        hit=lambda: bool(hits),
    )  # fmt: skip


def _is(process: int, tool: str) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    if tool == "python":
        return any(b"worker" in word for word in words)
    return words[0].rpartition(b"/")[2] == tool.encode()
