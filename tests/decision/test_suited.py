"""What a place wants of an image: drivers that find its root, someone who gets keys there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from diskgen.arch import MACHINES
from diskgen.blueprint.model import Customizations, User
from diskgen.config import Output, Request
from diskgen.decision import decide, wishes
from diskgen.decision.answers import device_of
from diskgen.decision.suited import Disk, unsuited
from diskgen.decision.wishes import Route
from diskgen.initramfs.findings import driver_name
from diskgen.ostree.drivers import Drivers
from diskgen.place import PLACES
from diskgen.reference import parse

from ..fixtures.initramfs import PREPARE_ROOT, cpio
from ..fixtures.oci import KERNEL, TarBuilder, bootable
from ..fixtures.program import Program

MODULES = f"usr/lib/modules/{KERNEL}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"usr/lib/modules/6.12/kernel/drivers/scsi/hv_storvsc.ko.xz", "hv_storvsc"),
        (b"kernel/drivers/block/xen-blkfront.ko", "xen_blkfront"),
        (b"lib/modules/1/nvme.ko.zst", "nvme"),
        (b"lib/modules/1/nvme.ko.gz", "nvme"),
        (b"etc/nvme.ko.conf", None),
        (b"etc/.ko", None),
    ],
)
def test_names_of_drivers(path: bytes, name: str | None) -> None:
    assert driver_name(path) == name


def layer(early: tuple[str, ...], built_in: tuple[str, ...], late: tuple[str, ...]) -> TarBuilder:
    """Return a layer whose kernel has drivers in its initramfs, in itself, and in its tree."""
    tar = TarBuilder()
    files = {PREPARE_ROOT: b"prepare"}
    files |= {f"{MODULES}/kernel/drivers/x/{name}.ko.xz": b"x" for name in early}
    tar.file(f"{MODULES}/initramfs.img", cpio(files), mode=0o600)
    lines = "".join(f"kernel/drivers/y/{name}.ko\n" for name in (*built_in, "ext4"))
    tar.file(f"{MODULES}/modules.builtin", lines.encode())
    tar.file("usr/bin/growpart", b"#!", mode=0o755)
    for name in late:
        tar.file(f"{MODULES}/kernel/drivers/z/{name}.ko.zst", b"x")
    return tar


def warnings(diskgen: Program, layout: Path, name: str, *words: str) -> list[str]:
    plan = json.loads(
        diskgen("plan", name, f"oci:{layout}", "--json", "--target-imgref", "q.io/a", *words)
    )
    found: list[str] = plan["warnings"]
    return found


def test_the_root_is_found_where_a_driver_is_early(diskgen: Program, images: Path) -> None:
    """The first case of the field: a kernel of a cloud's, whose initramfs is for QEMU."""
    tar = layer(("virtio_scsi", "virtio-blk"), ("nvme", "virtio_pci"), ("hv_vmbus", "hv_storvsc"))
    tar.file("usr/bin/cloud-init", b"#!", mode=0o755)
    layout = bootable(images / "os", tar.finish())
    lacking = {name: warnings(diskgen, layout, name) for name in PLACES}
    assert {name for name, found in lacking.items() if found} == {
        "vhd", "vhdx", "vmdk", "ova",
    }  # fmt: skip
    assert lacking["vhd"] == [
        "on Azure the machine may not find its root: neither the kernel nor its initramfs has the "
        "drivers 'hv_vmbus hv_storvsc'; make the initramfs in the image's build by: dracut "
        "--add-drivers 'hv_vmbus hv_storvsc'"
    ]
    (vmware,) = lacking["vmdk"]
    assert "'vmw_pvscsi'; install what brings them for its kernel" in vmware


def test_any_way_to_the_root_will_do(diskgen: Program, images: Path) -> None:
    layout = bootable(
        images / "os", layer(("mptspi", "nvme"), ("hv_vmbus",), ("hv_storvsc",)).finish()
    )
    assert warnings(diskgen, layout, "vmdk") == []
    (keys,) = warnings(diskgen, layout, "gce")
    assert keys.startswith("nothing in the image gets keys or accounts from Google")
    drivers, _keys = warnings(diskgen, layout, "vhd")
    assert "--add-drivers 'hv_storvsc'" in drivers


def test_nothing_is_said_where_nothing_is_known(diskgen: Program, images: Path) -> None:
    """A kernel that does not list what is built in may have it all."""
    tar = TarBuilder()
    tar.file(f"{MODULES}/modules.builtin", b"\xff\xfe")
    tar.file("usr/bin/growpart", b"#!", mode=0o755)
    tar.file("usr/bin/cloud-init", b"#!", mode=0o755)
    layout = bootable(images / "os", tar.finish())
    assert warnings(diskgen, layout, "vhd") == []


AZURE = ("hv_vmbus", "hv_storvsc", "hv_netvsc")


