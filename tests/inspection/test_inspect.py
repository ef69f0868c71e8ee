"""``diskgen inspect``: what is on disks, ours and others', and what it says it cannot show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.inspection import of_file
from diskgen.inspection.text import to_text
from diskgen.reference import SIGNED, TRANSPORTS, UNVERIFIED, ImageRef, split_origin
from diskgen.units import GIB, MIB

from ..fixtures.oci import KERNEL, Layout, TarBuilder, bootable
from ..fixtures.program import Program
from ..fixtures.sysroots import ORIGIN, ROOT_TYPE, Sysroot, call, day_two, disk_of

ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def people() -> bytes:
    tar = TarBuilder()
    tar.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    tar.file("etc/shadow", b"root:*::\nann:$6$salt$secret::\n", mode=0)
    tar.file("var/home/ann/.ssh/authorized_keys", b"ssh-ed25519 AAAA\n", mode=0o600)
    return tar.finish()


def cat(disk: Path, part: dict[str, Any], path: str) -> str:
    return call("debugfs", "-R", f"cat {path}", f"{disk}?offset={part['start']}")


@pytest.mark.parametrize(("arch", "sector", "kind"), [
    ("x86_64", 512, "ext4"), ("s390x", 512, "ext4"), ("aarch64", 4096, "ext4"),
    ("x86_64", 512, "btrfs"), ("x86_64", 512, "xfs"), ("aarch64", 4096, "xfs"),
])  # fmt: skip
def test_a_disk_of_ours(diskgen: Program, images: Path, arch: str, sector: int, kind: str) -> None:
    layout = bootable(images / "os", people(), arch=arch)
    words = (f"oci:{layout}", "--target-imgref", "quay.io/tiny/os:1", "--arch", arch,
             "--rootfs", kind, "--sector-size", str(sector),
             "--target-signature", SIGNED)  # fmt: skip
    plan = json.loads(diskgen("plan", "raw", *words, "--json"))
    diskgen("raw", *words, "-o", "os.raw")
    facts = json.loads(diskgen("inspect", "os.raw", "--json"))
    assert (facts["version"], facts["kind"], facts["notes"]) == (2, "disk", [])
    assert (facts["architecture"], facts["sector_size"]) == (arch, sector)
    (item,) = facts["deployments"]
    assert item["digest"] == plan["image"]["digest"] == digest_of(layout)
    assert item["reference"] == "quay.io/tiny/os:1"
    assert item["signature"] == SIGNED
    assert item["commit"] == plan["deployment"]["commit"]
    assert item["kargs"] == plan["deployment"]["kargs"]
    assert item["kernels"] == [KERNEL]
    assert item["os"]["name"] == "Tiny Linux 1"
    assert item["accounts"] == [
        {"name": "root", "uid": 0, "home": "/root", "shell": "/bin/sh", "password": "locked",
         "keys": 0},
        {"name": "ann", "uid": 1000, "home": "/home/ann", "shell": "/bin/sh", "password": "set",
         "keys": 1},
    ]  # fmt: skip
    # debugfs, dumpe2fs and blkid see the same.
    disk = diskgen.place / "os.raw"
    parts = {part["name"]: part for part in facts["partitions"]}
    boot, root = parts["boot"], parts["root"]
    assert " ".join(item["kargs"]) in cat(disk, boot, f"/loader.1/entries/{item['entry']}")
    if kind == "ext4":
        place = f"/ostree/deploy/default/deploy/{item['commit']}.0.origin"
        assert f"container-image-reference={item['origin']}\n" in cat(disk, root, place) + "\n"
    for part in (boot, root) if kind == "ext4" else (boot,):
        said = call("dumpe2fs", "-h", f"{disk}?offset={part['start']}")
        free = re.search(r"^Free blocks: +(\d+)$", said, re.MULTILINE)
        assert free is not None
        assert part["content"]["free"] == int(free[1]) * 4096
        assert f"{part['content']['uuid']}\n" in said
    ways = {way["name"]: way["works"] for way in facts["ways"]}
    if arch == "s390x":
        assert ways == {"ipl": True}
    else:
        assert ways["uefi"]
        assert not ways["secureboot"]
        esp = parts["EFI-SYSTEM"]
        said = call("blkid", "-p", "-o", "value", "-s", "UUID", f"--offset={esp['start']}", disk)
        assert esp["content"]["uuid"] == said
        planned = plan["bootloader"]["ways"].items()
        assert {name: way["works"] for name, way in planned if name in ways} == ways
    text = diskgen("inspect", "os.raw")
    for word in (item["digest"], "ann (1000), password set, 1 ssh keys", SIGNED, "GiB free"):
        assert word in text
    assert "secret" not in text + json.dumps(facts)
    if sector == 512:
        subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", disk, images / "os.qcow2"],
                       check=True)  # fmt: skip
        packed = json.loads(diskgen("inspect", images / "os.qcow2", "--json"))
        for key in ("deployments", "partitions", "ways", "notes"):
            assert packed[key] == facts[key]


def digest_of(layout: Path) -> str:
    index = json.loads((layout / "index.json").read_bytes())
    assert Layout.manifest_of(layout)
    return str(index["manifests"][0]["digest"])


@pytest.fixture(scope="module")
def sysroot(tmp_path_factory: pytest.TempPathFactory) -> Sysroot:
    return day_two(tmp_path_factory.mktemp("day-two"))


@pytest.fixture(scope="module")
def machine(sysroot: Sysroot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk as ``bootc install`` makes it, after an update: no separate /boot."""
    place = tmp_path_factory.mktemp("machine")
    fill: list[str | Path] = ["mke2fs", "-q", "-t", "ext4", "-d", sysroot.place]
    return disk_of(place / "disk", (ESP_TYPE, ["mkfs.vfat"]), (ROOT_TYPE, fill))


