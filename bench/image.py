"""The image that is measured: about 1.5 GB in 40,000 files and five gzip layers, always the same.

The base is the test image's root filesystem (real Debian packages, bootable). The other layers are
files of made-up sizes, filled with windows cut out of the base, so that they compress like it.
"""

from __future__ import annotations

import hashlib
import mmap
import random
import sys
import tarfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "vm-tests")]

import cross_image  # noqa: E402
import debian_image  # noqa: E402
from derive import derive  # noqa: E402

from tests.fixtures.oci import EPOCH, LABELS, Layer, Layout, TarBuilder  # noqa: E402

# (megabytes, files); the last one is the layer that changes
LAYERS = ((520, 14_000), (380, 10_000), (200, 6_000), (60, 2_000))
# A large desktop: with the base, 410,000 files in 2.5 GB.
MANY = ((900, 150_000), (600, 110_000), (400, 80_000), (200, 60_000))
_VERSION = 1
# What an image for another architecture is started by.
_STARTERS = {
    "aarch64": ("usr/lib/shim/", "usr/lib/grub/arm64-efi-signed/"),
    "s390x": ("usr/lib/s390-tools/stage3.bin", "usr/sbin/zipl"),
}


def build(cache: Path) -> tuple[Path, Path]:
    """Return two layouts, which differ in their last layer; made if the cache lacks them."""
    base = debian_image.base_layer(cache)
    both = [cache / f"bench-{_VERSION}-{base.stem}-{name}" for name in ("a", "b")]
    for seed, layout in enumerate(both):
        if not (layout / "index.json").is_file():
            _make(base, layout, LAYERS, seed)
    return both[0], both[1]


def of_many_files(cache: Path) -> Path:
    """Return the layout of an image with as many files as a large desktop has."""
    base = debian_image.base_layer(cache)
    layout = cache / f"bench-{_VERSION}-{base.stem}-many"
    if not (layout / "index.json").is_file():
        _make(base, layout, MANY)
    return layout


def for_arch(cache: Path, layout: Path, arch: str) -> Path:
    """Return the same image with what starts a machine of another architecture on top of it."""
    base = cross_image.base_layer(cache, arch)
    place = cache / f"{layout.name}-{base.stem}"
    if (place / "index.json").is_file():
        return place
    added = TarBuilder()
    with tarfile.open(debian_image.base_layer(cache)) as tar:
        kernel = next(n for n in tar.getnames() if n.endswith("/vmlinuz")).removeprefix("./")
    with tarfile.open(base) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            its_kernel = arch == "s390x" and name.endswith("/vmlinuz")  # a boot map checks it
            wanted = its_kernel or name.startswith(_STARTERS[arch])
            if member.isfile() and wanted:
                file = tar.extractfile(member)
                assert file is not None
                added.file(kernel if its_kernel else name, file.read(), mode=member.mode)
    partial = place.with_name(f".{place.name}.partial")
    derive(layout, partial, added.finish(), arch=cross_image.DEBIAN[arch])
    partial.rename(place)
    return place


def _make(base: Path, place: Path, sizes: Sequence[tuple[int, int]], changed: int = 0) -> None:
    print(f"making '{place}'", file=sys.stderr)
    partial = place.with_name(f".{place.name}.partial")
    made = Layout(partial)
    tars = [base.read_bytes()]
    with base.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as source:
        for number, (megabytes, files) in enumerate(sizes):
            last = number == len(sizes) - 1
            seed = number + (100 * changed if last else 0)
            tars.append(_tar(source, megabytes << 20, files, number, seed))
    with ThreadPoolExecutor(2) as pool:
        layers = list(pool.map(lambda tar: _layer(made, tar), tars))
    made.finish(made.image(layers, labels=LABELS))
    partial.rename(place)


def _tar(source: mmap.mmap, size: int, files: int, layer: int, seed: int) -> bytes:
    chance = random.Random(seed)
    weights = [chance.lognormvariate(0, 1.6) for _ in range(files)]
    scale = size / sum(weights)
    out = bytearray()
    for number, weight in enumerate(weights):
        data = bytearray()
        wanted = int(weight * scale)
        while len(data) < wanted:
            at = chance.randrange(len(source) - 65536)
            data += source[at : at + min(65536, wanted - len(data))]
        info = tarfile.TarInfo(f"usr/share/bench/{layer}/{number % 97:02}/file-{number}")
        info.size, info.mode, info.mtime = len(data), 0o644, EPOCH
        out += info.tobuf() + data + bytes(-len(data) % 512)
    return bytes(out + bytes(1024))


def _layer(made: Layout, tar: bytes) -> Layer:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    blob = packer.compress(tar) + packer.flush()
    return Layer(
        "application/vnd.oci.image.layer.v1.tar+gzip", made.blob(blob), len(blob),
        f"sha256:{hashlib.sha256(tar).hexdigest()}",
    )  # fmt: skip
