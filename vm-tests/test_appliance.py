"""Root filesystems other than ext4, xfs by us and btrfs by libguestfs, read back by the kernel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian_image
import pytest
from derive import derive
from guest import boot

from tests.fixtures.oci import TarBuilder, bootable
from tests.fixtures.program import Program

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def layout(diskgen: Program) -> Iterator[Path]:
    place = diskgen.place / "appliance"
    place.mkdir()
    place.chmod(0o755)
    extra = TarBuilder()
    extra.directory("usr/bin")
    extra.file("usr/bin/ping", b"#!", mode=0o755, xattrs={
        "security.capability": bytes.fromhex("0100000200200000000000000000000000000000"),
        "user.diskgen": b"a\0b",
    })  # fmt: skip
    extra.file("usr/lib/large", os.urandom(1 << 20) + bytes(64 << 20) + b"end")
    extra.file("usr/lib/größe", b"", mode=0o2755, uid=70000, gid=4_000_000_000)
    yield bootable(place / "os", debian_image.derived_layer(), extra.finish())
    shutil.rmtree(place)


@contextmanager
def root_of(disk: Path, plan: dict[str, object], options: str = "") -> Iterator[Path]:
    """Mount the root filesystem of a raw disk, with further options (``,subvol=x``)."""
    part = plan["disk"]["partitions"][-1]  # type: ignore[index]
    place = disk.with_suffix(".mounted")
    place.mkdir()
    where = f"loop,ro,offset={part['start']},sizelimit={part['size']}"
    where += options
    kind = part["filesystem"]
    if kind != "btrfs":
        where += ",noload" if kind == "ext4" else ",norecovery"
    subprocess.run(["mount", "-t", kind, "-o", where, disk, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def listing(root: Path) -> dict[bytes, object]:
    """Return everything of a tree but change times: by path, inodes by their first name."""
    found: dict[bytes, object] = {}
    inodes: dict[int, bytes] = {}
    top = os.fsencode(root)
    for base, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if (base, name) != (top, b"lost+found"))
        for name in sorted([*folders, *files, b""]):
            if base == top and name == b"lost+found":
                continue
            path = os.path.join(base, name)  # noqa: PTH118 - bytes
            info = os.lstat(path)
            single = stat.S_ISDIR(info.st_mode)
            first = path if single else inodes.setdefault(info.st_ino, path)
            xattrs = {x: os.getxattr(path, x, follow_symlinks=False)
                      for x in os.listxattr(path, follow_symlinks=False)}  # fmt: skip
            content = b""
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)  # noqa: PTH115 - bytes
            elif stat.S_ISREG(info.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            found[path.removeprefix(top)] = (
                info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns,
                first.removeprefix(top), xattrs, content,
            )  # fmt: skip
    return found


def frozen(root: Path) -> list[str]:
    """Return the directories that chattr +i protects."""
    done = subprocess.run(["lsattr", "-Rd", *root.glob("ostree/deploy/*/deploy/*.0")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return [line.split()[1].removeprefix(str(root)) for line in done.stdout.splitlines()
            if "i" in line.split()[0]]  # fmt: skip


# Bits of Linux fs/xfs/libxfs/xfs_format.h that kernel 6.12 is given: read-only compatible ones, and
# incompatible ones.
XFS_OF_6_12 = (0xD, 0xB)


def features(disk: Path, start: int) -> tuple[int, ...]:
    with disk.open("rb") as file:
        file.seek(start)
        block = file.read(512)
    assert block[:4] == b"XFSB"
    return struct.unpack(">II", block[212:220])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_the_same_tree_as_in_ext4(layout: Path, diskgen: Program) -> None:
    trees = []
    for kind in ("ext4", "xfs", "btrfs"):
        plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--rootfs", kind, "--json"))
        part = plan["disk"]["partitions"][-1]
        assert part["filesystem"] == kind
        disk = diskgen.place / f"{kind}.raw"
        diskgen("raw", f"oci:{layout}", "-o", disk.name, "--rootfs", kind)
        assert disk.stat().st_blocks * 512 < 200 << 20  # sparse
        blkid = subprocess.run(
            ["blkid", "--probe", "-o", "export", f"--offset={part['start']}",
             f"--size={part['size']}", disk],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        assert {f"TYPE={kind}", f"UUID={part['filesystem_uuid']}", "LABEL=root"} <= set(blkid)
        if kind == "xfs":
            assert features(disk, part["start"]) == XFS_OF_6_12
        with root_of(disk, plan) as root:
            trees.append((listing(root), frozen(root)))
        disk.unlink()
    assert len(trees[0][0]) > 100
    assert len(trees[0][1]) == 1
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_the_subvolume_that_the_kernel_looks_for(layout: Path, diskgen: Program) -> None:
    words = ("raw", f"oci:{layout}", "--rootfs", "btrfs", "--karg", "rootflags=subvol=sys/root")
    plan = json.loads(diskgen("plan", *words, "--json"))
    assert "rootflags=subvol=sys/root" in plan["deployment"]["kargs"]
    disk = diskgen.place / "subvolume.raw"
    diskgen(*words, "-o", disk.name)
    with root_of(disk, plan, ",subvol=sys/root") as root:
        assert (root / "ostree/repo/config").is_file()
        assert len(frozen(root)) == 1
    with root_of(disk, plan) as top:
        assert [path.name for path in top.iterdir()] == ["sys"]
    disk.unlink()


def test_an_image_that_asks_for_xfs_boots_from_it(cache: Path, diskgen: Program) -> None:
    wish = TarBuilder()
    wish.file("usr/lib/bootc/install/90-xfs.toml", b'[install.filesystem.root]\ntype = "xfs"\n')
    image = derive(debian_image.build(cache), diskgen.place / "wants-xfs", wish.finish())
    disk = diskgen.place / "xfs.qcow2"
    diskgen("qcow2", f"oci:{image}", "-o", disk.name)
    proof = boot(disk, "uefi", action="poweroff")
    assert proof["state"] == "running", proof.get("failed")
    assert proof["fsck"] == "ok"
    assert proof["root"] == "xfs"
    assert {value for key, value in proof.items() if key.startswith("check-")} == {"ok"}
    disk.unlink()
    shutil.rmtree(image)


def test_an_interrupt_ends_the_appliance(layout: Path, diskgen: Program) -> None:
    before = diskgen.left_behind()
    output = diskgen.place / "never.raw"
    child = diskgen.start("raw", f"oci:{layout}", "-o", output, "--rootfs", "btrfs")
    deadline = time.monotonic() + 120
    while not any("qemu-system" in words for words in of_build(diskgen.place)):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "interrupted: nothing was left behind" in err
    assert diskgen.left_behind() == before
    while of_build(diskgen.place):  # libguestfs's own guard ends last
        assert time.monotonic() < deadline
        time.sleep(0.1)


def of_build(place: Path) -> list[str]:
    """Return the command lines of the appliance that works for a build in a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{place}/" in words and ("qemu-system" in words or "appliance_worker" in words):
            found.append(words)
    return found
