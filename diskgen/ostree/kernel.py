"""The kernel of an image, where ostree looks for it, and the checksum that names its boot files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import Problem, SourceError
from ..initramfs.findings import Findings
from ..tree import Directory, File, pieces
from .lookup import find_text

_VERITY: Final = "CONFIG_FS_VERITY=y"  # it cannot be a module
_MODULES: Final = b"usr/lib/modules"
_OTHER_NAME: Final = re.compile(r"initr(d|amfs)")
# What a boot loader entry and a boot loader's script take without quoting.
_RELEASE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+~@:,^=-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One bootable kernel: its release (as ``uname -r`` says) and its files."""

    release: str
    vmlinuz: File
    initramfs: File
    devicetree: File | None = None
    dtb: Directory | None = None  # only where there is no single device tree
    hmac: File | None = None  # what FIPS mode checks the kernel by

    @property
    def size(self) -> int:
        """Bytes it takes on /boot."""
        return sum(file.size for file in (*_hashed(self), self.hmac) if file is not None)


def find_kernel(root: Directory) -> Kernel:
    """Return the image's kernel. Raises SourceError when there is none, or more than one."""
    modules = root.get_dir(_MODULES)
    folders = {
        name: node
        for name, node in sorted(modules.entries.items() if modules is not None else ())
        if isinstance(node, Directory)
    }
    found = [name for name, folder in folders.items() if folder.get_file("vmlinuz") is not None]
    if len(found) > 1:
        raise SourceError(
            "this image has more than one kernel: "
            + ", ".join(f"'{name.decode(errors='backslashreplace')}'" for name in found),
            hint="remove all but one from /usr/lib/modules in the image",
        )
    if not found:
        raise _none(root, folders)
    folder = folders[found[0]]
    release = found[0].decode(errors="backslashreplace")
    if not _RELEASE.fullmatch(found[0]):
        raise SourceError(f"'{release}' cannot be a kernel release: a boot entry cannot name it")
    if folder.get("aboot.img") is not None:
        raise SourceError(
            f"kernel '{release}' is for Android's boot loader (aboot.img), which is not supported"
        )
    vmlinuz = folder.get_file("vmlinuz")
    initramfs = folder.get_file("initramfs.img") or folder.get_file("initramfs")
    if vmlinuz is None or not vmlinuz.size:
        raise SourceError(
            f"the kernel file '/usr/lib/modules/{release}/vmlinuz' of the image is empty"
        )
    if initramfs is None or not initramfs.size:
        raise no_initramfs(root, release)
    devicetree = folder.get_file("devicetree")
    return Kernel(
        release=release,
        vmlinuz=vmlinuz,
        initramfs=initramfs,
        devicetree=devicetree,
        dtb=None if devicetree is not None else folder.get_dir("dtb"),
        hmac=folder.get_file(".vmlinuz.hmac"),
    )


def no_initramfs(
    root: Directory, release: str, *, add: str = "ostree", of: str = ""
) -> SourceError:
    """Return the error of a kernel without initramfs; ``add`` is the dracut module it needs.

    ``of`` says after a space whose kernel it is, where that is not plain.
    One with another name, as distributions without ostree have them, is named.
    """
    beside = f"usr/lib/modules/{release}"
    for place, ours in ((beside, True), ("boot", False)):
        folder = root.get_dir(place)
        for raw, node in sorted(folder.entries.items() if folder is not None else ()):
            name = raw.decode(errors="backslashreplace")
            if not _OTHER_NAME.match(name) or not (ours or release in name):
                continue
            if isinstance(node, File) and node.size:
                return SourceError(
                    f"kernel '{release}'{of} has no 'initramfs.img' beside it, though there is "
                    f"'/{place}/{name}'",
                    hint=f"in the image's build: mv /{place}/{name} /{beside}/initramfs.img",
                )
    return SourceError(
        f"kernel '{release}'{of} has no initramfs beside it",
        hint=f"make one in the image's build: {dracut(release, add)}",
    )


