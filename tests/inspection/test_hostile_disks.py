"""Disk files made to take all memory or time of whoever looks into them."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard

from diskgen.errors import SourceError
from diskgen.formats import qcow2_reader

from ..fixtures import installers
from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.program import Program

_CLUSTER = 65536
_ZSTD = 0b1000
_COMPRESSED = 1 << 62


def qcow2(path: Path, cluster: bytes, *, zstd: bool, bits: int = 16) -> Path:
    """Write a qcow2 whose only cluster is these compressed bytes."""
    fields = (b"QFI\xfb", 3, 0, 0, bits, 1 << bits, 0, 1, _CLUSTER)
    head = struct.pack(">4sIQIIQIIQ", *fields) + bytes(24)
    head += struct.pack(">QQQII", _ZSTD if zstd else 0, 0, 0, 4, 112) + bytes([zstd]) + bytes(7)
    sectors = (len(cluster) + 511) // 512
    entry = _COMPRESSED | sectors << (62 - (bits - 8)) | 3 * _CLUSTER
    with path.open("wb") as file:
        for number, data in enumerate((head, struct.pack(">Q", 2 * _CLUSTER),
                                       struct.pack(">Q", entry), cluster)):  # fmt: skip
            file.seek(number * _CLUSTER)
            file.write(data)
    return path


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def zeros_frame(size: int) -> bytes:
    """Return a zstd frame of many zeros, made in little memory."""
    packer = zstandard.ZstdCompressor(1).compressobj()
    parts = [packer.compress(bytes(1 << 24)) for _ in range(size >> 24)]
    return b"".join(parts) + packer.flush()


def test_a_sound_cluster(tmp_path: Path) -> None:
    data = bytes(range(256)) * 256
    for zstd, cluster in ((True, zstandard.compress(data)), (False, raw_deflate(data))):
        with qcow2_reader.opened(qcow2(tmp_path / "disk", cluster, zstd=zstd)) as disk:
            assert disk.read_at(0, _CLUSTER) == data
            assert disk.read_at(100, 50) == data[100:150]


@pytest.mark.parametrize("size", [0, 1, 511, 65535])
@pytest.mark.parametrize("zstd", [True, False])
def test_a_cluster_that_inflates_to_less(tmp_path: Path, size: int, zstd: bool) -> None:
    cluster = zstandard.compress(bytes(size)) if zstd else raw_deflate(bytes(size))
    begun = time.monotonic()
    with (
        qcow2_reader.opened(qcow2(tmp_path / "disk", cluster, zstd=zstd)) as disk,
        pytest.raises(SourceError, match=f"a cluster of 65536 bytes decompresses to {size}"),
    ):
        disk.read_at(0, 4096)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("zstd", [True, False])
def test_a_cluster_that_inflates_to_much_more(tmp_path: Path, zstd: bool) -> None:
    """What is beyond the cluster is not made; a frame of 4 GiB has 130 KiB."""
    cluster = zeros_frame(1 << 30) if zstd else raw_deflate(bytes(1 << 24))
    with qcow2_reader.opened(qcow2(tmp_path / "disk", cluster, zstd=zstd)) as disk:
        tracemalloc.start()
        assert disk.read_at(0, _CLUSTER) == bytes(_CLUSTER)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("bits", [0, 8, 22, 63, 2**32 - 1])
def test_clusters_of_other_sizes(tmp_path: Path, bits: int) -> None:
    path = qcow2(tmp_path / "disk", b"", zstd=False)
    with path.open("r+b") as file:
        file.seek(20)
        file.write(struct.pack(">I", bits))
    with pytest.raises(SourceError, match="header"), qcow2_reader.opened(path):
        pass


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "a."), "'EFI/tiny/a.' of the image has a name that a FAT filesystem cannot hold"),
        (("a", "A"), "'EFI/tiny/A' and 'EFI/tiny/a' of the image are one name on a FAT"),
    ],
)
def test_names_of_the_esp_are_refused_before_the_build(
    diskgen: Program, images: Path, names: tuple[str, str], said: str
) -> None:
    """mcopy would have asked for ever which of the two is wanted."""
    tar = TarBuilder()
    for name in names:
        tar.file(f"usr/lib/bootupd/updates/EFI/tiny/{name}", b"MZ")
    layout = bootable(images / "os", installers.bootupd(), tar.finish())
    done = diskgen.run("plan", "raw", f"oci:{layout}")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
