"""Root filesystems of every kind, read by the kernel and by libguestfs; machines on them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess
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
    with root_of(disk, plan, ",subvolid=5") as top:
        assert [path.name for path in top.iterdir()] == ["sys"]
    with root_of(disk, plan) as usual:
        assert (usual / "ostree/repo/config").is_file()
    disk.unlink()


WISHES = {
    "xfs": '[install.filesystem.root]\ntype = "xfs"\n',
    "btrfs": '[install.filesystem.root]\ntype = "btrfs"\n'
    '[install]\nkargs = ["rootflags=subvol=sys/root"]\n',
}


@pytest.mark.parametrize(("kind", "firmware"), [("xfs", "uefi"), ("btrfs", "bios")])
def test_an_image_that_asks_for_it_boots_from_it(
    kind: str, firmware: str, cache: Path, diskgen: Program
) -> None:
    wish = TarBuilder()
    wish.file("usr/lib/bootc/install/90-root.toml", WISHES[kind].encode())
    image = derive(debian_image.build(cache), diskgen.place / f"wants-{kind}", wish.finish())
    disk = diskgen.place / f"{kind}.qcow2"
    diskgen("qcow2", f"oci:{image}", "-o", disk.name)
    proof = boot(disk, firmware, action="poweroff")
    assert proof["state"] == "running", proof.get("failed")
    assert proof["fsck"] == "ok"
    assert proof["root"] == kind
    assert ("subvol=/sys/root" in proof["rootfs"]) == (kind == "btrfs")
    assert {value for key, value in proof.items() if key.startswith("check-")} == {"ok"}
    raw = diskgen.place / f"{kind}.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    with root_alone(raw, json.loads(diskgen("plan", "raw", f"oci:{image}", "--json"))) as device:
        subprocess.run([*JUDGES[kind], device], check=True)
    for path in (disk, raw):
        path.unlink()
    shutil.rmtree(image)


JUDGES = {"xfs": ["xfs_repair", "-n"], "btrfs": ["btrfs", "check", "--check-data-csum"]}


@contextmanager
def root_alone(disk: Path, plan: dict[str, object]) -> Iterator[str]:
    """Give a device that is the root filesystem alone."""
    part = plan["disk"]["partitions"][-1]  # type: ignore[index]
    words = ["losetup", "--find", "--show", f"--offset={part['start']}", disk]
    device = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


READ = """
import guestfs, json, sys
g = guestfs.GuestFS(python_return_dict=True)
g.set_backend("direct")
g.set_backend_settings(["force_tcg"])
g.add_drive_opts(sys.argv[1], format="raw", readonly=True)
g.launch()
g.mount_ro("/dev/sda" + sys.argv[2], "/")
g.checksums_out("sha256", "/", sys.argv[3])
"""


@pytest.mark.extended
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_another_kernel_reads_the_same(
    kind: str, layout: Path, diskgen: Program, tmp_path: Path
) -> None:
    """That of libguestfs's appliance: every content, by its sum."""
    disk = diskgen.place / f"read-{kind}.raw"
    diskgen("raw", f"oci:{layout}", "-o", disk.name, "--rootfs", kind)
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--rootfs", kind, "--json"))
    number = str(plan["disk"]["partitions"][-1]["number"])
    sums = tmp_path / "sums"
    subprocess.run(["/usr/bin/python3", "-c", READ, disk, number, sums], check=True)
    found = {}
    for line in sums.read_bytes().splitlines():
        digest, _, name = line.partition(b"  ")
        found[name.removeprefix(b"./")] = digest.decode()
    with root_of(disk, plan) as root:
        expected = {}
        for path, values in listing(root).items():
            if stat.S_ISREG(values[0]):  # type: ignore[index]
                content = values[-1]  # type: ignore[index]
                expected[path.removeprefix(b"/")] = hashlib.sha256(content).hexdigest()
    assert len(expected) > 100
    assert found == expected
    disk.unlink()
