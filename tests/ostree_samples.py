"""Layers, trees and images made by hand, for the tests of diskgen.ostree."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diskgen.gvariant import file_header
from diskgen.image.index import Entry, Kind, LayerIndex
from diskgen.image.model import Image, Layer
from diskgen.reference import ImageRef
from diskgen.tree import Content, Data, Directory, File, Xattrs, read

from .initramfs import toy_initramfs

LABELS = {"containers.bootc": "1", "org.opencontainers.image.version": "42.1"}
CREATED = "2025-06-01T12:30:15.123456789Z"
TIMESTAMP = 1748781015
OWNER = (0, 0)
INITRAMFS = toy_initramfs()


def checksum(
    mode: int, uid: int, gid: int, xattrs: Xattrs, target: bytes, content: Content | None
) -> bytes:
    """Return an ostree content checksum."""
    data = read(content) if content is not None else b""
    return hashlib.sha256(file_header(mode, uid, gid, target, xattrs) + data).digest()


def f(
    path: str | bytes,
    data: bytes = b"x",
    *,
    mode: int = 0o644,
    owner: tuple[int, int] = OWNER,
    xattrs: Xattrs = (),
) -> Entry:
    """Return a regular file's entry."""
    full = stat.S_IFREG | mode
    content = Data(data)
    digest = checksum(full, *owner, xattrs, b"", content)
    return Entry(_raw(path), Kind.FILE, full, *owner, 5, xattrs, b"", content, digest)


def d(
    path: str | bytes,
    *,
    mode: int = 0o755,
    owner: tuple[int, int] = OWNER,
    xattrs: Xattrs = (),
) -> Entry:
    """Return a directory's entry."""
    return Entry(
        _raw(path), Kind.DIR, stat.S_IFDIR | mode, *owner, 5, xattrs, b"", None, None
    )  # fmt: skip


def s(path: str | bytes, target: str | bytes, *, owner: tuple[int, int] = OWNER) -> Entry:
    """Return a symlink's entry."""
    mode = stat.S_IFLNK | 0o777
    digest = checksum(mode, *owner, (), _raw(target), None)
    return Entry(_raw(path), Kind.SYMLINK, mode, *owner, 5, (), _raw(target), None, digest)


def h(path: str | bytes, target: str | bytes, *, owner: tuple[int, int] = OWNER) -> Entry:
    """Return a hard link's entry."""
    return Entry(_raw(path), Kind.HARDLINK, 0, *owner, 5, (), _raw(target), None, None)


def layer(*entries: Entry, number: int = 1) -> LayerIndex:
    """Return the index of a layer."""
    return LayerIndex(f"sha256:{number:064x}", entries, Path("/nonexistent"))


def write_tar(path: Path, entries: Sequence[Entry]) -> Path:
    """Write a layer as a tar file."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for entry in entries:
            info = tarfile.TarInfo(entry.path.decode() or "./")
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
            info.mode = stat.S_IMODE(entry.mode)
            # Backwards: libarchive hands them to ostree in reverse, which does not sort them here.
            info.pax_headers = {
                f"SCHILY.xattr.{name.decode()}": value.decode()
                for name, value in reversed(entry.xattrs)
            }
            data = None
            if entry.content is not None:
                data = io.BytesIO(read(entry.content))
                info.size = entry.content.size
            elif entry.kind is Kind.DIR:
                info.type = tarfile.DIRTYPE
            else:
                info.type = tarfile.SYMTYPE if entry.kind is Kind.SYMLINK else tarfile.LNKTYPE
                info.linkname = entry.target.decode()
            out.addfile(info, data)
    return path


def bootable(*, owner: tuple[int, int] = OWNER, kernel: bytes = b"kernel") -> tuple[Entry, ...]:
    """Return the entries of a small image that can become a machine."""
    entries = [
        d("", owner=owner),
        *(d(name, owner=owner) for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "var")),
        d("tmp", mode=0o1777, owner=owner),
        s("ostree", "sysroot/ostree", owner=owner),
        s("bin", "usr/bin", owner=owner),
        d("etc", owner=owner),
        f("etc/hostname", b"", owner=owner),
        f("etc/machine-id", b"uninitialized\n", mode=0o444, owner=owner),
        f("etc/shadow", b"root:*\n", mode=0, owner=owner),
        f("etc/.updated", owner=owner),
        f("etc/fstab", b"# the image's\n", owner=owner),
        s("etc/os-release", "../usr/lib/os-release", owner=owner),
        d("usr", owner=owner),
        d("usr/bin", owner=owner),
        f("usr/bin/sh", b"#!", mode=0o755, owner=owner),
        h("usr/bin/ash", "usr/bin/sh", owner=owner),
        f("usr/bin/su", b"su", mode=0o4755, owner=owner),
        f("usr/lib/os-release", b'ID=test\nPRETTY_NAME="Test Linux 1"\n', owner=owner),
        f("usr/lib/ostree/prepare-root.conf", b"[sysroot]\nreadonly=true\n", owner=owner),
        f("usr/lib/modules/6.1.0-test/vmlinuz", kernel, mode=0o755, owner=owner),
        f("usr/lib/modules/6.1.0-test/initramfs.img", INITRAMFS, mode=0o600, owner=owner),
        d("usr/lib/tmpfiles.d", owner=owner),
        f("usr/share/empty1", b"", owner=owner),
        f("usr/share/empty2", b"", owner=owner),
        f("var/lib/state", b"state", owner=owner),
    ]
    return tuple(entries)


def image(layers: int, *, labels: dict[str, str] | None = None, **config: Any) -> Image:
    """Return an image of so many layers; their blobs do not exist."""
    rows = tuple(
        Layer(
            f"sha256:{number:02x}{'b' * 62}",
            f"sha256:{number:064x}",
            100,
            "application/vnd.oci.image.layer.v1.tar+gzip",
            Path("/nonexistent"),
        )
        for number in range(1, layers + 1)
    )
    value = {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {"Labels": LABELS if labels is None else labels},
        "rootfs": {"type": "layers", "diff_ids": [row.diff_id for row in rows]},
        **config,
    }
    raw = json.dumps(value).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}",
            "size": len(raw),
        },
        "layers": [
            {"mediaType": row.media_type, "digest": row.digest, "size": row.size} for row in rows
        ],
    }
    return Image(
        ImageRef("docker", "quay.io/example/os:1"),
        "x86_64",
        f"sha256:{hashlib.sha256(json.dumps(manifest).encode()).hexdigest()}",
        json.dumps(manifest).encode(),
        raw,
        rows,
    )


def listing(root: Directory) -> dict[str, str]:
    """Return a tree as one line of text per path."""
    lines = {"": _line(root)}
    return lines | {path.decode(): _line(node) for path, node in root.walk()}


def ostree(*argv: str | Path) -> str:
    """Run the real ostree; return what it prints."""
    done = subprocess.run(["ostree", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def _line(node: File | Directory) -> str:
    text = f"{node.mode:06o} {node.uid}:{node.gid}"
    if isinstance(node, Directory):
        return text
    return f"{text} -> {node.target.decode()}" if node.is_symlink else f"{text} {node.size}"


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
