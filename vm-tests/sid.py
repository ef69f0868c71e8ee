"""The tools that only Debian's unstable suite has, in a directory of their own to chroot into."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bootstrap import SOURCES, bootstrap, cached

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

    def make(_scratch: Path, result: Path) -> None:
        bootstrap(result, "sid", PACKAGES, "extract")

    return cached(root, make)
