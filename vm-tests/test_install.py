"""Media with diskgen's own installer: started in every way, answered, and what they installed.

One medium for all: its installer is a container of its own, its payload an image from a registry,
its packages a directory of files. The machines have no network while they are installed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import package_pool
import pytest
import runtime_image
from conftest import GUEST_HOST
from guest import boot, guest
from terminal import answer, answer_people, installing

from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm

HERE = Path(__file__).resolve().parent
IMAGE, PACKAGE, TEST, TROUBLE, UNATTENDED = range(5)  # GRUB's menu
MAC = "52:54:00:12:34:56"  # of QEMU's first device
ADDRESS = "10.0.2.50/24"  # not the one that QEMU's DHCP gives
NAMES = "10.0.2.3"  # its name server


@pytest.fixture(scope="module")
def target(served: Registry) -> str:
    """The image as a guest reaches it."""
    return f"{GUEST_HOST}:{served.port}/os:1"


@pytest.fixture(scope="module")
def iso(diskgen: Program, served: Registry, target: str, cache: Path) -> Path:
    """A medium that an ordinary user made."""
    served.push(runtime_image.build(cache), "installer", "1")
    pool = diskgen.place / "pool"
    shutil.copytree(package_pool.build(cache), pool)
    kickstart = shutil.copy(HERE / "installer/unattended.ks", diskgen.place)
    printed = diskgen(
        "iso", f"{served.host}/os:1", "--tls-verify=false", "--target-imgref", target,
        "--installer", f"{served.host}/installer:1",
        "--packages", pool, "--package", "linux-image-cloud-amd64",
        "--network", f"device={MAC},ip={ADDRESS},gateway={GUEST_HOST},dns={NAMES}",
        "--kickstart", kickstart, "-o", diskgen.place / "os.iso",
    )  # fmt: skip
    return Path(printed.strip())


@pytest.mark.extended
def test_unattended_image_mode_by_bios(iso: Path, disk: Path, target: str, tmp_path: Path) -> None:
    with installing(
        iso, disk, firmware="bios", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(UNATTENDED, 0)
        terminal.expect("DISKGEN-INSTALL done", seconds=900)
        assert terminal.wait_end() == 0
    sound(boot(disk, "bios", action="poweroff"), target, "bios")


def test_typed_image_mode_by_secure_boot(
    iso: Path, disk: Path, target: str, served: Registry, changed_image: Path, first_image: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Someone answers over the serial line; the machine that comes of it updates on day 2."""
    with installing(
        iso, disk, firmware="secureboot", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(TROUBLE, 2)  # over the serial line
        terminal.expect("How is ", seconds=300)
        terminal.expect("Choice [1]: ")
        terminal.send("7")
        terminal.expect("Please answer by a number from 1 to 2.")
        terminal.expect("Choice [1]: ")
        terminal.send("1")
        answer(terminal)
        terminal.expect("installation is complete", seconds=900)
        terminal.expect("Press Enter")
        terminal.send("p")
        assert terminal.wait_end() == 0
    served.push(changed_image, "os", "1")
    try:
        before = boot(disk, "secureboot", action="update", reference=target)
        after = boot(disk, "secureboot", action="poweroff")
    finally:
        served.push(first_image, "os", "1")
    assert before["secureboot"] == after["secureboot"] == "yes"
    sound(before, target, "uefi")
    assert before["update"] == "ok"
    assert after["version"] == "2"
    assert after["originfile"] == f"ostree-unverified-registry:{target}"
    assert after["deployments"] == "2"


def test_unattended_packages_by_bios(iso: Path, disk: Path, tmp_path: Path) -> None:
    with installing(
        iso, disk, firmware="bios", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(UNATTENDED, 1)
        terminal.expect("DISKGEN-INSTALL done", seconds=900)
        assert terminal.wait_end() == 0
    proof = boot(disk, "bios")
    assert proof["state"] == "running", proof.get("failed")
    assert proof["hostname"] == "installed"
    reachable(proof)
    assert proof["servers"] == NAMES
    assert json.loads(proof["installed"]) == {"mode": "package"}
    assert proof["firmware"] == "bios"
    assert proof["audit"] == "0"
    assert int(proof["packages"]) > 100
    assert proof["kernel"].startswith("linux-image-")
    assert proof["sources"] == "0"  # the medium is gone
    assert proof["rootfs"] == "ext4"
    assert proof["zone"] == "Etc/UTC"


@pytest.mark.extended
def test_typed_packages_by_uefi_from_a_stick(iso: Path, disk: Path, tmp_path: Path) -> None:
    with installing(
        iso, disk, firmware="uefi", attach="usb", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(PACKAGE)
        answer(terminal)
        terminal.expect("installation is complete", seconds=1200)
        terminal.expect("Press Enter")
        terminal.send("p")
        assert terminal.wait_end() == 0
    with guest(disk, firmware="uefi", write=True) as machine:
        machine.wait_for("login:")


@pytest.mark.extended  # sticks of other makers start by UEFI in test_stage2_found.py
def test_a_stick_starts_by_uefi_and_nothing_is_erased(
    iso: Path, disk: Path, tmp_path: Path
) -> None:
    """The last question is answered by no: the disk is as it was, and the network is as asked."""
    with installing(
        iso, disk, firmware="uefi", attach="usb", log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(IMAGE)
        terminal.expect("Onto which disk?", seconds=300)
        terminal.expect("Choice [1]: ")
        terminal.send("")
        answer_people(terminal)
        terminal.expect("to go on, anything else to stop: ")
        terminal.send("yes")
        terminal.expect("nothing was changed")
        terminal.expect("begin again")
        terminal.send("s")
        terminal.expect("# ")
        terminal.send("cat /run/diskgen/medium; ip -4 -o address show scope global | cat; exit")
        terminal.expect("/dev/sd")
        assert f" {ADDRESS} " in terminal.expect("begin again")
        terminal.send("p")
        assert terminal.wait_end() == 0
    assert disk.stat().st_blocks == 0


def test_a_medium_tests_itself(iso: Path, disk: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.iso"
    broken.write_bytes(iso.read_bytes())
    with broken.open("r+b") as file:
        file.seek(-20 * 1024 * 1024, 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    with installing(
        broken, disk, firmware="bios", network=False, log=tmp_path / "install.log"
    ) as terminal:
        terminal.pick(TEST)
        terminal.expect("Testing this medium", seconds=300)
        terminal.expect("error: ")
        terminal.expect("DISKGEN-INSTALL failed")


def reachable(proof: dict[str, str]) -> None:
    """Check that the machine has the address that its medium was told."""
    assert proof["addresses"] == ADDRESS
    assert proof["routes"].startswith(f"default via {GUEST_HOST} dev ")
    assert "dhcp" not in proof["routes"]


def sound(proof: dict[str, str], target: str, firmware: str) -> None:
    """Check what every installed machine must say."""
    assert proof["state"] == "running", proof.get("failed")
    assert proof["firmware"] == firmware
    reachable(proof)
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    installed = json.loads(proof["installed"])
    assert (installed["mode"], installed["reference"]) == ("image", target)
    assert installed["digest"].startswith("sha256:")
    assert proof["deployments"] == "1"
    assert proof["fsck"] == "ok"
    assert proof["version"] == "1"
    checks = {key: value for key, value in proof.items() if key.startswith("check-")}
    assert len(checks) == 14
    assert set(checks.values()) == {"ok"}, checks
