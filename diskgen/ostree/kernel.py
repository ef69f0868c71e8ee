"""The kernel of an image, where ostree looks for it, and the checksum that names its boot files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..errors import SourceError
from ..tree import Content, Data, Directory, File

_MODULES = "usr/lib/modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One bootable kernel; ``files`` are those that go to /boot, by their names there."""

    release: str
    vmlinuz: File
    initramfs: File
    devicetree: File | None = None
    dtb: Directory | None = None
    hmac: File | None = None


def find_kernel(root: Directory) -> Kernel:
    """Return the image's kernel. Raises SourceError when there is none, or more than one."""
    modules = root.get_dir(_MODULES)
    names = sorted(modules.entries) if modules else []
    found = [name for name in names if root.get_file(b"usr/lib/modules/" + name + b"/vmlinuz")]
    if not found:
        if _unified(root, names):
            raise SourceError(
                "this image has a unified kernel image only, which ostree cannot boot",
                hint="add usr/lib/modules/VERSION/vmlinuz and initramfs.img to the image",
            )
        raise SourceError(
            "this image has no kernel: there is no usr/lib/modules/VERSION/vmlinuz in it",
            hint="a bootable image holds its kernel there; build it from a bootc base image",
        )
    if len(found) > 1:
        releases = ", ".join(f"'{name.decode(errors='replace')}'" for name in found)
        raise SourceError(
            f"this image has more than one kernel: {releases}",
            hint="remove all but one from usr/lib/modules in the image",
        )
    assert modules is not None
    folder = modules.entries[found[0]]
    assert isinstance(folder, Directory)
    release = found[0].decode()
    if any(char.isspace() for char in release):
        raise SourceError(f"the kernel release '{release}' has white space in it")
    vmlinuz = folder.get_file("vmlinuz")
    initramfs = folder.get_file("initramfs.img") or folder.get_file("initramfs")
    assert vmlinuz is not None
    if initramfs is None or not initramfs.size:
        raise SourceError(
            f"kernel '{release}' has no initramfs.img beside it",
            hint="make one in the image: dracut --force --no-hostonly --kver "
            f"{release} /usr/lib/modules/{release}/initramfs.img",
        )
    if folder.get("aboot.img") is not None:
        raise SourceError(f"kernel '{release}' is for Android boot, which is not supported")
    devicetree = folder.get_file("devicetree")
    return Kernel(
        release=release,
        vmlinuz=vmlinuz,
        initramfs=initramfs,
        devicetree=devicetree,
        dtb=None if devicetree else folder.get_dir("dtb"),
        hmac=folder.get_file(".vmlinuz.hmac"),
    )


def boot_checksum(kernel: Kernel) -> str:
    """Return the hex sha256 over kernel, initramfs and device trees that names the boot files.

    The rule is libostree's (``_ostree_kernel_layout``): contents only, names sorted bytewise.
    """
    digest = hashlib.sha256()
    files = [kernel.vmlinuz, kernel.initramfs]
    if kernel.devicetree is not None:
        files.append(kernel.devicetree)
    if kernel.dtb is not None:
        files += [
            node for _path, node in kernel.dtb.walk() if isinstance(node, File) and node.is_regular
        ]
    for file in files:
        assert file.content is not None
        _hash(file.content, digest)
    return digest.hexdigest()


def _hash(content: Content, digest: hashlib._Hash) -> None:
    if isinstance(content, Data):
        digest.update(content.data)
        return
    at = 0
    with content.pack.open("rb") as pack:
        for start, length, offset in content.extents:
            _zeros(start - at, digest)
            pack.seek(offset)
            left = length
            while left:
                piece = pack.read(min(left, 1 << 20))
                if not piece:
                    raise OSError(f"'{content.pack}' is shorter than its index says")
                digest.update(piece)
                left -= len(piece)
            at = start + length
    _zeros(content.size - at, digest)


def _zeros(count: int, digest: hashlib._Hash) -> None:
    while count > 0:
        piece = bytes(min(count, 1 << 20))
        digest.update(piece)
        count -= len(piece)


def _unified(root: Directory, names: list[bytes]) -> bool:
    if any(root.get(b"usr/lib/modules/" + name + b"/" + name + b".efi") for name in names):
        return True
    linux = root.get_dir("boot/EFI/Linux")
    return linux is not None and any(name.endswith(b".efi") for name in linux.entries)
