"""The main job: an image from a registry boots, in every way, and updates itself on day 2."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path

import described
import pytest
from conftest import GUEST_HOST
from guest import boot, guest

from tests.fixtures.oci import blobs
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def reference(served: Registry) -> str:
    return f"{served.host}/os:1"


@pytest.fixture(scope="module")
def target(served: Registry) -> str:
    """The same image, as a guest reaches it."""
    return f"{GUEST_HOST}:{served.port}/os:1"


@pytest.fixture(scope="module")
def disks(diskgen: Program, reference: str, target: str) -> dict[str, Path]:
    """A disk that an ordinary user made, of a machine that is described, by its formats."""
    printed = diskgen(
        "build", reference, "--format", "qcow2,vmdk", "-o", diskgen.place,
        "--target-imgref", target, "--tls-verify=false", "--karg", "systemd.show_status=1",
        "--config", described.write(diskgen.place),
    )  # fmt: skip
    return {path.suffix[1:]: path for path in map(Path, printed.split())}


@pytest.fixture(scope="module")
def disk(disks: dict[str, Path]) -> Path:
    return disks["qcow2"]


@pytest.mark.parametrize(
    ("firmware", "kind"), [("uefi", "qcow2"), ("secureboot", "qcow2"), ("bios", "vmdk")]
)
def test_it_boots(
    disks: dict[str, Path],
    firmware: str,
    kind: str,
    target: str,
    diskgen: Program,
    reference: str,
) -> None:
    plan = json.loads(
        diskgen(
            "plan", "qcow2", reference, "--tls-verify=false", "--target-imgref", target, "--json",
            "--karg", "systemd.show_status=1", "--config", diskgen.place / "machine.toml",
        )
    )  # fmt: skip
    nonce, action = secrets.token_hex(8), "none" if firmware == "bios" else "poweroff"
    ssh = described.port()
    with guest(
        disks[kind],
        firmware=firmware,
        requests={"nonce": nonce, "action": action},
        forwards=[ssh],
    ) as machine:
        proof = machine.proof()
        if action == "none":
            described.people(machine, ssh, diskgen.place)
        else:
            assert machine.wait_end() == 0
            assert "login:" in machine.log
    assert proof["nonce"] == nonce
    assert proof["state"] == "running", proof.get("failed")
    assert proof["firmware"] == ("bios" if firmware == "bios" else "uefi")
    assert proof["secureboot"] == ("yes" if firmware == "secureboot" else "no")
    assert proof["booted"] == f"default {plan['deployment']['commit']}.0"
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    assert proof["deployments"] == "1"
    assert proof["fsck"] == "ok"
    assert proof["cmdline"].split()[1:] == plan["deployment"]["kargs"]
    assert proof["version"] == "1"
    checks = {key: value for key, value in proof.items() if key.startswith("check-")}
    assert len(checks) == 14
    assert set(checks.values()) == {"ok"}, checks
    described.check(proof)


@pytest.mark.extended  # test_boot_kinds.py has a day 2 that always runs
@pytest.mark.parametrize("firmware", ["uefi", "bios"])
def test_day_2(
    disk: Path,
    firmware: str,
    served: Registry,
    changed_image: Path,
    first_image: Path,
    target: str,
    tmp_path: Path,
) -> None:
    """The guest moves to a changed image by the ostree tools it has, boots it, and goes back."""
    image = tmp_path / "disk.qcow2"
    shutil.copyfile(disk, image)
    served.push(changed_image, "os", "1")
    try:
        mark = len(served.fetched("os"))
        before = boot(image, firmware, action="update", reference=target)
        fetched = served.fetched("os")[mark:]
        assert before["version"] == "1"
        assert before["update"] == "ok"
        after = boot(image, firmware, action="rollback")
        again = boot(image, firmware, action="poweroff")
    finally:
        served.push(first_image, "os", "1")
    assert after["version"] == "2"
    assert after["state"] == "running", after.get("failed")
    assert after["booted"] != before["booted"]
    assert after["deployments"] == "2"
    assert after["originfile"] == f"ostree-unverified-registry:{target}"
    assert after["fsck"] == "ok"
    assert after["rollback"] == "ok"
    assert again["version"] == "1"
    assert again["booted"] == before["booted"]
    for proof in (before, after, again):  # an update and the way back keep what was given
        described.check(proof)
    assert again["deployments"] == "2"
    # What the disk was built from is in its repository, under the names the tools look for:
    # only the new layer and the new config went over the wire.
    assert set(fetched) == blobs(changed_image) - blobs(first_image)


def test_nothing_special_is_used(
    diskgen: Program,
    reference: str,
    disk: Path,
    target: str,
) -> None:
    """Mounts, namespaces, loop devices and KVM are refused by the kernel: the same disk comes."""
    output = diskgen.place / "denied.qcow2"
    diskgen(
        "qcow2", reference, "-o", output, "--target-imgref", target, "--tls-verify=false",
        "--karg", "systemd.show_status=1", "--config", diskgen.place / "machine.toml",
        wrap=[sys.executable, HERE / "denied.py"],
    )  # fmt: skip
    assert output.read_bytes() == disk.read_bytes()
