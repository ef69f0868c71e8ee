"""What a place wants of an image: drivers that find its root, someone who gets keys there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diskgen.initramfs.findings import driver_name
from diskgen.place import PLACES

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
    for name in late:
        tar.file(f"{MODULES}/kernel/drivers/z/{name}.ko.zst", b"x")
    return tar


def warnings(diskgen: Program, layout: Path, name: str) -> list[str]:
    plan = json.loads(diskgen("plan", name, f"oci:{layout}", "--json", "--target-imgref", "q.io/a"))
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
    tar.file("usr/bin/cloud-init", b"#!", mode=0o755)
    layout = bootable(images / "os", tar.finish())
    assert warnings(diskgen, layout, "vhd") == []