def test_accounts_of_the_configuration_are_keys(diskgen: Program, images: Path) -> None:
    """Whoever makes an account that can be entered needs nothing of the cloud."""
    layout = bootable(images / "os", layer(AZURE, (), ()).finish())
    (told,) = warnings(diskgen, layout, "vhd")
    assert "nobody but its own accounts can log in; --user and --user-key make one" in told
    for user, silent in (
        (User(name="me", keys=("ssh-ed25519 AAAA",)), True),
        (User(name="root", password="$6$salt$hash"), True),
        (User(name="me"), False),  # locked
    ):
        assert Customizations(users=(user,)).lets_in == silent
    tree = SimpleNamespace(drivers=Drivers(), fetched=frozenset(), ignition=False, grows=True)
    for accounts in (True, False):
        disk = Disk(
            tree=tree,  # type: ignore[arg-type]
            machine=MACHINES["x86_64"], ways=(), kargs=(), accounts=accounts,
        )  # fmt: skip
        assert (list(unsuited(PLACES["vhd"], disk)) == []) == accounts


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("usr/bin/cloud-init", {"vhd", "ami"}),
        ("usr/bin/afterburn", {"vhd", "ami"}),
        ("usr/sbin/waagent", {"vhd"}),
        ("usr/bin/google_guest_agent", set()),
    ],
)
def test_an_agent_serves_its_own_cloud(
    diskgen: Program, images: Path, path: str, places: set[str]
) -> None:
    tar = layer((*AZURE, "nvme"), (), ())
    tar.file(path, b"#!", mode=0o755)
    layout = bootable(images / "os", tar.finish())
    assert {name for name in ("vhd", "ami") if not warnings(diskgen, layout, name)} == places


@pytest.mark.parametrize(
    ("path", "grows"),
    [
        ("usr/lib/systemd/system/bootc-generic-growpart.service", True),
        ("usr/lib/repart.d/50-root.conf", True),
        ("etc/repart.d/50-root.conf", True),
        ("usr/lib/repart.d/README", False),
        ("usr/lib/dracut/modules.d/50growroot/module-setup.sh", True),
    ],
)
def test_a_root_that_stays_as_it_is(
    diskgen: Program, images: Path, path: str, *, grows: bool
) -> None:
    tar = TarBuilder()
    tar.file("usr/bin/cloud-init", b"#!", mode=0o755)
    tar.file(path, b"#", mode=0o644)
    layout = bootable(images / "os", tar.finish())
    found = warnings(diskgen, layout, "vhd")
    assert (found == []) == grows
    assert grows or "a larger disk at Azure will not be used" in found[0]
    assert warnings(diskgen, layout, "qcow2") == []


def test_what_ignition_needs_to_reach_its_configuration(diskgen: Program, images: Path) -> None:
    tar = layer(("hv_vmbus", "hv_storvsc"), (), ("hv_netvsc",))
    tar.file("usr/lib/ignition/base.ign", b"{}")
    layout = bootable(images / "os", tar.finish())
    keys, network = warnings(diskgen, layout, "vhd")
    assert "gets keys from Azure (Afterburn)" in keys
    assert network.startswith("on Azure Ignition may not reach its configuration")
    assert "--add-drivers 'hv_netvsc'" in network


def test_consoles_that_are_not_there(diskgen: Program, images: Path) -> None:
    tar = layer((*AZURE, "nvme"), (), ())
    tar.file("usr/bin/cloud-init", b"#!", mode=0o755)
    layout = bootable(images / "os", tar.finish())
    (told,) = warnings(diskgen, layout, "ami", "--karg", "console=ttyS1")
    assert "at Amazon EC2 nobody sees what the machine says" in told
    assert told.endswith("add --karg console=ttyS0,115200n8")
    assert warnings(diskgen, layout, "ami", "--karg", "console=ttyS0") == []
    assert warnings(diskgen, layout, "ami", "--no-console") == []
    assert warnings(diskgen, layout, "raw", "--karg", "console=ttyS1") == []


def added(formats: str, arch: str, *kargs: str) -> tuple[str, ...]:
    """Return what is added to the kernel arguments for some places."""
    first, *others = formats.split()
    request = Request(
        format=first, also=tuple(map(Output, others)), source=parse("x/y"), arch=arch, kargs=kargs
    )
    return decide(wishes(request, Route.DISKGEN), None, MACHINES[arch], Route.DISKGEN).added


@pytest.mark.parametrize(
    ("formats", "arch", "kargs", "found"),
    [
        ("qcow2", "x86_64", (), "console=tty0 console=ttyS0,115200n8"),
        ("gce", "x86_64", (), "console=ttyS0,38400n8d"),
        ("qcow2 gce", "x86_64", (), "console=tty0 console=ttyS0,115200n8"),
        ("vhdx", "x86_64", (), "console=tty0"),
        (
            "ami", "aarch64", (),
            "console=tty0 console=ttyS0,115200n8 nvme_core.io_timeout=4294967295",
        ),
        (
            "raw ami", "aarch64", ("nvme-core.io_timeout=30",),
            "console=tty0 console=ttyAMA0,115200n8 console=ttyS0,115200n8",
        ),
        ("ami gce", "x86_64", ("console=ttyS7",), "nvme_core.io_timeout=4294967295"),
    ],
)  # fmt: skip
def test_arguments_of_a_place_where_nobody_says_otherwise(
    formats: str, arch: str, kargs: tuple[str, ...], found: str
) -> None:
    assert " ".join(added(formats, arch, *kargs)) == found


def test_every_place_has_consoles_of_its_architectures() -> None:
    for place in PLACES.values():
        assert set(place.consoles) <= set(place.architectures or MACHINES)
        for words in place.consoles.values():
            assert all(device_of(word) for word in words)
