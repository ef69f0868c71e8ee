"""Root filesystems from Debian packages, by mmdebstrap, which needs root; and a cache of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
SOURCES = {
    "trixie": (
        f"deb {MIRROR} trixie main",
        f"deb {MIRROR}-security trixie-security main",
        f"deb {MIRROR} trixie-updates main",
    ),
    "sid": (f"deb {MIRROR} sid main",),
}
_ATTEMPTS = 4
_PAUSE_SECONDS = 45  # a mirror that is being updated is inconsistent for a while


def cached(result: Path, make: Callable[[Path, Path], None]) -> Path:
    """Return a file or directory of the cache; ``make`` gets a scratch place and where to make it.

    It is made once, however many ask for it at the same time, and is there when it is complete.
    """
    if result.exists():
        return result
    result.parent.mkdir(parents=True, exist_ok=True)
    with result.with_name(f".{result.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            place = Path(tempfile.mkdtemp(prefix=f".{result.name}.", dir=result.parent))
            place.chmod(0o755)
            try:
                make(place / "scratch", place / "result")
                (place / "result").rename(result)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    return result


def bootstrap(root: Path, suite: str, packages: Sequence[str], variant: str, *options: str) -> None:
    """Install (or, by the variant ``extract``, unpack) packages into a new directory."""
    if os.geteuid():
        sys.exit("error: making images of packages needs root (it happens in a chroot)")
    argv = [
        # What is mounted in the root goes away with these processes, however they end.
        "unshare", "--mount",
        "mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}",
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"',
        f"--include={','.join(packages)}", *options, suite, str(root), *SOURCES[suite],
    ]  # fmt: skip
    for attempt in range(_ATTEMPTS):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        shutil.rmtree(root, ignore_errors=True)
        print(f"mmdebstrap failed ({attempt + 1}): {done.stderr[-300:]}", file=sys.stderr)
        if attempt + 1 < _ATTEMPTS:
            time.sleep(_PAUSE_SECONDS)
    sys.exit(f"error: mmdebstrap failed:\n{(done.stdout + done.stderr)[-3000:]}")
