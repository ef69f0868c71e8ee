"""Media for other architectures, made here, install themselves there; nobody else has a part in it.

The installer runs in the very image that it installs. aarch64 is told everything by a kickstart, a
mainframe, which has no menu, is answered over its console.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import cross_image
import pytest
from conftest import GUEST_HOST
from guest import boot
from terminal import answer, installing

from diskgen.arch import MACHINES
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm

EXTENDED = pytest.mark.extended
KICKSTART = Path(__file__).resolve().parent / "installer/unattended.ks"
UNATTENDED = 3  # of the menu without packages
FIRMWARE = {"aarch64": "uefi", "s390x": "ipl"}


@pytest.fixture(scope="module")
def reference(served: Registry, cache: Path) -> str:
    """One index of images that can install themselves."""
    images = {MACHINES[arch].oci: cross_image.build(cache, arch) for arch in FIRMWARE}
    served.push_index(images, "self", "1")
    return f"{served.host}/self:1"


@pytest.fixture(scope="module")
def target(served: Registry) -> str:
    return f"{GUEST_HOST}:{served.port}/self:1"


def make(diskgen: Program, reference: str, target: str, arch: str, *words: str | Path) -> Path:
    """Make a medium for an architecture as an ordinary user."""
    printed = diskgen(
        "iso", reference, "--arch", arch, "--tls-verify=false", "--target-imgref", target,
        "-o", diskgen.place / f"{arch}.iso", *words,
    )  # fmt: skip
    return Path(printed.strip())


def test_aarch64_installs_by_a_kickstart(
    diskgen: Program, reference: str, target: str, disk: Path, tmp_path: Path
) -> None:
    kickstart = shutil.copy(KICKSTART, diskgen.place)
    iso = make(diskgen, reference, target, "aarch64", "--kickstart", kickstart)
    with installing(
        iso, disk, arch="aarch64", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(UNATTENDED, 0, seconds=300)
        terminal.expect("DISKGEN-INSTALL done", seconds=1200)
        assert terminal.wait_end() == 0
    sound(boot(disk, arch="aarch64", action="poweroff"), "aarch64", target)


@pytest.mark.parametrize(
    "scsi", [pytest.param(False, id="virtio"), pytest.param(True, id="scsi", marks=EXTENDED)]
)
def test_a_mainframe_installs_as_it_is_told(
    diskgen: Program, reference: str, target: str, disk: Path, scsi: bool, tmp_path: Path
) -> None:
    iso = make(diskgen, reference, target, "s390x")
    with installing(
        iso, disk, arch="s390x", scsi=scsi, network=False, log=tmp_path / "install.log"
    ) as terminal:
        answer(terminal, disk="sda" if scsi else "vda")
        terminal.expect("installation is complete", seconds=1200)
        terminal.expect("Press Enter")
        terminal.send("p")
        assert terminal.wait_end() == 0
    proof = boot(disk, arch="s390x", scsi=scsi, action="poweroff")
    sound(proof, "s390x", target)
    assert "ostree=/ostree/boot.1/" in proof["cmdline"]


def sound(proof: Mapping[str, str], arch: str, target: str) -> None:
    """Check what every installed machine must say."""
    assert proof["machine"] == arch
    assert proof["firmware"] == FIRMWARE[arch]
    assert proof["state"] == "running", proof.get("failed")
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    assert proof["deployments"] == "1"
    assert proof["fsck"] == "ok"
    checks = {key: value for key, value in proof.items() if key.startswith("check-")}
    assert len(checks) == 14
    assert set(checks.values()) == {"ok"}, checks
