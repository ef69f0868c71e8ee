"""The boot loader entry of a deployment.

Format: UAPI Group, "Boot Loader Specification", type 1; keys, their order and the title as
libostree writes them (``ostree-sysroot-deploy.c``), with ``sysroot.bootprefix``.
"""

from __future__ import annotations

from .kernel import Kernel

ENTRY = "ostree-1.conf"  # of the first of one deployments


def boot_files(kernel: Kernel) -> dict[str, str]:
    """Return what the kernel's files are called in /boot, by their key in the entry."""
    names = {"linux": f"vmlinuz-{kernel.release}", "initrd": f"initramfs-{kernel.release}.img"}
    if kernel.devicetree is not None:
        names["devicetree"] = f"devicetree-{kernel.release}"
    elif kernel.dtb is not None:
        names["fdtdir"] = "dtb"
    return names


def entry(kernel: Kernel, title: str, folder: str, options: str) -> bytes:
    """Return the entry's text; ``folder`` is where the files are, seen from the root of /boot.

    ``title`` is the system's, without line breaks; ``options`` the whole command line.
    """
    paths = {key: f"/boot/{folder}/{name}" for key, name in boot_files(kernel).items()}
    lines = {"title": f"{title} (ostree:0)", "version": "1", "options": options}
    order = ("devicetree", "linux", "initrd", "fdtdir")
    lines |= {key: paths[key] for key in order if key in paths}
    return "".join(f"{key} {value}\n" for key, value in lines.items()).encode()
