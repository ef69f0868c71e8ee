"""Hostile images and files, each made of a good one by a few changes. Tests only."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from .oci import Layout, TarBuilder, bootable_tar
from .parsers import PARSERS, mutated

FILES = ("gpt", "qcow2", "iso", "fat", "ext4", "disk", "squashfs")  # that "inspect" looks at
IMAGES = ("tar", "manifest", "config", "index", "compressed", "toml", "os-release", "initramfs",
          "efi", "elf")  # that "plan" and builds read  # fmt: skip
_INSIDE = {  # what is changed within a layer, and where it lies
    "toml": "usr/lib/bootc/install/10.toml",
    "os-release": "usr/lib/os-release",
    "initramfs": "usr/lib/modules/6.12.1-test/initramfs.img",
    "efi": "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
    "elf": "usr/lib/systemd/systemd",
}
_HEAD = 4 * 1024 * 1024  # of a disk: its table and its ESP


class Inputs:
    """Makes them in ``place``, of the good image and the good disk that are given."""

    def __init__(self, place: Path, layout: Path, disk: Path, rand: random.Random) -> None:
        self._place, self._layout, self._disk, self._rand = place, layout, disk, rand
        seeds = place / "seeds"
        seeds.mkdir()
        self._seeds = {
            name: [seed for seed in parser.seeds(_new(seeds / name)) if len(seed) < _HEAD]
            for name, parser in PARSERS.items()
        }
        self._seeds["index"] = [(layout / "index.json").read_bytes()]
        self._seeds["compressed"] = [gzip.compress(bootable_tar(), mtime=0)]

    def file(self) -> tuple[str, Path]:
        """Return what was changed, and a file for ``inspect``."""
        kind = self._rand.choice(FILES)
        path = self._place / "file"
        path.unlink(missing_ok=True)
        if kind in ("ext4", "disk"):
            self._changed_disk(path, kind)
        else:
            path.write_bytes(mutated(self._rand.choice(self._seeds[kind]), self._rand))
        path.chmod(0o644)
        return kind, path

    def _changed_disk(self, path: Path, kind: str) -> None:
        """Copy the disk with its holes, and change bytes where it has some."""
        subprocess.run(["cp", "--sparse=always", self._disk, path], check=True)
        with path.open("r+b") as file:
            fd, size = file.fileno(), path.stat().st_size
            for _ in range(self._rand.randint(1, 4)):
                least = 0 if kind == "disk" else size // 4  # where the ext4 are
                at = os.lseek(fd, self._rand.randrange(least, size * 9 // 10), os.SEEK_DATA)
                at += self._rand.randrange(4096)
                file.seek(at)
                piece = file.read(4096)
                file.seek(at)
                file.write(mutated(piece, self._rand)[:4096])

    def image(self) -> tuple[str, Path]:
        """Return what was changed, and a layout."""
        kind, rand = self._rand.choice(IMAGES), self._rand
        place = self._place / "changed"
        shutil.rmtree(place, ignore_errors=True)
        data = mutated(rand.choice(self._seeds[kind]), rand)
        if kind in ("manifest", "config", "index"):
            self._replaced(place, kind, data)
            return kind, place
        layout = Layout(place)
        if kind == "compressed":
            layer = layout.layer(bootable_tar())
            digest = layout.blob(data)
            layer = type(layer)(layer.media_type, digest, len(data), layer.diff_id)
            layers = [layer]
        elif kind == "tar":
            layers = [layout.layer(data, rand.choice(("gzip", "zstd", "none")))]
        else:
            tar = TarBuilder()
            tar.file(_INSIDE[kind], data)
            layers = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
        layout.finish(layout.image(layers))
        return kind, place

    def _replaced(self, place: Path, name: str, data: bytes) -> None:
        """Copy the image with another manifest or config, digests made to fit."""
        layout = Layout(place)
        shutil.copytree(self._layout, place, dirs_exist_ok=True)
        if name == "index":
            (place / "index.json").write_bytes(data)
            return
        index = json.loads((place / "index.json").read_bytes())
        if name == "config":
            manifest = Layout.manifest_of(self._layout)
            manifest["config"] |= {"digest": layout.blob(data), "size": len(data)}
            data = json.dumps(manifest).encode()
        index["manifests"][0] |= {"digest": layout.blob(data), "size": len(data)}
        (place / "index.json").write_text(json.dumps(index))


def _new(path: Path) -> Path:
    path.mkdir()
    return path
