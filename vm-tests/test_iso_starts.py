"""A mastered medium starts in every way: BIOS and UEFI, from CD and from USB stick; s390x by IPL.

The kernels are real; they say on the serial line which arguments the menu gave them.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import cross_image
import debian_image
import pytest
import starting
from starting import MODULES, kernel_of, machine, wait_for

from diskgen import run
from diskgen.iso.mastering import hybrid, mainframe, mediacheck
from diskgen.iso.mastering.hybrid import Bios, Esp
from diskgen.iso.mastering.master import BootImage, Medium, master
from diskgen.iso.menus import menu
from diskgen.iso.menus.menu import Choices
from diskgen.iso.runtimes import overlay
from diskgen.tree import Directory, regular
from tests.fixtures.oci import EPOCH

pytestmark = pytest.mark.vm

LABEL = "DISKGEN-TEST"
KERNEL, INITRD = "/images/pxeboot/vmlinuz", "/images/pxeboot/initrd.img"
# The kernel shows its command line although the entry says quiet.
CHOICES = Choices(product="Tiny Linux", label=LABEL, kargs=("console=ttyS0", "loglevel=7"))


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A medium with GRUB for both firmwares, a menu and a kernel."""
    place = tmp_path_factory.mktemp("iso")
    core, loader, fat = place / "eltorito.img", place / "BOOTX64.EFI", place / "efi.img"
    for target, output, prefix, modules in (
        ("i386-pc-eltorito", core, "/boot/grub2", ["biosdisk"]),
        ("x86_64-efi", loader, "/EFI/BOOT", ["fat", "efi_gop", "efi_uga", "all_video"]),
    ):
        folder = MODULES / target.removesuffix("-eltorito")
        subprocess.run(
            ["grub-mkimage", "-O", target, "-d", folder, "-p", prefix, "-o", output, *modules,
             "iso9660", "part_gpt", "normal", "configfile", "search", "search_label", "linux",
             "all_video", "gzio", "sleep", "minicmd", "test", "true"],
            check=True,
        )  # fmt: skip
    texts = {}
    for bios in (True, False):
        made_menu = menu.make(CHOICES, kernel=KERNEL, initrd=INITRD, bios=bios)
        texts[bios] = menu.to_grub(replace(made_menu, timeout=1))
    (place / "grub.cfg").write_text(texts[False])
    subprocess.run(["mkfs.vfat", "-C", "-n", "ANACONDA", fat, "8192"], check=True,
                   capture_output=True)  # fmt: skip
    subprocess.run(["mmd", "-i", fat, "::/EFI", "::/EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", fat, loader, place / "grub.cfg", "::/EFI/BOOT"], check=True)
    root = Directory()
    root.add("images/eltorito.img", regular(core.read_bytes()))
    root.add("images/efiboot.img", regular(fat.read_bytes()))
    root.add(KERNEL, regular(kernel_of(debian_image.base_layer(cache))))
    root.add(INITRD, regular(gzip.compress(overlay.archive(Directory(), EPOCH), mtime=0)))
    root.add("boot/grub2/grub.cfg", regular(texts[True].encode()))
    root.add("EFI/BOOT/grub.cfg", regular(texts[False].encode()))
    boot = (
        BootImage(path="images/eltorito.img", efi=False, load_size=4, info_table=True),
        BootImage(path="images/efiboot.img", efi=True),
    )
    output = place / "test.iso"
    made = master(output, Medium(root=root, label=LABEL, timestamp=EPOCH,
                                 application="DISKGEN", boot=boot))  # fmt: skip
    hybrid.make(
        output, seed="test",
        bios=Bios(mbr=(MODULES / "i386-pc/boot_hybrid.img").read_bytes(),
                  core=made.places[boot[0].path], core_size=core.stat().st_size),
        esp=Esp(start=made.places[boot[1].path], size=fat.stat().st_size),
    )  # fmt: skip
    mediacheck.implant(output)
    return output


@pytest.mark.parametrize("medium", ["cd", "usb"])
@pytest.mark.parametrize("kind", ["bios", "uefi"])
def test_it_starts(iso: Path, kind: str, medium: str, tmp_path: Path) -> None:
    log = tmp_path / "serial"
    with run.running(machine(iso, medium, kind, log)) as child:
        said = wait_for("Command line: ", log, child)
        run.stop(child)
    expected = "inst.stage2=hd:LABEL=DISKGEN-TEST diskgen.mode=image quiet console=ttyS0 loglevel=7"
    assert re.search(rf"Command line: BOOT_IMAGE=\S+ {re.escape(expected)}", said), said[-2000:]
    assert ("efi: EFI v" in said) == (kind == "uefi")


def test_a_mainframe_starts(cache: Path, tmp_path: Path) -> None:
    kernel = kernel_of(cross_image.base_layer(cache, "s390x"))
    initrd = gzip.compress(overlay.archive(Directory(), EPOCH), mtime=0)
    line = f"ro inst.stage2=hd:LABEL={LABEL} diskgen.mode=ask console=ttysclp0"
    root = Directory()
    root.add("images/cdboot.img", regular(mainframe.boot_image(kernel, initrd, line)))
    output = tmp_path / "s390x.iso"
    boot = (BootImage(path="images/cdboot.img", efi=False, load_size=4),)
    master(output, Medium(root=root, label=LABEL, timestamp=EPOCH, application="DISKGEN",
                          boot=boot))  # fmt: skip
    mediacheck.implant(output)
    for devices in (("virtio-scsi-ccw", "scsi-cd,drive=medium,bootindex=1"),
                    ("virtio-blk-ccw,drive=medium,bootindex=1",)):  # fmt: skip
        log = tmp_path / "serial"
        log.write_bytes(b"")
        with run.running(starting.mainframe(output, log, *devices)) as child:
            said = wait_for("Kernel command line: ", log, child)
            run.stop(child)
        assert f"Kernel command line: {line}" in said, said[-2000:]
