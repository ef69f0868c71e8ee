"""The main job: an image from a registry boots, in every way, and updates itself on day 2."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path

import pytest
from conftest import GUEST_HOST
from guest import guest

from tests.program import Program
from tests.registry import Registry

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
def disk(diskgen: Program, reference: str, target: str) -> Path:
    """A qcow2 that an ordinary user made."""
    printed = diskgen(
        "qcow2", reference, "-o", diskgen.place / "os.qcow2", "--target-imgref", target,
        "--tls-verify=false", "--karg", "systemd.show_status=1",
    )  # fmt: skip
    return Path(printed.strip())


@pytest.mark.parametrize("firmware", ["uefi", "secureboot", "bios"])
def test_it_boots(
    disk: Path,
    firmware: str,
    target: str,
    diskgen: Program,
    reference: str,
) -> None:
    plan = json.loads(
        diskgen(
            "plan", "qcow2", reference, "--tls-verify=false", "--target-imgref", target, "--json",
            "--karg", "systemd.show_status=1",
        )
    )  # fmt: skip
    nonce = secrets.token_hex(8)
    with guest(disk, firmware=firmware, requests={"nonce": nonce, "action": "poweroff"}) as machine:
        proof = machine.proof()
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
    assert again["deployments"] == "2"
    # What the disk was built from is in its repository, under the names the tools look for:
    # only the new layer and the new config went over the wire.
    assert set(fetched) == digests(changed_image) - digests(first_image)


def boot(disk: Path, firmware: str, **requests: str) -> dict[str, str]:
    """Boot once, for keeps, until the guest resets itself or switches off; return its proof."""
    extra = ["-no-reboot"]
    with guest(disk, firmware=firmware, write=True, requests=requests, extra=extra) as machine:
        machine.wait_for("DISKGEN-PROOF done=")
        assert machine.wait_end(seconds=300) == 0
        return {key: values[-1] for key, values in machine.facts().items()}


def digests(layout: Path) -> set[str]:
    """Return the digests of an image's config and layers."""
    (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())
    return {part["digest"] for part in (manifest["config"], *manifest["layers"])}


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
        "--karg", "systemd.show_status=1", wrap=[sys.executable, HERE / "denied.py"],
    )  # fmt: skip
    assert output.read_bytes() == disk.read_bytes()
