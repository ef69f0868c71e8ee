"""diskgen as its users run it: a program, an ordinary user, a directory of theirs. Tests only."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534

Words = Sequence[str | Path]


@dataclass(frozen=True)
class Program:
    """The installed program, and a directory in which whoever runs it may write."""

    path: Path
    place: Path

    @property
    def cache(self) -> Path:
        return self.place / "cache"

    @property
    def home(self) -> Path:
        return self.place / "home"

    def command(self, *words: str | Path, wrap: Words = ()) -> list[str | Path]:
        """Return the command line; ``wrap`` stands before the program, without privileges too."""
        return as_nobody([*wrap, self.path, *words])

    def environment(self, **extra: str) -> dict[str, str]:
        return {
            "HOME": str(self.home), "PATH": "/usr/bin:/bin", "TMPDIR": str(self.place),
            "DISKGEN_CACHE": str(self.cache), **extra,
        }  # fmt: skip

    def run(
        self,
        *words: str | Path,
        wrap: Words = (),
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, wrap=wrap), env=self.environment(**(env or {})), cwd=self.place,
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip

    def start(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        # Where the tests run in the background, SIGINT is ignored, and that is inherited.
        argv = self.command(*words, wrap=["/usr/bin/env", "--default-signal=INT"])
        return subprocess.Popen(
            argv, env=self.environment(**(env or {})), cwd=self.place, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *words: str | Path, wrap: Words = (), **env: str) -> str:
        """Run it, expect success and return its standard output."""
        done = self.run(*words, wrap=wrap, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def own(self, path: Path) -> Path:
        """Give a path to whoever runs the program."""
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return path

    def own_directory(self, name: str) -> Path:
        """Make a directory of whoever runs the program, in their place."""
        path = self.place / name
        path.mkdir()
        return self.own(path)

    def left_behind(self) -> list[str]:
        """Return what is in the directory beside the cache, and scratch inside the cache."""
        names = [path.name for path in self.place.iterdir() if path not in (self.cache, self.home)]
        scratch = self.cache / "v1/tmp"
        names += [f"cache: {path.name}" for path in scratch.glob("*")]
        names += [f"cache: {path.name}" for path in self.cache.glob("v1/layers/.tmp-*")]
        return sorted(names)


def fingerprint(disk: Path) -> str:
    """Return a digest of a sparse file's contents; holes and zeros are the same."""
    digest = hashlib.sha256(str(disk.stat().st_size).encode())
    block = 64 * 1024
    with disk.open("rb") as file:
        at = 0
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return digest.hexdigest()
            at -= at % block
            data = os.pread(file.fileno(), block, at)
            if data.count(0) != len(data):
                digest.update(b"%d:" % at)
                digest.update(data)
            at += block


def installed(place: Path) -> Path:
    """Return a diskgen that an ordinary user can run: this checkout's, else a copy in ``place``."""
    ours = Path(sys.executable).with_name("diskgen")
    if os.geteuid() != 0:
        return ours
    if subprocess.run(as_nobody([ours, "--version"]), check=False).returncode == 0:
        return ours
    venv = place / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", ROOT], check=True)
    return venv / "bin/diskgen"


def as_nobody(argv: Words) -> list[str | Path]:
    """Return a command line that runs another without any privilege."""
    if os.geteuid() != 0:
        return list(argv)
    return [
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
        "--bounding-set=-all", "--inh-caps=-all", *argv,
    ]  # fmt: skip
