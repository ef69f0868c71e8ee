"""Images of real-world kinds boot and update: composefs, SELinux enforcing, encapsulated."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import debian_image
import described
import oracle as oracle_module
import oracle_build
import pytest
from conftest import GUEST_HOST
from debian_image import COMPOSEFS, PLAIN, SELINUX, VERITY
from derive import derive
from guest import boot, guest

from tests.fixtures.oci import TarBuilder, blobs
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm
# What the guest's agent counts as well: files of the disk, but for links that the policy forgets.
_DENIED = re.compile(r"avc: +denied (?!.*tclass=lnk_file).*(dev=.vda|unlabeled_t)")
ROOTS = {"composefs": "overlay", "verity": "overlay", "xfs": "xfs", "btrfs": "btrfs"}
# Which image, and the root filesystem that it asks for.
IMAGES = {
    "composefs": (COMPOSEFS, None), "selinux": (SELINUX, None), "verity": (VERITY, None),
    "xfs": (PLAIN, "xfs"), "btrfs": (PLAIN, "btrfs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def work(diskgen: Program) -> Iterator[Path]:
    """A directory for images, readable by everyone."""
    place = diskgen.place / "kinds"
    place.mkdir()
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def encapsulated(cache: Path, work: Path, *, changed: bool) -> Path:
    """Return an encapsulated Debian with derived layers, one of which brings the update tool."""
    base = work / "encapsulated"
    if not base.is_dir():
        tar = debian_image.base_layer(cache)
        oracle_module.make(cache, work).encapsulate(tar, base.name, policy=False)
    tool = TarBuilder()
    program = oracle_build.build(cache).read_bytes()
    tool.file("usr/bin/ostree-container", program, mode=0o755)
    layers = [
        tool.finish(), debian_image.doomed_layer(), debian_image.derived_layer(),
        debian_image.agent_layer("1"),
    ]  # fmt: skip
    if changed:
        layers.append(debian_image.version_layer("2"))
    return derive(base, work / ("changed" if changed else "first"), *layers)


@pytest.mark.parametrize(
    "kind",
    [
        *(
            pytest.param(kind, marks=pytest.mark.extended)
            for kind in ("composefs", "verity", "xfs", "btrfs")
        ),
        "selinux",
        "encapsulated",
    ],
)
def test_it_boots_and_updates(
    kind: str, cache: Path, work: Path, served: Registry, diskgen: Program
) -> None:
    if kind == "encapsulated":
        first, changed = (encapsulated(cache, work, changed=late) for late in (False, True))
    else:
        recipe, root = IMAGES[kind]
        first, changed = (debian_image.build(cache, recipe, changed=late) for late in (False, True))
        if root is not None:
            wish = TarBuilder()
            text = f'[install.filesystem.root]\ntype = "{root}"\n'
            wish.file("usr/lib/bootc/install/90-root.toml", text.encode())
            first, changed = (
                derive(image, work / f"{kind}-{image is changed}", wish.finish())
                for image in (first, changed)
            )
    served.push(first, kind, "1")
    target = f"{GUEST_HOST}:{served.port}/{kind}:1"
    disk = work / f"{kind}.qcow2"
    diskgen(
        "qcow2", f"{served.host}/{kind}:1", "-o", diskgen.place / disk.name,
        "--target-imgref", target, "--tls-verify=false",
        "--config", described.write(diskgen.place),
    )  # fmt: skip
    shutil.move(diskgen.place / disk.name, disk)
    served.push(changed, kind, "1")
    mark = len(served.fetched(kind))
    before = boot(disk, "uefi", action="update", reference=target)
    sound(kind, before)
    assert before["version"] == "1"
    assert before["update"] == "ok"
    fetched = served.fetched(kind)[mark:]
    after = boot(disk, "uefi", action="rollback")
    sound(kind, after)
    assert after["version"] == "2"
    assert after["deployments"] == "2"
    assert after["booted"] != before["booted"]
    assert after["rollback"] == "ok"
    ssh = described.port()
    requests = {"action": "none"}
    with guest(disk, firmware="uefi", write=True, requests=requests, forwards=[ssh]) as machine:
        again = machine.proof(seconds=600)
        described.people(machine, ssh, diskgen.place)
        late = machine.log.partition("DISKGEN-PROOF done=")[2]
    assert not [line for line in late.splitlines() if _DENIED.search(line)]
    sound(kind, again)
    assert again["version"] == "1"
    assert again["booted"] == before["booted"]
    assert set(fetched) == blobs(changed) - blobs(first)
    disk.unlink()


def sound(kind: str, proof: dict[str, str]) -> None:
    """Check what every boot of a kind must say."""
    assert proof["state"] == "running", proof.get("failed")
    assert proof["fsck"] == "ok"
    assert {value for key, value in proof.items() if key.startswith("check-")} == {"ok"}
    described.check(proof)
    assert proof["root"] == ROOTS.get(kind, "ext4")
    assert proof["verity"] == ("require" if kind == "verity" else "")
    if kind == "selinux":
        assert proof["selinux"] == "Enforcing"
        assert proof["denials"] == "0", proof["denied"]
        assert proof["unlabelled"] == ""
        assert proof["relabelled"] == ""
