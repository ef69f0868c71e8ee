"""A vendor's medium, remastered, starts in every way: BIOS and UEFI, from CD and from USB stick.

The vendor's media are laid out as Fedora's and EL 9's are; boot programs and the kernel are real.
The kernel says on the serial line which arguments the menu gave it.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import cross_image
import debian_image
import pytest
from starting import el9, grub, kernel_of, lorax, machine, mainframe, wait_for

from diskgen import run
from diskgen.iso.runtimes import overlay
from diskgen.tree import Directory
from tests.fixtures import vendor_iso
from tests.fixtures.oci import EPOCH
from tests.fixtures.remaster import Maker

pytestmark = pytest.mark.vm

WORDS = ("--karg", "console=ttyS0", "--karg", "loglevel=7", "--label", "REMASTERED")
EXPECTED = "inst.stage2=hd:LABEL=REMASTERED diskgen.mode=image quiet {}console=ttyS0 loglevel=7"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Path]:
    """Remastered media by the layout of the vendor's."""
    place = tmp_path_factory.mktemp("remastered")
    make = Maker(place)
    nothing = gzip.compress(overlay.archive(Directory(), EPOCH), mtime=0)
    installer = {
        "images/pxeboot/vmlinuz": kernel_of(debian_image.base_layer(cache)),
        "images/pxeboot/initrd.img": nothing,
    }
    loader = grub("x86_64-efi", "/EFI/BOOT", place, "fat", "efi_gop", "efi_uga")
    programs = {"EFI/BOOT/BOOTX64.EFI": loader}
    made = {}
    for name in ("lorax", "el9", "plain"):
        folder = place / name
        folder.mkdir()
        if name == "lorax":
            source = lorax(folder, installer, programs)
        else:
            menus = ("vesamenu.c32",) if name == "el9" else ()
            source = el9(folder, installer, programs, *menus)
        made[name] = make(source, folder / "made.iso", *WORDS)
    return made


@pytest.mark.parametrize(
    ("name", "kind", "medium"),
    [
        ("lorax", "bios", "cd"), ("lorax", "bios", "usb"), ("lorax", "uefi", "cd"),
        ("lorax", "uefi", "usb"), ("el9", "bios", "cd"), ("el9", "bios", "usb"),
        ("el9", "uefi", "cd"), ("el9", "uefi", "usb"), ("plain", "bios", "cd"),
    ],
)  # fmt: skip
def test_it_starts(
    media: dict[str, Path], name: str, kind: str, medium: str, tmp_path: Path
) -> None:
    log, monitor = tmp_path / "serial", tmp_path / "monitor"
    argv = machine(media[name], medium, kind, log)
    argv += ["-vga", "std", "-monitor", f"unix:{monitor},server=on,wait=off"]
    with run.running(argv) as child:
        said = wait_for("Command line: ", log, child, monitor=monitor, seconds=150)
        run.stop(child)
    vendors = "fips=0 " if name != "lorax" else ""
    line = re.search(r"Command line: (.*)", said)
    assert line is not None
    words, ids = re.subn(r" diskgen\.id=\w+", "", line[1])
    assert EXPECTED.format(vendors) in words, line[1]
    assert ids == 1
    assert "/images/pxeboot/vmlinuz" in line[1]
    assert ("efi: EFI v" in said) == (kind == "uefi")


def test_a_mainframe_starts(cache: Path, tmp_path: Path) -> None:
    source = vendor_iso.lorax_s390x(tmp_path, {
        "images/kernel.img": kernel_of(cross_image.base_layer(cache, "s390x")),
        "images/initrd.img": gzip.compress(overlay.archive(Directory(), EPOCH), mtime=0),
    })  # fmt: skip
    iso = Maker(tmp_path)(source, tmp_path / "made.iso", "--arch", "s390x",
                          "--karg", "console=ttysclp0")  # fmt: skip
    log = tmp_path / "serial"
    devices = ("virtio-scsi-ccw", "scsi-cd,drive=medium,bootindex=1")
    with run.running(mainframe(iso, log, *devices)) as child:
        said = wait_for("Kernel command line: ", log, child)
        run.stop(child)
    line = (
        r"ro inst\.stage2=hd:LABEL=RHEL-10-0-0-BaseOS-s390x diskgen\.id=\w+ diskgen\.mode=ask "
        r"rd\.znet=qeth console=ttysclp0"
    )
    assert re.search(f"Kernel command line: {line}", said), said[-2000:]
