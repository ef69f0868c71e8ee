"""The initramfs of our own installer, made of a runtime's files without running any of them.

Its ``init`` finds the medium by its label and puts a layer of memory over the runtime. Drivers are
those of the runtime's kernel; ``modprobe`` chooses among them at boot.
"""

from __future__ import annotations

import re
import stat
from typing import Final

from ... import resources
from ...errors import SourceError
from ...ostree.lookup import find, find_dir
from ...tree import Directory, File, Node, read, regular, symlink
from ..access.access import RUNTIME
from . import elf, overlay

_PROGRAMS: Final = (
    "mount",
    "umount",
    "switch_root",
    "blkid",
    "losetup",
    "modprobe",
    "mkdir",
    "cp",
    "sleep",
)
_SHELL: Final = "sh"
_BIN: Final = ("usr/bin", "usr/sbin", "bin", "sbin")
# Drivers that a medium may hang on, by their places below kernel/; all of a place where it ends
# in a slash.
_DRIVERS: Final = (
    "drivers/ata/", "drivers/block/loop", "drivers/block/virtio_blk", "drivers/block/xen-blkfront",
    "drivers/cdrom/", "drivers/hv/", "drivers/message/fusion/", "drivers/mmc/",
    "drivers/nvme/host/",
    "drivers/s390/", "drivers/scsi/sd_mod", "drivers/scsi/sr_mod", "drivers/scsi/sg",
    "drivers/scsi/virtio_scsi", "drivers/scsi/hv_storvsc", "drivers/scsi/vmw_pvscsi",
    "drivers/scsi/megaraid/", "drivers/scsi/mpt3sas/", "drivers/scsi/hpsa",
    "drivers/scsi/smartpqi/",
    "drivers/usb/host/", "drivers/usb/storage/", "drivers/md/dm-mod", "drivers/virtio/",
    "drivers/hid/hid",
    "drivers/hid/usbhid/", "fs/isofs/", "fs/squashfs/", "fs/overlayfs/", "fs/fat/",
    "fs/nls/nls_cp437", "fs/nls/nls_iso8859-1", "fs/nls/nls_ascii", "fs/nls/nls_utf8",
)  # fmt: skip
_TABLES: Final = re.compile(
    r"modules\.(dep|alias|softdep|builtin|builtin\.modinfo|builtin\.alias|symbols|order|devname)"
    r"(\.bin)?"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_.,+/-]+")
_OURS: Final = "diskgen"  # where ``init`` looks for them
_ISOFS: Final = ("isofs", "squashfs", "overlay", "loop")


def make(root: Directory, release: str, timestamp: int, ours: Directory) -> bytes:
    """Return a compressed initramfs for a runtime's kernel. Raises SourceError.

    The files of ``ours``, our place on the medium, come along for machines that have no medium.
    """
    tree = Directory()
    for name in ("dev", "proc", "sys", "run", "sysroot", "tmp", "usr/bin", "usr/lib"):
        tree.make_dirs(name)
    for link, target in (("bin", "usr/bin"), ("sbin", "usr/bin"), ("usr/sbin", "bin"),
                         ("lib", "usr/lib"), ("lib64", "usr/lib64")):  # fmt: skip
        tree.add(link, symlink(target))
    tree.make_dirs("usr/lib64")
    _add_programs(tree, root)
    _add_drivers(tree, root, release)
    for raw, node in ours.entries.items():
        if isinstance(node, File) or raw == RUNTIME.encode():
            tree.add(f"{_OURS}/{raw.decode()}", node)
    tree.add("init", regular(resources.data("installer", "init"), mode=0o755))
    return overlay.initramfs(tree, timestamp)


def _add_programs(tree: Directory, root: Directory) -> None:
    paths: dict[str, str] = {}
    for name in (_SHELL, *_PROGRAMS):
        place = next((p for p in _BIN if isinstance(find(root, f"{p}/{name}"), File)), None)
        if place is None:
            raise SourceError(f"the installer's image has no '{name}'")
        paths[f"{place}/{name}"] = f"usr/bin/{name}"
    for path, node in elf.closure(root, tuple(paths)).items():
        _copy(tree, paths.get(path) or _resolved(path), node, executable=True)


def _resolved(path: str) -> str:
    """Return a path below /usr, where ours are."""
    return path if path.startswith("usr/") else f"usr/{path}"


def _add_drivers(tree: Directory, root: Directory, release: str) -> None:
    place = f"usr/lib/modules/{release}"
    folder = find_dir(root, place)
    table = folder.get_file("modules.dep") if folder is not None else None
    if folder is None or table is None or table.content is None:
        raise SourceError(f"the installer's image has no '/{place}/modules.dep'")
    needs: dict[str, list[str]] = {}
    for line in read(table.content).decode("utf-8", "replace").splitlines():
        path, _colon, rest = line.partition(":")
        if _NAME.fullmatch(path):
            needs[path] = rest.split()
    wanted = [path for path in needs if _is_wanted(path)]
    chosen: set[str] = set()
    for path in wanted:
        chosen |= {path, *needs[path]}
    missing = [name for name in _ISOFS if not _has(chosen, folder, name)]
    if missing:
        raise SourceError(
            f"kernel '{release}' of the installer's image has no driver "
            + ", ".join(f"'{name}'" for name in missing),
            hint="install the kernel's further modules in the image (Fedora: kernel-modules)",
            setting="installer",
        )
    for path in sorted(chosen):
        node = folder.get_file(path)
        if node is not None:
            _copy(tree, f"{place}/{path}", node)
    for raw, entry in sorted(folder.entries.items()):
        if _TABLES.fullmatch(raw.decode("utf-8", "replace")) and isinstance(entry, File):
            _copy(tree, f"{place}/{raw.decode()}", entry)


def _is_wanted(path: str) -> bool:
    inside = path.partition("kernel/")[2] if path.startswith("kernel/") else path
    stem = inside.partition(".ko")[0]
    return any(
        inside.startswith(driver) if driver.endswith("/") else stem == driver for driver in _DRIVERS
    )


def _has(chosen: set[str], folder: Directory, name: str) -> bool:
    """Say whether a driver is among those chosen, or in the kernel itself."""
    pattern = re.compile(rf"(.*/)?{name}\.ko(\..+)?")
    built = folder.get_file("modules.builtin")
    lines = (
        read(built.content).decode("utf-8", "replace").split() if built and built.content else []
    )
    return any(pattern.fullmatch(path) for path in (*chosen, *lines))


def _copy(tree: Directory, path: str, node: Node, *, executable: bool = False) -> None:
    assert isinstance(node, File)
    mode = 0o755 if executable else 0o644
    tree.add(path, File(stat.S_IFREG | mode, content=node.content))
