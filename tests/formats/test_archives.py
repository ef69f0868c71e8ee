"""Archives with a qcow2 in them, before the tools that unpack them."""

from __future__ import annotations

import json
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from diskgen.config import Request
from diskgen.events import discard
from diskgen.formats import FORMATS
from diskgen.place import PLACES
from diskgen.reference import parse
from diskgen.units import GIB, MIB

from ..fixtures.disks import blank, varied
from ..fixtures.formats import IDENTITY, convert, flip, same

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x"}


def of_arch(raw: Path, out: Path, name: str, arch: str) -> Path:
    request = Request(format=name, source=parse("x/y"), arch=arch, output=out)
    FORMATS[name].write(raw, out, request, IDENTITY, discard)
    return out


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_containerdisk_before_skopeo(tmp_path: Path, arch: str) -> None:
    """It verifies each digest as it copies, and takes the image for its architecture."""
    raw = varied(tmp_path / "raw", 33 * MIB)
    out = of_arch(raw, tmp_path / "my os.containerdisk.tar", "containerdisk", arch)
    place = tmp_path / "layout"
    subprocess.run(
        ["skopeo", "--override-arch", ARCHITECTURES[arch], "copy", "--quiet",
         f"oci-archive:{out}", f"oci:{place}:disk"], check=True,
    )  # fmt: skip
    shown = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci:{place}:disk"], check=True, capture_output=True
    )
    config = json.loads(shown.stdout)
    assert (config["architecture"], config["os"]) == (ARCHITECTURES[arch], "linux")
    assert config.get("variant") == {"aarch64": "v8"}.get(arch)


def test_a_containerdisk_before_umoci(tmp_path: Path) -> None:
    """What KubeVirt looks for: one file below /disk, which user 107 reads."""
    raw = varied(tmp_path / "raw", 33 * MIB)
    out = convert(raw, tmp_path / "os.containerdisk.tar", "containerdisk")
    place = tmp_path / "layout"
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"oci-archive:{out}", f"oci:{place}:disk"], check=True
    )
    bundle = tmp_path / "bundle"
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{place}:disk", bundle],
        check=True, capture_output=True,
    )  # fmt: skip
    [disk] = [path for path in (bundle / "rootfs").rglob("*") if path.is_file()]
    assert disk == bundle / "rootfs/disk/os.qcow2"
    same(raw, disk, "qcow2")
    with tarfile.open(out) as archive:
        # Directories are there before what is in them: skopeo of an ordinary user cannot make them.
        assert archive.getnames()[:2] == ["blobs", "blobs/sha256"]
        layer = archive.extractfile(archive.getmembers()[2])
        with tarfile.open(fileobj=layer) as inner:
            found = {(m.name, m.uid, m.gid, m.mode, m.mtime) for m in inner}
    assert found == {("disk", 107, 107, 0o555, 0), ("disk/os.qcow2", 107, 107, 0o440, 0)}


def test_a_damaged_containerdisk_is_refused(tmp_path: Path) -> None:
    raw = varied(tmp_path / "raw", 33 * MIB)
    out = convert(raw, tmp_path / "os.containerdisk.tar", "containerdisk")
    size = out.stat().st_size
    for number in range(1, 11):
        flip(out, size * number // 16)
        done = subprocess.run(
            ["skopeo", "copy", f"oci-archive:{out}", f"oci:{tmp_path / 'layout'}:disk"],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        assert done.returncode != 0, number
        flip(out, size * number // 16)


@pytest.mark.parametrize(("size", "told"), [(33 * MIB, 1), (3 * GIB, 3), (3 * GIB + 512, 4)])
def test_a_box_of_vagrants(tmp_path: Path, size: int, told: int) -> None:
    raw = varied(tmp_path / "raw", size)
    out = convert(raw, tmp_path / "os.box", "vagrant")
    subprocess.run(["tar", "-C", tmp_path, "-xf", out], check=True)
    facts = json.loads((tmp_path / "metadata.json").read_text())
    assert facts == {
        "architecture": "amd64", "format": "qcow2", "provider": "libvirt", "virtual_size": told,
    }  # fmt: skip
    same(raw, tmp_path / "box.img", "qcow2")
    subprocess.run(["qemu-img", "check", tmp_path / "box.img"], check=True, capture_output=True)
    assert (tmp_path / "Vagrantfile").read_text().startswith('Vagrant.configure("2")')


@pytest.mark.parametrize(("name", "given", "kind"), [
    ("qcow2", None, "zstd"), ("oci", None, "zlib"), ("oci", "zstd", "zstd"),
    ("qcow2", "zlib", "zlib"),
])  # fmt: skip
def test_each_place_has_its_compression(
    tmp_path: Path, name: str, given: str | None, kind: str
) -> None:
    out = convert(varied(tmp_path / "raw", MIB), tmp_path / "os", name, compression=given)
    shown = subprocess.run(
        ["qemu-img", "info", "--output", "json", out], check=True, capture_output=True
    )
    assert json.loads(shown.stdout)["format-specific"]["data"]["compression-type"] == kind


def test_names_that_no_archive_takes(tmp_path: Path) -> None:
    """Members are called like the file, as far as that is a name anywhere."""
    raw = blank(tmp_path / "raw", MIB)
    for stem in ("ä" * 60, "a" * 190, "..", "x\ny"):
        for name in ("containerdisk", "ova"):
            out = convert(raw, tmp_path / f"{stem}.{PLACES[name].suffix}", name)
            with tarfile.open(out) as archive:
                assert all(len(member) < 100 for member in archive.getnames())


def grains(path: Path) -> list[tuple[int, int]]:
    """Return where the compressed grains of a streamOptimized VMDK are, and their lengths."""
    data = path.read_bytes()
    at, found = 128 * 512, []
    while at < len(data):
        number, length, kind = struct.unpack_from("<QII", data, at)
        if length:
            found.append((at + 12, length))
            at += -(-(12 + length) // 512) * 512
        elif kind == 0:
            break
        else:
            at += (1 + number) * 512
    return found


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("vmdk", "qemu-img convert -f vmdk -O raw {file} {place}/read"),
        ("gce", "gzip -t {file}"),
        pytest.param(
            "ova", "virt-v2v -i ova {file} --print-source", marks=pytest.mark.extended
        ),
    ],
)  # fmt: skip
def test_ten_damaged_places_are_ten_refusals(tmp_path: Path, name: str, argv: str) -> None:
    """Where a format has a checksum, its readers see each of them."""
    out = convert(varied(tmp_path / "raw", 33 * MIB), tmp_path / f"os.{name}", name)
    size = out.stat().st_size
    if name == "vmdk":
        places = [at + length // 2 for at, length in grains(out)]
        chosen = [places[len(places) * number // 10] for number in range(10)]
    else:
        first = 20 * 512 if name == "ova" else 10
        chosen = [first + (size - first) * number // 11 for number in range(1, 11)]
    words = argv.format(file=out, place=tmp_path).split()
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    for at in chosen:
        flip(out, at)
        assert subprocess.run(words, capture_output=True, check=False).returncode != 0, at
        flip(out, at)
