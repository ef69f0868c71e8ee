"""What a kernel says of files under fs-verity that diskgen wrote, and of one that was changed."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import debian_image
import initramfs
import pytest

from diskgen.disk import btrfs, ext4
from diskgen.fsverity import seal
from diskgen.tree import Data, Directory, File
from diskgen.units import MIB
from tests.fixtures.installers import programs
from tests.oracles.fsverity import sealed

pytestmark = [pytest.mark.vm, pytest.mark.extended]
_SIZE = 256 * MIB
# Around what lies in the inode's tree, a block, a leaf of the tree of sums, and two levels of it.
_SIZES = (1, 2048, 2049, 4096, 4097, 524288, 524289, 3_000_000, 70_000_000)
_DRIVERS = (
    "virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "crc32c", "ext4", "btrfs",
)  # fmt: skip
_INIT = """\
#!/bin/bash
exec </dev/console >/dev/console 2>&1
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for module in $(</modules/order); do insmod "/modules/$module"; done
look() {
  mount -t "$1" -o rw "$2" /mnt || { echo "VERITY $1 mount failed"; return; }
  for file in /mnt/d/*; do
    echo "VERITY $1 ${file##*/} $(fsverity measure "$file" | cut -d' ' -f1) $(sha256sum < "$file")"
  done
  if ( echo x >> /mnt/d/4096 ) 2>/dev/null; then echo "VERITY $1 writes"; fi
  if sha256sum < /mnt/changed; then echo "VERITY $1 gives out what was changed"; fi
  umount /mnt
}
look ext4 /dev/vda
look btrfs /dev/vdb
echo "VERITY done"
echo o > /proc/sysrq-trigger
while :; do :; done
"""


@pytest.fixture(scope="module")
def kernel(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of a Debian kernel: ``vmlinuz``, its drivers, and ``modules.dep``."""
    place = tmp_path_factory.mktemp("kernel")
    names = ("vmlinuz", "modules.dep", "kernel")
    subprocess.run(
        ["tar", "-C", place, "-xf", debian_image.base_layer(cache), "--wildcards",
         *(f"./usr/lib/modules/*/{name}" for name in names)],
        check=True,
    )  # fmt: skip
    yield next((place / "usr/lib/modules").iterdir())
    shutil.rmtree(place)


def tree() -> Directory:
    root = Directory()
    for size in _SIZES:
        root.add(f"d/{size}", guarded(bytes([size % 251 + 1]) * size))
    root.add("changed", guarded(b"changed" * 10_000))
    return root


def guarded(data: bytes) -> File:
    return File(mode=stat.S_IFREG | 0o644, content=Data(data), seal=seal(data))


def change(disk: Path) -> None:
    """Change a byte of what the file holds, behind the back of the kernel."""
    data = disk.read_bytes()
    at = data.index(b"changed" * 5000)
    with disk.open("r+b") as file:
        file.seek(at + 20_000)
        file.write(b"X")


def test_a_kernel_measures_what_was_computed(kernel: Path, tmp_path: Path) -> None:
    root = tree()
    disks = [tmp_path / name for name in ("ext4", "btrfs")]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(_SIZE)
    own = {"uuid": uuid.UUID(int=7), "label": "l", "timestamp": 1}
    ext4.make_empty(disks[0], offset=0, size=_SIZE, hash_seed=uuid.UUID(int=8), verity=True, **own)
    ext4.populate(disks[0], offset=0, root=root, timestamp=1)
    btrfs.populate(disks[1], offset=0, size=_SIZE, root=root, **own)
    for disk in disks:
        change(disk)
    names = ("bash", "mount", "umount", "insmod", "cut", "sha256sum", "fsverity")
    files = {path: (0o755, data) for path, data in programs(names).items()}
    files |= {"init": (0o755, _INIT.encode()), "mnt/.keep": (0o644, b"")}
    files |= initramfs.drivers(kernel, _DRIVERS)
    links = {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
    (tmp_path / "initrd").write_bytes(initramfs.pack(files, links))
    drives = [word for disk in disks for word in ("-drive", f"file={disk},format=raw,if=virtio")]
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768", "-nodefaults",
         "-nographic", "-serial", "stdio", "-no-reboot", "-kernel", kernel / "vmlinuz",
         "-initrd", tmp_path / "initrd", "-append", "console=ttyS0 panic=-1 quiet", *drives],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = (line.partition("VERITY ")[2] for line in done.stdout.splitlines())
    said = [line.split() for line in lines if line]
    wanted: list[list[str]] = []
    for kind in ("ext4", "btrfs"):
        for name in sorted(map(str, _SIZES)):
            file = root.get_file(f"d/{name}")
            assert file is not None
            assert isinstance(file.content, Data)
            data = file.content.data
            digest = sealed(data, tmp_path).digest.hex()
            wanted.append([kind, name, f"sha256:{digest}", hashlib.sha256(data).hexdigest(), "-"])
    assert sorted(said) == sorted([*wanted, ["done"]]), done.stdout
