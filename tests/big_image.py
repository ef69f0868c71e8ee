"""An image of a million entries and 30 GB that compress well, made in little memory. Tests only."""

from __future__ import annotations

import hashlib
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from .oci import EPOCH, Layer, Layout, bootable_tar

_PIECE = 1024 * 1024
_GRAIN = 8 * _PIECE  # of a large file, which has 64 KiB that do not compress at each of these
_FOLDER = 500  # files in one


def make(place: Path, *, entries: int, size: int) -> Path:
    """Write an OCI layout whose second layer has so many files and directories, and bytes."""
    layout = Layout(place)
    first = layout.layer(bootable_tar())
    big = _layer(layout, _tar(entries, size))
    layout.finish(layout.image([first, big]))
    return place


def _layer(layout: Layout, tar: Iterator[bytes]) -> Layer:
    blob, inside = hashlib.sha256(), hashlib.sha256()
    place = layout.place / "blobs/sha256/partial"
    packer = zstandard.ZstdCompressor(1).compressobj()
    with place.open("wb") as file:
        for piece in tar:
            inside.update(piece)
            _add(file, blob, packer.compress(piece))
        _add(file, blob, packer.flush())
    size = place.stat().st_size
    place.rename(place.with_name(blob.hexdigest()))
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    return Layer(kind, f"sha256:{blob.hexdigest()}", size, f"sha256:{inside.hexdigest()}")


def _add(file: BinaryIO, digest: Any, data: bytes) -> None:
    digest.update(data)
    file.write(data)


def _tar(entries: int, size: int) -> Iterator[bytes]:
    chance = random.Random(12)
    folders = -(-entries // (_FOLDER + 1))
    spent = made = 0
    for number in range(folders):
        folder = f"usr/share/packages/of-the-collection-{number // 40}/part-{number}"
        if number % 40 == 0:
            yield _head(folder.rpartition("/")[0], tarfile.DIRTYPE, 0)
        yield _head(folder, tarfile.DIRTYPE, 0)
        for at in range(_FOLDER):
            if made >= entries - folders:
                break
            made += 1
            data = chance.randbytes(chance.randrange(40, 160))
            spent += len(data)
            name = f"{folder}/module_{at:04}-{chance.getrandbits(32):08x}.py"
            yield _head(name, tarfile.REGTYPE, len(data)) + data + bytes(-len(data) % 512)
    grains = max(1, (size - spent) // _GRAIN)
    for number in range(0, grains, 128):
        count = min(128, grains - number)
        yield _head(f"usr/share/models/{number}.bin", tarfile.REGTYPE, count * _GRAIN)
        for _ in range(count):
            yield chance.randbytes(64 * 1024) + bytes(_PIECE - 64 * 1024)
            for _ in range(_GRAIN // _PIECE - 1):
                yield bytes(_PIECE)
    yield bytes(1024)


def _head(path: str, kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.size, info.mtime = kind, size, EPOCH
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def describe(place: Path) -> str:
    """Return the sizes of the blobs, for whoever runs this file."""
    return json.dumps(sorted(path.stat().st_size for path in place.glob("blobs/sha256/*")))


if __name__ == "__main__":
    import sys

    print(describe(make(Path(sys.argv[1]), entries=int(sys.argv[2]), size=int(sys.argv[3]))))
