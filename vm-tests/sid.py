"""The tools that only Debian's unstable suite has, in a directory of their own to chroot into."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from bootstrap import SOURCES, bootstrap

PACKAGES = (
    "base-files bash coreutils dash findutils libc-bin mount util-linux"
    " ostree ostree-boot composefs skopeo ca-certificates passwd"
).split()


def tools(cache: Path) -> Path:
    """Return the root of an unpacked sid with ostree and composefs, made if the cache lacks it.

    Packages are unpacked, their scripts do not run.
    """
    recipe = hashlib.sha256(repr((PACKAGES, SOURCES["sid"])).encode()).hexdigest()[:16]
    root = cache / f"sid-{recipe}"
    if root.is_dir():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f".{root.name}.{os.getpid()}"
    try:
        bootstrap(partial, "sid", PACKAGES, "extract")
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root
