"""Container images made by hand: tars of any entries, layers, layouts. Tests only."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from .initramfs import toy_initramfs

CREATED = "2026-11-01T00:00:00Z"
EPOCH = 1793491200
LABELS = {"containers.bootc": "1", "ostree.bootable": "1"}
KERNEL = "6.12.1-test"


class TarBuilder:
    """A pax tar of a few entries."""

    def __init__(self) -> None:
        self._data = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._data, mode="w", format=tarfile.PAX_FORMAT)

    def file(
        self,
        path: str,
        data: bytes = b"",
        *,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        xattrs: Mapping[str, bytes] | None = None,
    ) -> None:
        info = self._info(path, mode)
        info.size, info.uid, info.gid = len(data), uid, gid
        info.pax_headers = {
            f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
            for name, value in (xattrs or {}).items()
        }
        self._tar.addfile(info, io.BytesIO(data))

    def directory(self, path: str, mode: int = 0o755) -> None:
        self.special(path, tarfile.DIRTYPE, mode=mode)

    def symlink(self, path: str, target: str) -> None:
        self.special(path, tarfile.SYMTYPE, target, 0o777)

    def hardlink(self, path: str, target: str) -> None:
        self.special(path, tarfile.LNKTYPE, target)

    def special(self, path: str, kind: bytes, target: str = "", mode: int = 0o644) -> None:
        info = self._info(path, mode)
        info.type, info.linkname = kind, target
        self._tar.addfile(info)

    def finish(self) -> bytes:
        self._tar.close()
        return self._data.getvalue()

    def _info(self, path: str, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path)
        info.mode, info.mtime = mode, EPOCH
        return info


COMPRESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("+gzip", lambda data: gzip.compress(data, 5, mtime=0)),
    "zstd": ("+zstd", lambda data: zstandard.ZstdCompressor(3).compress(data)),
    "none": ("", lambda data: data),
}


@dataclass(frozen=True)
class Layer:
    """A layer in an OCI layout's terms."""

    media_type: str
    digest: str
    size: int
    diff_id: str


class Layout:
    """An OCI layout: blobs are added, then the manifest of one image."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs/sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (self.place / "blobs/sha256" / digest).write_bytes(data)
        return f"sha256:{digest}"

    def layer(self, tar: bytes, how: str = "gzip") -> Layer:
        suffix, compress = COMPRESS[how]
        blob = compress(tar)
        return Layer(
            f"application/vnd.oci.image.layer.v1.tar{suffix}",
            self.blob(blob),
            len(blob),
            f"sha256:{hashlib.sha256(tar).hexdigest()}",
        )

    def image(
        self,
        layers: Sequence[Layer],
        *,
        labels: Mapping[str, str] | None = None,
        arch: str = "amd64",
        annotations: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Write an image's config and manifest; return the manifest's descriptor."""
        config = json.dumps(
            {
                "architecture": arch, "os": "linux", "created": CREATED,
                "config": {"Labels": LABELS if labels is None else dict(labels)},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                "history": [{"created": CREATED, "created_by": "tests"} for _ in layers],
            }
        ).encode()  # fmt: skip
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": self.blob(config),
                    "size": len(config),
                },
                "layers": [
                    {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
                    for layer in layers
                ],
                "annotations": {"org.opencontainers.image.created": CREATED, **(annotations or {})},
            }
        ).encode()
        return {
            "mediaType": kind,
            "digest": self.blob(manifest),
            "size": len(manifest),
            "platform": {"os": "linux", "architecture": arch},
        }

    def finish(self, *descriptors: Mapping[str, Any], tag: str = "latest") -> Path:
        """Write the index: one image under a tag, several as a multi-architecture index."""
        if len(descriptors) == 1:
            top = dict(descriptors[0])
        else:
            kind = "application/vnd.oci.image.index.v1+json"
            index = {"schemaVersion": 2, "mediaType": kind, "manifests": list(descriptors)}
            data = json.dumps(index).encode()
            top = {"mediaType": kind, "digest": self.blob(data), "size": len(data)}
        top["annotations"] = {"org.opencontainers.image.ref.name": tag}
        value = {"schemaVersion": 2, "manifests": [top]}
        (self.place / "index.json").write_text(json.dumps(value))
        return self.place

    @staticmethod
    def manifest_of(place: Path) -> dict[str, Any]:
        """Return the manifest that a layout's index names."""
        top = json.loads((place / "index.json").read_bytes())["manifests"][0]
        value: dict[str, Any] = json.loads(
            (place / "blobs" / top["digest"].replace(":", "/", 1)).read_bytes()
        )
        return value