def test_a_machine_after_its_update(machine: Path, sysroot: Sysroot) -> None:
    facts = of_file(machine)
    assert [item["commit"] for item in facts["deployments"]] == list(sysroot.commits)
    assert [item["digest"] for item in facts["deployments"]] == ["sha256:2", "sha256:1"]
    assert [item["kargs"][:2] for item in facts["deployments"]] == [
        ["root=LABEL=root", "number=2"],
        ["root=LABEL=root", "number=1"],
    ]
    status = call("ostree", "admin", "status", f"--sysroot={sysroot.place}")
    assert re.findall(r"fedora ([0-9a-f]{64})\.0", status) == list(sysroot.commits)
    newest = facts["deployments"][0]
    assert newest["os"] == {"id": "day", "name": "Day Two", "version": "2", "image_version": "41.2"}
    assert (newest["origin"], newest["reference"]) == (ORIGIN, "q.io/day:2")
    assert newest["kernels"] == ["6.1.2"]
    accounts = {a["name"]: (a["password"], a["keys"]) for a in newest["accounts"]}
    assert accounts == {"root": ("locked", 0), "bob": ("set", 2), "eve": ("none", 0),
                        "ned": ("locked", 1)}  # fmt: skip
    assert facts["architecture"] == "x86_64"
    text = to_text(facts)
    assert text.index("the menu's entry 1") < text.index("the menu's entry 2")


def test_a_separate_boot_and_a_deployment_without_entry(tmp_path: Path) -> None:
    made = day_two(tmp_path)
    boot = tmp_path / "boot"
    shutil.move(made.place / "boot", boot)
    (made.place / "boot").mkdir()
    (boot / "loader/entries/ostree-1-fedora.conf").unlink()
    ext4: list[str | Path] = ["mke2fs", "-q", "-t", "ext4", "-d"]
    disk = disk_of(tmp_path / "disk", (LINUX, [*ext4, boot]), (LINUX, [*ext4, made.place]))
    facts = of_file(disk)
    assert [bool(item["entry"]) for item in facts["deployments"]] == [True, False]
    assert "not in the menu" in to_text(facts)
    assert facts["architecture"] is None


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_filesystem_of_its_own_maker(tmp_path: Path, kind: str) -> None:
    argv: list[str | Path] = [f"mkfs.{kind}", "-q", "-L", "label"]
    disk = disk_of(tmp_path / "disk", (ROOT_TYPE, argv), size=400 * MIB)
    facts = of_file(disk)
    content = facts["partitions"][0]["content"]
    start = facts["partitions"][0]["start"]
    uuid = call("blkid", "-p", "-o", "value", "-s", "UUID", f"--offset={start}", disk)
    assert (content["filesystem"], content["uuid"], content["label"]) == (kind, uuid, "label")
    assert 0 < content["free"] < content["size"] <= 400 * MIB
    assert facts["deployments"] == []
    assert facts["notes"] == ["there is no deployment in what can be read"]


def test_a_journal_that_is_to_be_replayed_is_said(machine: Path, tmp_path: Path) -> None:
    disk = Path(shutil.copy(machine, tmp_path / "disk"))
    start = of_file(disk)["partitions"][1]["start"]
    call("debugfs", "-w", "-R", "feature needs_recovery", f"{disk}?offset={start}")
    facts = of_file(disk)
    assert len(facts["deployments"]) == 2
    assert facts["notes"] == [
        "partition 2: it was not unmounted cleanly: what its journal alone holds is not shown"
    ]


def test_a_disk_that_was_made_larger_is_shown(machine: Path, tmp_path: Path) -> None:
    disk = Path(shutil.copy(machine, tmp_path / "disk"))
    with disk.open("r+b") as file:
        file.truncate(GIB)
    facts = of_file(disk)
    assert len(facts["deployments"]) == 2
    assert "its second partition table is not in order" in facts["notes"][0]


def test_the_composefs_backend_is_named(tmp_path: Path) -> None:
    (tmp_path / "root/composefs").mkdir(parents=True)
    (tmp_path / "root/state/deploy").mkdir(parents=True)
    fill: list[str | Path] = ["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "root"]
    facts = of_file(disk_of(tmp_path / "disk", (ROOT_TYPE, fill)))
    assert facts["notes"] == [
        "its deployments are those of bootc's composefs backend, which are not shown"
    ]


@given(
    st.sampled_from(sorted(TRANSPORTS)),
    st.sampled_from([UNVERIFIED, SIGNED, "ostree-remote-registry:mine"]),
)
def test_origins_are_taken_apart_as_they_are_made(transport: str, rule: str) -> None:
    ref = ImageRef(transport, "quay.io/a/b:1" if transport == "docker" else "/a/b:c")
    assert split_origin(ref.origin_by(rule)) == (rule, ref.short)
