"""Bootable Debian images for other architectures, made here without running anything of them.

Packages are unpacked; what their scripts would have configured, /etc above all, comes from the
image of this machine's architecture, which holds the same system. Needs root.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import debian_image
import initramfs
from bootstrap import SOURCES, bootstrap, cached

from tests.fixtures.oci import EPOCH

PACKAGES = (
    "base-files base-passwd bash dash coreutils findutils grep sed gawk gzip tar hostname"
    " libc-bin login login.defs mount util-linux systemd systemd-sysv systemd-resolved"
    " systemd-timesyncd udev dbus kmod passwd liblzma5 libzstd1 e2fsprogs ostree ostree-boot skopeo"
    " jq zstd iproute2 ca-certificates libcap2-bin attr busybox-static libpam-modules"
    " libnss-systemd libpam-systemd bubblewrap"
).split()
OWN = {
    "aarch64": "linux-image-cloud-arm64 shim-signed grub-efi-arm64-signed grub-efi-arm64-bin"
    " openssh-server",
    "s390x": "linux-image-s390x s390-tools",
}
# What lets an image of them be the runtime of diskgen's own installer.
INSTALLER = {
    "aarch64": "python3 python3-parted python3-zstandard python3-isal dosfstools mtools",
    "s390x": "python3 python3-parted python3-zstandard util-linux-extra",
}
DEBIAN = {"aarch64": "arm64", "s390x": "s390x"}
# The recipe of this machine's image that is the model, which names the suite too.
MODELS = {"aarch64": debian_image.PLAIN, "s390x": debian_image.COMPOSEFS}
_VERSION = 1  # of what this file does


def build(cache: Path, arch: str, *, changed: bool = False) -> Path:
    """Return an OCI layout with the tag ``latest``, made if the cache lacks it.

    The image is able to install itself.
    """
    return debian_image.assemble(base_layer(cache, arch), changed=changed, arch=DEBIAN[arch])


def base_layer(cache: Path, arch: str) -> Path:
    """Return the base root filesystem as a tar, its kernel and initramfs in place."""
    recipe = MODELS[arch]
    model = debian_image.base_layer(cache, recipe)
    packages = [*PACKAGES, *OWN[arch].split(), *INSTALLER[arch].split()]
    code = debian_image.hashed(Path(initramfs.__file__))
    makes = repr((model.name, SOURCES[recipe.suite], packages, code, _VERSION))
    tar = cache / f"cross-{arch}-{hashlib.sha256(makes.encode()).hexdigest()[:16]}.tar"

    def make(root: Path, result: Path) -> None:
        bootstrap(
            root, recipe.suite, packages, "extract", f"--architectures={DEBIAN[arch]}",
            "--skip=check/qemu", *debian_image.dpkg_options(),
        )  # fmt: skip
        _configure(root, model)
        kernel = debian_image.kernel_release(root)
        place = root / "usr/lib/modules" / kernel
        if not (place / "vmlinuz").is_file():
            (root / f"boot/vmlinuz-{kernel}").rename(place / "vmlinuz")
        subprocess.run(["depmod", "-b", root, kernel], check=True)
        debian_image.write_prepare_root(root, recipe)
        (place / "initramfs.img").write_bytes(initramfs.make(root, kernel))
        debian_image.arrange(root, recipe)
        subprocess.run(
            ["tar", "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner",
             "--sort=name", f"--mtime=@{EPOCH}", "-C", root, "-cf", result, "."],
            check=True,
        )  # fmt: skip

    return cached(tar, make)


def _configure(root: Path, model: Path) -> None:
    """Take over what package scripts made: /etc, and links to alternatives."""
    shutil.rmtree(root / "etc")
    with tarfile.open(model) as tar:
        for member in tar:
            inside = member.name.startswith("./etc/") or member.name == "./etc"
            chosen = member.issym() and member.linkname.startswith("/etc/alternatives/")
            if inside or (chosen and not (root / member.name).is_symlink()):
                tar.extract(member, root, numeric_owner=True)
    (root / "etc/ld.so.cache").unlink(missing_ok=True)