def bootable_tar(
    *, kernels: Sequence[str] = (KERNEL,), loader: bool = True, arch: str = "x86_64"
) -> bytes:
    """Return the tar of a small image with all that a machine needs, made up but for its shape."""
    tar = TarBuilder()
    for name in ("boot", "dev", "etc", "proc", "run", "sys", "sysroot", "usr", "usr/bin", "var"):
        tar.directory(name)
    tar.directory("tmp", 0o1777)
    tar.symlink("ostree", "sysroot/ostree")
    tar.symlink("bin", "usr/bin")
    tar.file("etc/hostname", b"tiny\n")
    tar.file("usr/bin/sh", b"#!", mode=0o755)
    tar.hardlink("usr/bin/ash", "usr/bin/sh")
    tar.file("usr/bin/su", b"su", mode=0o4755)
    tar.file("usr/lib/os-release", b'ID=tiny\nPRETTY_NAME="Tiny Linux 1"\n')
    tar.file("usr/lib/ostree/prepare-root.conf", b"[sysroot]\nreadonly=true\n")
    for kernel in kernels:
        image = mainframe_kernel() if arch == "s390x" else b"kernel " * 1000
        tar.file(f"usr/lib/modules/{kernel}/vmlinuz", image, mode=0o755)
        tar.file(f"usr/lib/modules/{kernel}/initramfs.img", toy_initramfs(), mode=0o600)
    if loader and arch == "s390x":
        tar.file("usr/lib/s390-tools/stage3.bin", bytes(range(256)) * 60)
        tar.file("usr/sbin/zipl", b"zipl", mode=0o755)
    elif loader:
        # As much of a boot loader as diskgen looks at: names of built-in modules and the prefix.
        grub = b"MZ" + bytes(510) + b"\0regexp\0normal\0" + b"\0/EFI/tiny\0"
        suffix, target = {"x86_64": ("x64", "x86_64-efi"), "aarch64": ("aa64", "arm64-efi")}[arch]
        tar.file(f"usr/lib/grub/{target}/monolithic/grub{suffix}.efi", grub)
    return tar.finish()


def bootable(place: Path, *extra: bytes, **options: Any) -> Path:
    """Return a layout with a small bootable image, further layers on top."""
    layout = Layout(place)
    layers = [layout.layer(bootable_tar(**options)), *(layout.layer(tar) for tar in extra)]
    oci = {"x86_64": "amd64", "aarch64": "arm64"}.get(options.get("arch", "x86_64"), "s390x")
    return layout.finish(layout.image(layers, arch=oci))


def mainframe_kernel(*, room: int = 4096) -> bytes:
    """Return as much of a kernel for s390x as a boot loader looks at."""
    image = bytearray(random.Random(390).randbytes(300_000))
    image[0x10008:0x1000E] = b"S390EP"
    image[0x10430:0x10438] = room.to_bytes(8, "big")  # bytes of a command line
    image[0x20000:0x30000] = bytes(0x10000)  # zeros become holes where nobody minds
    return bytes(image)


def blobs(place: Path) -> set[str]:
    """Return the digests of the config and the layers of a layout's image."""
    manifest = Layout.manifest_of(place)
    return {part["digest"] for part in (manifest["config"], *manifest["layers"])}
