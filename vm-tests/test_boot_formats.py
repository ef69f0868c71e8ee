"""One disk in every format: a machine starts from each, as QEMU or an archive's tools read it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import GUEST_HOST
from guest import guest

from diskgen.place import PLACES
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = [pytest.mark.vm, pytest.mark.extended]


def itself(file: Path, _place: Path) -> Path:
    return file


def unpacked(pattern: str) -> Callable[[Path, Path], Path]:
    """Return what finds a file in an archive that is unpacked."""

    def unpack(file: Path, place: Path) -> Path:
        subprocess.run(["tar", "-C", place, "-xSf", file], check=True)
        (found,) = place.glob(pattern)
        return found

    return unpack


def contained(file: Path, place: Path) -> Path:
    """Unpack a container's image as a cluster does."""
    layout = place / "layout"
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"oci-archive:{file}", f"oci:{layout}:disk"], check=True
    )
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{layout}:disk", place / "bundle"],
        check=True, capture_output=True,
    )  # fmt: skip
    (found,) = (place / "bundle/rootfs/disk").iterdir()
    return found


# How the disk of each format is come by.
DISKS: Mapping[str, Callable[[Path, Path], Path]] = {
    **dict.fromkeys(("qcow2", "raw", "ami", "vhd", "vhdx", "vmdk", "oci"), itself),
    "gce": unpacked("disk.raw"),
    "ova": unpacked("*.vmdk"),
    "vagrant": unpacked("box.img"),
    "containerdisk": contained,
}


@pytest.fixture(scope="module")
def files(diskgen: Program, served: Registry) -> dict[str, Path]:
    """One disk as all formats, and as the VMDK that a machine writes to."""
    words = (
        f"{served.host}/os:1", "--tls-verify=false",
        "--target-imgref", f"{GUEST_HOST}:{served.port}/os:1",
    )  # fmt: skip
    printed = diskgen("build", *words, "--format", ",".join(PLACES), "-o", diskgen.place)
    found = dict(zip(PLACES, map(Path, printed.split()), strict=True))
    sparse = diskgen.place / "sparse.vmdk"
    diskgen("vmdk", *words, "--subformat", "sparse", "-o", sparse)
    return {**found, "sparse": sparse}


@pytest.mark.parametrize("name", [*PLACES, "sparse"])
def test_a_machine_starts_from_it(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    disk = DISKS.get(name, itself)(files[name], tmp_path)
    nonce = secrets.token_hex(8)
    with guest(disk, firmware="bios", requests={"nonce": nonce, "action": "poweroff"}) as machine:
        proof = machine.proof()
        assert machine.wait_end() == 0
    assert proof["nonce"] == nonce
    assert proof["state"] == "running", proof.get("failed")
    assert proof["fsck"] == "ok"
    # What one place wants is in all of them.
    assert name == "sparse" or set(PLACES["ami"].kargs) <= set(proof["cmdline"].split())
