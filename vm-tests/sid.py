"""The tools that only Debian's unstable suite has, in a directory of their own to chroot into."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = (
    "base-files bash coreutils dash findutils libc-bin mount util-linux"
    " ostree ostree-boot composefs skopeo ca-certificates passwd"
).split()
SOURCE = "deb http://deb.debian.org/debian sid main"


def tools(cache: Path) -> Path:
    """Return the root of an unpacked sid with ostree and composefs, made if the cache lacks it.

    Packages are unpacked, their scripts do not run.
    """
    recipe = hashlib.sha256(repr((PACKAGES, SOURCE)).encode()).hexdigest()[:16]
    root = cache / f"sid-{recipe}"
    if root.is_dir():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f".{root.name}.{os.getpid()}"
    argv = [
        "unshare", "--mount", "mmdebstrap", "--quiet", "--mode=root", "--variant=extract",
        '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={','.join(PACKAGES)}",
        "sid", partial, SOURCE,
    ]  # fmt: skip
    try:
        subprocess.run(argv, check=True)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root
