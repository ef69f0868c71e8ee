"""A small initramfs for any architecture, made without running anything of it.

busybox loads the drivers and mounts the root filesystem, ostree-prepare-root of the image finds the
deployment. Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst (newc).
"""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

DRIVERS = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "virtio_net", "virtio_rng",
    "crc32c_generic", "crc32c_s390", "crc32c", "ext4", "loop", "erofs", "overlay",
)  # fmt: skip
_PREPARE = "usr/lib/ostree/ostree-prepare-root"
_CONFIG = "usr/lib/ostree/prepare-root.conf"
_INIT = """\
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t devtmpfs dev /dev
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t tmpfs -o mode=0755 run /run
for module in $($busybox cat /modules/order); do $busybox insmod /modules/$module; done
for word in $($busybox cat /proc/cmdline); do
  case $word in root=*) root=${word#root=} ;; esac
done
for try in $($busybox seq 1 200); do
  device=$($busybox findfs "$root" 2>/dev/null) && break
  $busybox sleep 0.1
done
$busybox mount -t ext4 -o rw "$device" /sysroot || {
  echo "initramfs: cannot mount '$root' ('$device')"
  $busybox ls /dev
  $busybox poweroff -f
}
/usr/lib/ostree/ostree-prepare-root /sysroot || {
  echo "initramfs: ostree-prepare-root failed"
  $busybox poweroff -f
}
for place in dev proc sys run; do $busybox mount --move /$place /sysroot/$place; done
exec $busybox switch_root /sysroot /sbin/init
"""


def make(root: Path, kernel: str) -> bytes:
    """Return an initramfs for an unpacked root whose modules.dep is there."""
    files: dict[str, tuple[int, bytes]] = {
        "init": (0o755, _INIT.encode()),
        "bin/busybox": (0o755, (root / "usr/bin/busybox").read_bytes()),
        _CONFIG: (0o644, (root / _CONFIG).read_bytes()),
    }
    for path, data in _program(root, _PREPARE):
        files[path] = (0o755, data)
    return pack(files | drivers(root / "usr/lib/modules" / kernel, DRIVERS))


def drivers(place: Path, wanted: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    """Return modules of a kernel with what they need, and ``modules/order`` to load them in."""
    files: dict[str, tuple[int, bytes]] = {}
    order: list[str] = []
    for path in _modules(place, wanted):
        name = path.name.partition(".ko")[0] + ".ko"
        data = path.read_bytes()
        files[f"modules/{name}"] = (0o644, lzma.decompress(data) if path.suffix == ".xz" else data)
        order.append(name)
    files["modules/order"] = (0o644, "\n".join(order).encode())
    return files


def pack(files: Mapping[str, tuple[int, bytes]], links: Mapping[str, str] = {}) -> bytes:
    """Return an initramfs of files, by path with their modes, and symlinks."""
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    folders |= {"dev", "proc", "sys", "run", "sysroot"}
    entries = [(name, stat.S_IFDIR | 0o755, b"", 0) for name in sorted(folders)]
    entries += [(name, stat.S_IFREG | mode, data, 0) for name, (mode, data) in files.items()]
    entries += [(name, stat.S_IFLNK | 0o777, to.encode(), 0) for name, to in links.items()]
    entries.append(("dev/console", stat.S_IFCHR | 0o600, b"", 5 << 8 | 1))
    return gzip.compress(_archive(entries), 6, mtime=0)


def _modules(place: Path, drivers: Iterable[str]) -> list[Path]:
    """Return the drivers and what they need, in the order to load them."""
    needs = {}
    for line in (place / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {re.sub(r"\.ko.*", "", Path(path).name).replace("-", "_"): path for path in needs}
    ordered: list[str] = []
    for driver in drivers:
        path = by_name.get(driver)
        if path is not None:  # else it is built in
            ordered += [need for need in [*reversed(needs[path]), path] if need not in ordered]
    return [place / path for path in ordered]


def _program(root: Path, path: str) -> Iterable[tuple[str, bytes]]:
    """Yield a program, its loader and its libraries, at the places where the loader looks."""
    triplet = next(path.name for path in (root / "usr/lib").glob("*-linux-gnu"))
    pending, seen = [path], {path}
    while pending:
        current = pending.pop()
        yield current, (root / current).read_bytes()
        said = subprocess.run(["readelf", "-l", "-d", root / current], check=True,
                              capture_output=True, text=True).stdout  # fmt: skip
        wanted = [f"usr/lib/{triplet}/{name}" for name in re.findall(r"NEEDED.*\[(.+)\]", said)]
        found = [(name, name) if (root / name).exists() else ("", "") for name in wanted]
        loader = re.search(r"interpreter: /(\S+)\]", said)
        if loader is not None and loader[1] not in seen:
            seen.add(loader[1])
            yield loader[1], (root / "usr" / loader[1]).read_bytes()
        for name, _ in found:
            if name and name not in seen:
                seen.add(name)
                pending.append(name)


def _archive(entries: Iterable[tuple[str, int, bytes, int]]) -> bytes:
    out = bytearray()
    for number, (name, mode, data, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", 0)], 1):
        raw = name.encode() + b"\0"
        fields = (
            number,
            mode,
            0,
            0,
            1,
            0,
            len(data),
            0,
            0,
            device >> 8,
            device & 0xFF,
            len(raw),
            0,
        )
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)
