"""Other architectures from this one: built as an ordinary user, booted, updated, rolled back."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import cross_image
import debian_image
import pytest
from conftest import GUEST_HOST
from guest import boot, guest

from diskgen.arch import MACHINES
from diskgen.bootloader import zipl
from diskgen.disk import gpt
from diskgen.disk.ext4.reader import locate
from tests.fixtures.oci import blobs
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry
from tests.oracles import bootmap

pytestmark = pytest.mark.vm

ARCHES = ("aarch64", "s390x")
REPOSITORY = "multi"
UP = "Hostname set to <diskgen>"  # what the systemd of the root filesystem says first


def layout(cache: Path, arch: str, *, changed: bool = False) -> Path:
    if arch == "x86_64":
        return debian_image.build(cache, changed=changed)
    return cross_image.build(cache, arch, changed=changed)


@pytest.fixture(scope="module")
def reference(served: Registry, cache: Path) -> str:
    """One index for three architectures."""
    images = {MACHINES[arch].oci: layout(cache, arch) for arch in ("x86_64", *ARCHES)}
    served.push_index(images, REPOSITORY, "1")
    return f"{served.host}/{REPOSITORY}:1"


@pytest.fixture(scope="module")
def target(served: Registry) -> str:
    return f"{GUEST_HOST}:{served.port}/{REPOSITORY}:1"


@pytest.fixture(scope="module")
def disks(diskgen: Program, reference: str, target: str) -> Mapping[tuple[str, int], Path]:
    """A disk for each architecture and sector size, all from the one reference."""
    made = {}
    for arch in ("x86_64", *ARCHES):
        for size in (512, 4096):
            output = diskgen.place / f"{arch}-{size}.qcow2"
            diskgen(
                "qcow2", reference, "--arch", arch, "--sector-size", str(size), "-o", output,
                "--target-imgref", target, "--tls-verify=false",
            )  # fmt: skip
            found = json.loads(diskgen("inspect", output, "--json"))
            assert (found["architecture"], found["sector_size"]) == (arch, size)
            made[arch, size] = output
    return made


@pytest.mark.parametrize("arch", ARCHES)
def test_it_boots(
    arch: str,
    disks: Mapping[tuple[str, int], Path],
    diskgen: Program,
    reference: str,
    target: str,
) -> None:
    plan = json.loads(
        diskgen("plan", "qcow2", reference, "--arch", arch, "--tls-verify=false",
                "--target-imgref", target, "--json")
    )  # fmt: skip
    nonce = secrets.token_hex(8)
    requests = {"nonce": nonce, "action": "poweroff"}
    with guest(disks[arch, 512], arch=arch, requests=requests) as machine:
        proof = machine.proof(seconds=600)
        assert machine.wait_end() == 0
        assert "login:" in machine.log
    sound(arch, proof)
    assert proof["nonce"] == nonce
    assert proof["booted"] == f"default {plan['deployment']['commit']}.0"
    assert proof["originfile"] == f"ostree-unverified-registry:{target}"
    assert proof["sectors"] == "512"
    said = proof["cmdline"].split()
    assert [word for word in said if not word.startswith("BOOT_IMAGE=")] == (
        plan["deployment"]["kargs"]
    )


@pytest.mark.parametrize(
    ("arch", "size", "scsi"),
    [pytest.param("s390x", 512, True, marks=pytest.mark.extended),
     pytest.param("s390x", 4096, False, marks=pytest.mark.extended),
     ("s390x", 4096, True), ("aarch64", 4096, False), ("x86_64", 4096, False)],
)  # fmt: skip
def test_sectors_and_buses(
    arch: str, size: int, scsi: bool, disks: Mapping[tuple[str, int], Path]
) -> None:
    with guest(disks[arch, size], arch=arch, sector_size=size, scsi=scsi) as machine:
        machine.wait_for(UP, seconds=300)
        if scsi:
            assert re.search(r"sd 0:\S+ \[sda\]", machine.log)
        if size == 4096:
            assert re.search(
                r"\[[sv]da\] .*4096-byte (logical|physical) blocks|4\.\d+ k", machine.log
            )


def test_secure_boot_on_aarch64(disks: Mapping[tuple[str, int], Path]) -> None:
    with guest(disks["aarch64", 512], arch="aarch64", firmware="secureboot") as machine:
        machine.wait_for(UP, seconds=300)
        assert "secureboot: Secure boot enabled" in machine.log


@pytest.mark.extended
@pytest.mark.parametrize("arch", ARCHES)
def test_day_2(
    arch: str,
    disks: Mapping[tuple[str, int], Path],
    cache: Path,
    served: Registry,
    target: str,
    tmp_path: Path,
) -> None:
    """The guest moves to a changed image; on s390x zipl of the guest makes the boot map anew."""
    image = tmp_path / "disk.qcow2"
    shutil.copyfile(disks[arch, 512], image)
    first, changed = layout(cache, arch), layout(cache, arch, changed=True)
    served.push_index({MACHINES[arch].oci: changed}, REPOSITORY, "1")
    try:
        mark = len(served.fetched(REPOSITORY))
        before = boot(image, arch=arch, action="update", reference=target)
        fetched = served.fetched(REPOSITORY)[mark:]
        if arch == "s390x":
            check_map(image, tmp_path)
        after = boot(image, arch=arch, action="rollback")
        again = boot(image, arch=arch, action="poweroff")
    finally:
        images = {MACHINES[a].oci: layout(cache, a) for a in ("x86_64", *ARCHES)}
        served.push_index(images, REPOSITORY, "1")
    assert before["update"] == "ok"
    assert after["rollback"] == "ok"
    for proof, version in ((before, "1"), (after, "2"), (again, "1")):
        sound(arch, proof)
        assert proof["version"] == version
    assert after["booted"] != before["booted"] == again["booted"]
    assert after["deployments"] == again["deployments"] == "2"
    assert set(fetched) == blobs(changed) - blobs(first)


def check_map(image: Path, scratch: Path) -> None:
    """What zipl made in the guest loads the same as what diskgen makes of the same files."""
    raw, ours = scratch / "disk.raw", scratch / "ours.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    subprocess.run(["cp", "--sparse=always", raw, ours], check=True)
    offset = gpt.read(raw).entries[0].start
    programs = [
        zipl.Program(
            kernel=locate(raw, offset, entry["linux"].removeprefix("/boot")),
            initrd=locate(raw, offset, entry["initrd"].removeprefix("/boot")),
            command_line=entry["options"],
        )
        for entry in entries(raw, offset)
    ]
    assert len(programs) == 2
    stage3 = bootmap.load(raw, 0).at(0xA000, 0x4000)
    place = locate(ours, offset, "bootmap")
    with ours.open("r+b") as file:
        for item in zipl.boot_map(programs, stage3, place, sector_size=512):
            file.seek(item.at)
            file.write(item.data)
    for number, program in ((0, programs[0]), (1, programs[0]), (2, programs[1])):
        theirs, mine = bootmap.load(raw, number), bootmap.load(ours, number)
        assert mine.psw == theirs.psw
        # zipl adds a block of environment variables behind the command line.
        assert len(theirs.components) - len(mine.components) in (0, 1)
        for (at, data), (their_at, their_data) in zip(mine.components[:3], theirs.components[:3],
                                                      strict=True):  # fmt: skip
            assert (at, data) == (their_at, their_data)
        found = []
        for loaded in (theirs, mine):
            line, initrd, initrd_size, psw, _extra, flags, size, kernel = struct.unpack(
                ">8Q", loaded.at(0x9000, 64)
            )
            text = loaded.at(line, 4096).partition(b"\0")[0].decode()
            assert text.strip() == program.command_line
            assert (size, initrd_size) == (program.kernel.size, program.initrd.size)
            found.append(
                (line, psw, flags, kernel, loaded.at(kernel, size), loaded.at(initrd, initrd_size))
            )
        assert found[0] == found[1]
    raw.unlink()
    ours.unlink()


def entries(raw: Path, offset: int) -> list[dict[str, str]]:
    """Return the boot loader entries of a disk, the newest first, by debugfs."""

    def debugfs(command: str) -> str:
        argv = ["debugfs", "-R", command, f"{raw}?offset={offset}"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    link = re.search(r'Fast link dest: "(.+)"', debugfs("stat /loader"))
    assert link is not None
    folder = f"/{link[1]}/entries"
    names = sorted(re.findall(r"/([^/]+\.conf)/", debugfs(f"ls -p {folder}")), reverse=True)
    return [
        dict(line.split(" ", 1) for line in debugfs(f"cat {folder}/{name}").splitlines() if line)
        for name in names
    ]


def sound(arch: str, proof: Mapping[str, str]) -> None:
    """Check what every boot must say."""
    assert proof["machine"] == arch
    assert proof["firmware"] == {"aarch64": "uefi", "s390x": "ipl"}[arch]
    assert proof["state"] == "running", proof.get("failed")
    assert proof["fsck"] == "ok"
    checks = {key: value for key, value in proof.items() if key.startswith("check-")}
    assert len(checks) == 14
    assert set(checks.values()) == {"ok"}, checks
