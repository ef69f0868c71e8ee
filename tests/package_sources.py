"""Sources of packages for tests: .deb files by dpkg-deb or by hand, repositories by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import zstandard

COMPRESS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
CONTROL: Final = "Package: app\nVersion: 1.0\nArchitecture: all\nMaintainer: M <m@example.org>\n"
_REPO: Final = "http://linux.duke.edu/metadata/repo"
_COMMON: Final = "http://linux.duke.edu/metadata/common"


def deb(path: Path, name: str, *, version: str = "1.0", arch: str = "all", more: str = "",
        compress: str = "xz", content: str = "") -> Path:  # fmt: skip
    """Build a package with dpkg-deb."""
    root = path.parent / f".build-{path.name}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr").mkdir()
    (root / "usr/file").write_text(content)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n{more}"
        "Maintainer: M <m@example.org>\nDescription: a package\n of a test\n"
    )
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", f"-Z{compress}", "--build", root, path],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(["rm", "-r", root], check=True)
    return path


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return an archive as dpkg writes it."""
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def by_hand(control: str | bytes = CONTROL, *, suffix: str = "") -> bytes:
    """Return a .deb that dpkg-deb may refuse to build."""
    data = control.encode() if isinstance(control, str) else control
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{suffix}", COMPRESS[suffix](tar([("./control", data)]))),
            ("data.tar", tar([])),
        ]
    )


def primary(packages: Sequence[tuple[str, str]], *, head: str = "") -> bytes:
    """Return a primary.xml that names (architecture, href) pairs."""
    items = "".join(
        f'<package type="rpm"><name>n</name><arch>{arch}</arch><location href="{href}"/>'
        "<format><rpm:provides/></format></package>"
        for arch, href in packages
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<metadata xmlns="{_COMMON}" '
        f'xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{len(packages)}">{items}'
        "</metadata>"
    ).encode()


def repodata(place: Path, data: bytes, *, suffix: str = ".gz", kind: str = "primary",
             checksum: str = "sha256", digest: str | None = None,
             raw: bool = False) -> Path:  # fmt: skip
    """Write repodata with one metadata file: ``data``, compressed unless ``raw``."""
    folder = place / "repodata"
    folder.mkdir(parents=True, exist_ok=True)
    packed = data if raw else COMPRESS.get(suffix, bytes)(data)
    (folder / f"{kind}.xml{suffix}").write_bytes(packed)
    digest = digest or hashlib.new(checksum, packed).hexdigest()
    (folder / "repomd.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><repomd xmlns="{_REPO}"><revision>1</revision>'
        f'<data type="{kind}"><checksum type="{checksum}">{digest}</checksum>'
        f'<open-checksum type="sha256">0</open-checksum>'
        f'<location href="repodata/{kind}.xml{suffix}"/></data>'
        '<data type="primary_db"><checksum type="sha">0</checksum>'
        '<location href="repodata/not-there.sqlite.bz2"/></data></repomd>'
    )
    return place


def rpm_tree(place: Path, packages: Sequence[tuple[str, str]], *, suffix: str = ".gz") -> Path:
    """Write an RPM repository with every package that it names."""
    repodata(place, primary(packages), suffix=suffix)
    for _arch, href in packages:
        (place / href).parent.mkdir(parents=True, exist_ok=True)
        (place / href).write_bytes(href.encode())
    return place


def apt_tree(place: Path, suite: str = "stable", *, suffix: str = "",
             release: str = "Release") -> Path:  # fmt: skip
    """Write an apt repository of two packages for amd64 and one for all machines."""
    for arch in ("amd64", "arm64"):
        folder = place / f"dists/{suite}/main/binary-{arch}"
        folder.mkdir(parents=True)
        names = [f"pool/a_1_{arch}.deb", "pool/b_1_all.deb"]
        stanzas = "\n".join(f"Package: x\nVersion: 1\nFilename: {name}\n" for name in names)
        (folder / f"Packages{suffix}").write_bytes(COMPRESS[suffix](stanzas.encode()))
        (folder / "Release").write_text(f"Architecture: {arch}\n")
        (place / "pool").mkdir(exist_ok=True)
        for name in names:
            (place / name).write_bytes(name.encode())
    (place / f"dists/{suite}/{release}").write_text("Suite: s\nArchitectures: all amd64 arm64\n")
    return place
