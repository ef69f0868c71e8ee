"""Debian packages with all that they need, as files: what an offline medium installs from."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bootstrap import SOURCES, cached

SUITE = "trixie"
SYSTEM = (
    "?essential systemd-sysv udev dbus linux-image-cloud-amd64 initramfs-tools e2fsprogs kmod"
    " passwd login iproute2 ca-certificates apt"
).split()
# They cannot be installed together.
LOADERS = ("grub-pc",), ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed", "dosfstools")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def build(cache: Path) -> Path:
    """Return a directory of .deb files, made if the cache lacks it."""
    makes = repr((SUITE, SOURCES[SUITE], SYSTEM, LOADERS))
    pool = cache / f"pool-{hashlib.sha256(makes.encode()).hexdigest()[:16]}"

    def make(root: Path, result: Path) -> None:
        for name in ("etc/apt/preferences.d", "var/lib/dpkg", "var/lib/apt/lists/partial",
                     "var/cache/apt/archives/partial"):  # fmt: skip
            (root / name).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        lines = [line.replace("deb ", f"deb [signed-by={_KEYRING}] ") for line in SOURCES[SUITE]]
        (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
        _apt(root, "update")
        for loader in LOADERS:
            _apt(root, "--download-only", "install", *SYSTEM, *loader)
        result.mkdir()
        for path in (root / "var/cache/apt/archives").glob("*.deb"):
            path.rename(result / path.name)

    return cached(pool, make)


def _apt(root: Path, *words: str) -> None:
    options: Sequence[str] = (
        f"Dir={root}", f"Dir::State::status={root}/var/lib/dpkg/status",
        "APT::Architecture=amd64", "APT::Architectures=amd64", "APT::Install-Recommends=false",
        "APT::Sandbox::User=root", "Acquire::Check-Valid-Until=false", "Acquire::Retries=3",
    )  # fmt: skip
    argv = ["apt-get", "-qq", "-y"]
    for option in options:
        argv += ["-o", option]
    subprocess.run([*argv, *words], check=True, stdout=subprocess.DEVNULL)
