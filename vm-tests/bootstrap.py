"""Root filesystems from Debian packages, by mmdebstrap; needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def scratch_root(result: Path, what: str) -> Iterator[Path]:
    """Give a place beside a result of the cache for a root to make it in; gone afterwards."""
    if os.geteuid():
        sys.exit(f"error: making {what} needs root (it happens in a chroot)")
    result.parent.mkdir(parents=True, exist_ok=True)
    root = result.with_name(f".{result.name}.{os.getpid()}.root")
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def bootstrap(root: Path, suite: str, packages: Sequence[str], variant: str, *options: str) -> None:
    """Install (or, by the variant ``extract``, unpack) packages into a new directory."""
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