def dracut(release: str, add: str = "ostree") -> str:
    """Return the command that makes an initramfs with one dracut module more."""
    return (
        f"dracut --force --no-hostonly --add {add} /usr/lib/modules/{release}/initramfs.img "
        f"{release}"
    )


def initramfs_problem(kernel: Kernel, found: Findings) -> Problem | None:
    """Return why the machine would stop in its initramfs, or None."""
    place = f"/usr/lib/modules/{kernel.release}/initramfs.img"
    if found.prepare_root or found.unknown:
        return None
    if found.damage is not None:
        return Problem(
            code="initramfs",
            message=f"the initramfs '{place}' of the image cannot be unpacked: {found.damage}",
            hint=f"make it anew in the image's build: {dracut(kernel.release)}",
        )
    return Problem(
        code="initramfs",
        message=f"the initramfs '{place}' of the image has no 'ostree-prepare-root', which finds "
        "the deployment: the machine would stop in it",
        hint=f"make it anew in the image's build: {dracut(kernel.release)} (dracut's module "
        "'ostree' is in the package ostree, of Debian in ostree-boot)",
    )


def initramfs_doubt(kernel: Kernel, found: Findings) -> str | None:
    """Return what is not known of an initramfs, or None."""
    if found.damage is None:
        return None
    if found.prepare_root:
        return (
            f"the initramfs of kernel '{kernel.release}' cannot be read to its end: "
            f"{found.damage}; a kernel may do without the rest"
        )
    return (
        f"the initramfs of kernel '{kernel.release}' cannot be looked into: {found.damage}; it "
        "must have 'ostree-prepare-root', or the machine stops in it"
    )


def verity_problem(root: Directory, kernel: Kernel) -> Problem | None:
    """Return why a kernel mounts no root under fs-verity, as far as its configuration says."""
    path = f"usr/lib/modules/{kernel.release}/config"
    text = find_text(root, path)
    if text is None or _VERITY in text.splitlines():
        return None
    return Problem(
        code="composefs",
        message=f"this image's kernel '{kernel.release}' has no fs-verity ('/{path}' lacks "
        f"'{_VERITY}'), by which its root is to be guarded",
        hint="take another kernel, or 'enabled=yes' in the image and its initramfs",
    )


def boot_checksum(kernel: Kernel) -> str:
    """Return the hex sha256 over kernel, initramfs and device trees that names the boot files.

    The rule is libostree's (``get_kernel_from_tree_usrlib_modules``): contents only, those of a
    directory sorted bytewise by name. Reads the contents in pieces; raises OSError.
    """
    digest = hashlib.sha256()
    for file in _hashed(kernel):
        assert file.content is not None
        for piece in pieces(file.content):
            digest.update(piece)
    return digest.hexdigest()


def _hashed(kernel: Kernel) -> Iterator[File]:
    yield kernel.vmlinuz
    yield kernel.initramfs
    if kernel.devicetree is not None:
        yield kernel.devicetree
    if kernel.dtb is not None:
        for _path, node in kernel.dtb.walk():
            if isinstance(node, File) and node.is_regular:
                yield node


def _none(root: Directory, folders: dict[bytes, Directory]) -> SourceError:
    linux = root.get_dir("boot/EFI/Linux")
    if any(folder.get_file(name + b".efi") is not None for name, folder in folders.items()) or (
        linux is not None and any(name.endswith(b".efi") for name in linux.entries)
    ):
        return SourceError(
            "this image has a unified kernel image only, which an ostree deployment cannot boot",
            hint="add /usr/lib/modules/VERSION/vmlinuz and initramfs.img to the image",
        )
    return SourceError(
        "this image has no kernel: there is no /usr/lib/modules/VERSION/vmlinuz in it",
        hint="a bootable image holds its kernel there; build it from a bootc base image",
    )
