"""A mastered medium starts in every way: BIOS and UEFI, from CD and from USB stick."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from diskgen import run
from diskgen.iso import hybrid, mediacheck
from diskgen.iso.hybrid import Bios, Esp
from diskgen.iso.master import BootImage, Medium, master
from diskgen.tree import Directory, regular
from diskgen.vm import firmware
from tests.oci import EPOCH

pytestmark = pytest.mark.vm

MODULES = Path("/usr/lib/grub")
CONFIG = """\
serial --unit=0 --speed=115200
terminal_output serial
echo "STARTED platform=$grub_platform root=$root kernel="
search --no-floppy --set=found --label DISKGEN-TEST
if [ -f ($found)/images/pxeboot/vmlinuz ]; then echo "FOUND the medium"; fi
halt
"""


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A medium with GRUB for both firmwares, and no more than a menu."""
    place = tmp_path_factory.mktemp("iso")
    core, loader, fat = place / "eltorito.img", place / "BOOTX64.EFI", place / "efi.img"
    for target, output, prefix, modules in (
        ("i386-pc-eltorito", core, "/boot/grub2", ["biosdisk", "serial", "halt"]),
        ("x86_64-efi", loader, "/EFI/BOOT", ["part_gpt", "fat", "serial", "halt"]),
    ):
        folder = MODULES / target.removesuffix("-eltorito")
        subprocess.run(
            ["grub-mkimage", "-O", target, "-d", folder, "-p", prefix, "-o", output, *modules,
             "iso9660", "normal", "configfile", "echo", "test", "search", "search_label"],
            check=True,
        )  # fmt: skip
    (place / "grub.cfg").write_text(CONFIG)
    subprocess.run(["mkfs.vfat", "-C", "-n", "ANACONDA", fat, "8192"], check=True,
                   capture_output=True)  # fmt: skip
    subprocess.run(["mmd", "-i", fat, "::/EFI", "::/EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", fat, loader, place / "grub.cfg", "::/EFI/BOOT"], check=True)
    root = Directory()
    root.add("images/eltorito.img", regular(core.read_bytes()))
    root.add("images/efiboot.img", regular(fat.read_bytes()))
    root.add("images/pxeboot/vmlinuz", regular(b"a kernel"))
    root.add("boot/grub2/grub.cfg", regular(CONFIG.encode()))
    root.add("EFI/BOOT/grub.cfg", regular(CONFIG.encode()))
    boot = (
        BootImage(path="images/eltorito.img", efi=False, load_size=4, info_table=True),
        BootImage(path="images/efiboot.img", efi=True),
    )
    output = place / "test.iso"
    made = master(output, Medium(root=root, label="DISKGEN-TEST", timestamp=EPOCH,
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
    argv: list[str | Path] = [
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "512", "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", f"file:{log}",
        "-drive", f"if=none,id=medium,format=raw,readonly=on,file={iso}",
    ]  # fmt: skip
    if medium == "cd":
        argv += ["-device", "ide-cd,drive=medium,bootindex=1"]
    else:
        argv += ["-device", "qemu-xhci", "-device", "usb-storage,drive=medium,bootindex=1"]
    if kind == "uefi":
        found = firmware.find("x86_64", "uefi")
        variables = tmp_path / "variables"
        variables.write_bytes(found.variables.read_bytes())
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={found.code}",
                 "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]  # fmt: skip
    run.run(argv, timeout=120)
    said = log.read_text(errors="replace")
    platform = {"bios": "pc", "uefi": "efi"}[kind]
    assert f"STARTED platform={platform} root=" in said
    assert "FOUND the medium" in said
