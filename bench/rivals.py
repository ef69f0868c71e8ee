"""The same job by other means: what others do, reduced to the steps that take their time.

    python bench/rivals.py NAME LAYOUT PLACE

Needs root, loop devices and mounts, as the tools that work this way do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "vm-tests")]

import debian_image  # noqa: E402
import oracle  # noqa: E402

from tests.fixtures.oci import Layout  # noqa: E402

SIZE = "6G"


def blobs(layout: Path) -> list[Path]:
    layers = Layout.manifest_of(layout)["layers"]
    return [layout / "blobs" / layer["digest"].replace(":", "/") for layer in layers]


def sh(script: str) -> None:
    subprocess.run(["unshare", "--mount", "bash", "-euc", script], check=True, stdout=sys.stderr)


def loop_tar(layout: Path, place: Path) -> None:
    """Mount an ext4 and unpack the layers into it: no ostree, no boot loader."""
    unpack = "\n".join(f"tar -xzpf {blob} --xattrs -C {place}/mnt" for blob in blobs(layout))
    sh(f"""
mkdir -p {place}/mnt
truncate -s {SIZE} {place}/disk.raw
mkfs.ext4 -q {place}/disk.raw
mount -o loop {place}/disk.raw {place}/mnt
{unpack}
umount {place}/mnt
""")


def loop_ostree(layout: Path, place: Path) -> None:
    """The deployment as the ostree tools make it: layers to commits, a merge, a deployment."""
    commits = "\n".join(
        f"gzip -dc {blob} >{place}/layer.tar\n"
        f"ostree commit --repo=$repo --branch=layer/{number} --tar-autocreate-parents "
        f"--tree=tar={place}/layer.tar >/dev/null\n"
        f"ostree checkout --repo=$repo --union --whiteouts -H layer/{number} {place}/mnt/tree"
        for number, blob in enumerate(blobs(layout))
    )
    sh(f"""
mkdir -p {place}/mnt
truncate -s {SIZE} {place}/disk.raw
mkfs.ext4 -q {place}/disk.raw
mount -o loop {place}/disk.raw {place}/mnt
ostree admin init-fs --modern {place}/mnt
ostree admin os-init --sysroot={place}/mnt default
repo={place}/mnt/ostree/repo
ostree config --repo=$repo set sysroot.bootloader none
{commits}
rm {place}/layer.tar
mv {place}/mnt/tree/etc {place}/mnt/tree/usr/etc
ostree commit --repo=$repo --branch=os --link-checkout-speedup \\
  --tree=dir={place}/mnt/tree >/dev/null
rm -rf {place}/mnt/tree
ostree admin deploy --sysroot={place}/mnt --os=default --karg=rw os >&2
umount {place}/mnt
""")


def mkfs_btrfs(layout: Path, place: Path) -> None:
    """Unpack the layers and have mkfs.btrfs copy what came of it: no ostree, no boot loader."""
    unpack = "\n".join(f"tar -xzpf {blob} --xattrs -C {place}/tree" for blob in blobs(layout))
    sh(f"""
mkdir -p {place}/tree
truncate -s {SIZE} {place}/disk.raw
{unpack}
mkfs.btrfs -q --rootdir {place}/tree {place}/disk.raw
""")


def ostree_ext(_layout: Path, place: Path) -> None:
    """Let the library of bootc and rpm-ostree deploy the image that is in place already."""
    oracle.make(debian_image.default_cache(), place).deploy("image", "example.org/os:1")


def encapsulated(cache: Path) -> Path:
    """Return an encapsulated image as a layout, made if the cache lacks it."""
    base = debian_image.base_layer(cache)
    layout = cache / f"encapsulated-{base.stem}"
    if not layout.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as work:
            made = oracle.make(cache, Path(work)).encapsulate(base, "image", policy=False)
            made.rename(layout)
    return layout


RIVALS = {
    "loop-tar": loop_tar,
    "loop-ostree": loop_ostree,
    "mkfs-btrfs": mkfs_btrfs,
    "ostree-ext": ostree_ext,
}

if __name__ == "__main__":
    RIVALS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
