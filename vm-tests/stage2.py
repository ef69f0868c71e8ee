"""What finds an installer's runtime on a medium and starts it: an initramfs, and such a runtime.

The initramfs is made by Debian's dracut in a chroot, with a module of ours in the place of
Anaconda's (``stage2/dracut``) that has its name. It needs root once, and is kept in the cache like
the images are.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bootstrap import SOURCES, bootstrap, cached
from debian_image import HERE, dpkg_options, hashed, kernel_release

from tests.fixtures.oci import TarBuilder

# curl and iproute2 are what livenet takes, the rest of the second line what unpacks overlays.
PACKAGES = (
    "linux-image-amd64 systemd systemd-sysv udev dracut dracut-live dracut-network kmod zstd"
    " curl iproute2 dmsetup isomd5sum cpio xz-utils bzip2 gzip busybox-static bash-static"
).split()
MODULE = HERE / "stage2/dracut"
_PLACE = "usr/lib/dracut/modules.d/90anaconda"
_DRACUT = (
    "dracut --force --no-hostonly --no-hostonly-cmdline --reproducible --zstd --kver {kernel}"
    " --modules 'systemd systemd-initrd base fs-lib kernel-modules rootfs-block udev-rules"
    " dracut-systemd systemd-udevd systemd-journald systemd-tmpfiles systemd-sysusers"
    " systemd-networkd shutdown anaconda'"
    " --drivers 'virtio_pci virtio_scsi sd_mod sr_mod xhci_pci usb_storage uas ahci isofs squashfs"
    " overlay loop'"
    " /initramfs.img"
)
_TAKEN = {
    "vmlinuz": "boot/vmlinuz-{kernel}", "initramfs.img": "initramfs.img",
    "busybox": "usr/bin/busybox", "bash": "usr/bin/bash-static",
}  # fmt: skip


@dataclass(frozen=True)
class Stage2:
    """A kernel, its initramfs, and a runtime's tree as a tar."""

    release: str
    kernel: bytes
    initramfs: bytes
    runtime: bytes


def build(cache: Path) -> Stage2:
    """Return what the cache has, made if it lacks it."""
    made = _initramfs(cache)
    return Stage2(
        release=(made / "release").read_text(),
        kernel=(made / "vmlinuz").read_bytes(),
        initramfs=(made / "initramfs.img").read_bytes(),
        runtime=_runtime((made / "busybox").read_bytes(), (made / "bash").read_bytes()),
    )


def squashfs(output: Path, tar: bytes) -> bytes:
    """Return a tree as a vendor's runtime, by sqfstar."""
    argv: list[str | Path] = ["sqfstar", "-quiet", "-no-progress", "-comp", "xz", output]
    subprocess.run(argv, input=tar, check=True)
    return output.read_bytes()


def _runtime(busybox: bytes, bash: bytes) -> bytes:
    tar = TarBuilder()
    for name in ("dev", "etc", "proc", "root", "run", "sys", "var", "usr", "usr/bin", "usr/sbin"):
        tar.directory(name)
    tar.directory("tmp", 0o1777)
    for name in ("bin", "sbin"):
        tar.symlink(name, f"usr/{name}")
    tar.file("usr/bin/busybox", busybox, mode=0o755)
    tar.file("usr/bin/bash", bash, mode=0o755)
    tar.file("usr/sbin/init", (HERE / "stage2/init").read_bytes(), mode=0o755)
    tar.file("usr/lib/os-release", b"ID=stage2\n")
    tar.file("usr/share/anaconda/interactive-defaults.ks", b"# the vendor's\n")
    return tar.finish()


def _initramfs(cache: Path) -> Path:
    makes = repr((SOURCES["trixie"], PACKAGES, _DRACUT, _TAKEN, hashed(*MODULE.iterdir()), 1))
    folder = cache / f"stage2-{hashlib.sha256(makes.encode()).hexdigest()[:16]}"

    def make(root: Path, result: Path) -> None:
        bootstrap(root, "trixie", PACKAGES, "minbase", "--architectures=amd64", *dpkg_options())
        shutil.copytree(MODULE, root / _PLACE)
        kernel = kernel_release(root)
        script = (
            f"mount -t proc proc {root}/proc && mount -t sysfs sys {root}/sys && "
            f"mount --bind /dev {root}/dev && mount -t tmpfs tmp {root}/var/tmp && "
            f"chroot {root} {_DRACUT.format(kernel=kernel)}"
        )
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True,
                              text=True, check=False)  # fmt: skip
        if done.returncode:
            sys.exit(f"error: dracut failed:\n{(done.stdout + done.stderr)[-3000:]}")
        result.mkdir()
        for name, path in _TAKEN.items():
            shutil.copy(root / path.format(kernel=kernel), result / name)
        (result / "release").write_text(kernel)

    return cached(folder, make)
