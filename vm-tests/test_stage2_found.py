"""A medium's runtime is found, mounted and changed by the tools that do so for Anaconda.

Everything from firmware to the pivot is real but for one dracut module, see ``stage2/dracut``; the
runtime says what it was given. The media are a vendor's, remastered, and one whose installer is a
container.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import stage2
from stage2 import Stage2
from starting import el9, grub, lorax
from terminal import Terminal, installing

from diskgen.iso.runtimes import overlay
from diskgen.tree import Directory, regular
from tests.fixtures import installers, remaster, vendor_iso
from tests.fixtures.oci import EPOCH, Layout, TarBuilder
from tests.fixtures.program import Program

pytestmark = pytest.mark.vm

IMAGE, PACKAGE, TEST = range(3)  # GRUB's menu
VENDORS = "Fedora-E-dvd-x86_64-42"
OURS = "Tiny_1.0+ours-x86_64"
# Where a vendor's initramfs sleeps for hours or opens a shell, the machine is switched off.
ARGUMENTS = ("console=ttyS0", "rd.shell=0", "rd.emergency=poweroff")
HALFWAY = "Checking: 05"  # checkisomd5; what it says in the end is lost now and then
CHOOSER = "usr/share/anaconda/interactive-defaults.ks"


@pytest.fixture(scope="module")
def made(cache: Path) -> Stage2:
    return stage2.build(cache)


@pytest.fixture(scope="module")
def place(diskgen: Program) -> Path:
    """A directory for media that an ordinary user makes."""
    folder = diskgen.place / "stage2"
    folder.mkdir()
    return diskgen.own(folder)


@pytest.fixture(scope="module")
def vendors(made: Stage2, place: Path) -> Path:
    """A vendor's medium, with an overlay of its own."""
    loader = grub("x86_64-efi", "/EFI/BOOT", place, "fat", "efi_gop", "efi_uga")
    return lorax(place, installer(made, place), {"EFI/BOOT/BOOTX64.EFI": loader})


@pytest.fixture(scope="module")
def payload(place: Path) -> Path:
    return remaster.payload(place / "os", "x86_64")


@pytest.fixture(scope="module")
def kept(diskgen: Program, vendors: Path, payload: Path, place: Path) -> Path:
    """The vendor's medium, remastered under its own label."""
    return make(diskgen, payload, vendors, place / "kept.iso")


@pytest.fixture(scope="module")
def renamed(diskgen: Program, vendors: Path, payload: Path, place: Path) -> Path:
    """The vendor's medium, remastered under another label."""
    return make(diskgen, payload, vendors, place / "renamed.iso", "--label", OURS,
                "--packages", "https://packages.example/os/")  # fmt: skip


@pytest.fixture(scope="module")
def packed(diskgen: Program, made: Stage2, payload: Path, place: Path) -> Path:
    """A medium whose runtime is packed from a container."""
    layout = Layout(place / "installer")
    kernel = f"usr/lib/modules/{made.release}"
    tar = TarBuilder()
    tar.file(f"{kernel}/vmlinuz", made.kernel)
    tar.file(f"{kernel}/initramfs.img", made.initramfs)
    tars = (installers.anaconda(kernels=()), tar.finish(), made.runtime)
    layers = [layout.layer(data, "none") for data in tars]
    source = layout.finish(layout.image(layers, labels={}))
    return make(diskgen, payload, f"oci:{source}", place / "packed.iso", "--mode", "image")


@dataclass(frozen=True)
class Boot:
    """What a machine said; ``proof`` is empty if the runtime did not start."""

    log: str
    proof: dict[str, str]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(bytes(1024 * 1024))
    return path


def test_a_tested_cd_starts_by_bios_in_image_mode(kept: Path, disk: Path) -> None:
    boot = started(kept, disk, TEST)
    assert HALFWAY in boot.log
    sound(boot, kept, "image", "image-offline.ks", device="/dev/sr0", label=VENDORS, checked="yes")


def test_a_stick_with_another_label_starts_by_uefi_in_package_mode(
    renamed: Path, disk: Path
) -> None:
    boot = started(renamed, disk, PACKAGE, kind="uefi", attach="usb")
    sound(boot, renamed, "package", "package.ks", device="/dev/sda", label=OURS)


def test_a_runtime_that_was_packed_from_a_container_starts(packed: Path, disk: Path) -> None:
    boot = started(packed, disk, IMAGE)
    label = remaster.run("blkid", "-o", "value", "-s", "LABEL", packed).strip()
    sound(boot, packed, "image", "image-offline.ks", device="/dev/sr0", label=label, vendor="")


@pytest.mark.extended
@pytest.mark.parametrize(
    ("kind", "attach", "entry"), [("bios", "usb", TEST), ("uefi", "cdrom", IMAGE)]
)
def test_the_other_ways(kept: Path, disk: Path, kind: str, attach: str, entry: int) -> None:
    boot = started(kept, disk, entry, kind=kind, attach=attach)
    device = {"usb": "/dev/sda", "cdrom": "/dev/sr0"}[attach]
    checked = "yes" if entry == TEST else ""
    assert (HALFWAY in boot.log) == (entry == TEST)
    sound(boot, kept, "image", "image-offline.ks", device=device, label=VENDORS, checked=checked)


@pytest.mark.extended
def test_a_stick_of_el9s_layout_with_packages(
    diskgen: Program, made: Stage2, payload: Path, place: Path, disk: Path
) -> None:
    """isolinux; .treeinfo names the runtime, and the packages, which Anaconda finds by itself."""
    folder = place / "el9"
    folder.mkdir()
    listed = {
        ".treeinfo": vendor_iso.treeinfo("CentOS Stream", "9", "x86_64", {"BaseOS": "BaseOS"}),
        "BaseOS/repodata/repomd.xml": b"<repomd/>\n",
    }
    source = el9(folder, installer(made, folder) | listed, {})
    iso = make(diskgen, payload, source, place / "el9.iso", "--label", OURS)
    with installing(
        iso, disk, firmware="bios", network=False, attach="usb", log=disk.with_name("log")
    ) as terminal:
        terminal.expect("boot: ")
        terminal.send("entry2")
        boot = finished(terminal)
    sound(boot, iso, "package", None, device="/dev/sda", label=OURS)


def test_a_damaged_cd_does_not_start(kept: Path, place: Path, disk: Path) -> None:
    """One bit of the image is another, which no one reads before an installation."""
    damaged = place / "damaged.iso"
    data = bytearray(kept.read_bytes())
    blobs = contents(kept, "/diskgen/container/blobs", damaged.with_suffix(".d"))
    largest = max((path for path in blobs.rglob("*") if path.is_file()), key=size)
    data[data.index(largest.read_bytes()) + size(largest) // 2] ^= 1
    damaged.write_bytes(data)
    boot = started(damaged, disk, TEST)
    assert HALFWAY in boot.log
    assert "Media check failed!" in boot.log
    assert not boot.proof


def test_a_label_that_is_not_there_is_not_found(kept: Path, made: Stage2, disk: Path) -> None:
    """The same files and arguments but for the label: what the others prove can fail."""
    kernel, initramfs = disk.with_name("vmlinuz"), disk.with_name("initramfs.img")
    kernel.write_bytes(made.kernel)
    initramfs.write_bytes(made.initramfs)
    line = f"inst.stage2=hd:LABEL={OURS} rd.retry=5 {' '.join(ARGUMENTS)}"
    with installing(
        kept, disk, firmware="bios", network=False, log=disk.with_name("log"),
        extra=("-kernel", kernel, "-initrd", initramfs, "-append", line),
    ) as terminal:  # fmt: skip
        boot = finished(terminal)
    assert "/dev/root does not exist" in boot.log
    assert not boot.proof


def installer(made: Stage2, place: Path) -> dict[str, bytes]:
    """Return the files of a vendor's installer by path."""
    changes = Directory()
    changes.add("etc/vendor", regular(b"kept\n"))
    return {
        "images/pxeboot/vmlinuz": made.kernel,
        "images/pxeboot/initrd.img": made.initramfs,
        "images/install.img": stage2.squashfs(place / "install.img", made.runtime),
        "images/product.img": gzip.compress(overlay.archive(changes, EPOCH), mtime=0),
    }


def make(
    diskgen: Program, payload: Path, source: Path | str, output: Path, *words: str | Path
) -> Path:
    kargs = (word for argument in ARGUMENTS for word in ("--karg", argument))
    printed = diskgen(
        "iso", f"oci:{payload}", "--target-imgref", "registry.example/os:1",
        "--installer", source, "-o", output, *kargs, *words,
    )  # fmt: skip
    return Path(printed.strip())


def started(iso: Path, disk: Path, *entry: int, kind: str = "bios", attach: str = "cdrom") -> Boot:
    """Start a medium, choose from its menu and wait until the machine is off."""
    with installing(
        iso, disk, firmware=kind, network=False, attach=attach, log=disk.with_name("log")
    ) as terminal:
        terminal.pick(*entry)
        return finished(terminal)


def finished(terminal: Terminal) -> Boot:
    assert terminal.wait_end() == 0
    found = re.findall(r"DISKGEN-PROOF (\w+)=(.*?)\r*$", terminal.log, re.MULTILINE)
    return Boot(terminal.log, dict(found))


def sound(
    boot: Boot,
    iso: Path,
    mode: str,
    kickstart: str | None,
    *,
    device: str,
    label: str,
    vendor: str = "kept",
    checked: str = "",
) -> None:
    """Compare what the runtime found with what is on the medium.

    ``kickstart`` is the one that the chooser chooses; None: an empty one.
    """
    assert boot.proof.pop("done", "") == "yes", boot.log[-4000:]
    ours = contents(iso, "/diskgen", iso.with_suffix(".ours"))
    overlaid = contents(iso, "/images/product.img", iso.with_suffix(".product"))
    unpack = f"xz -dc {overlaid} | cpio -i --quiet --to-stdout {CHOOSER}"
    chooser = subprocess.run(["sh", "-c", unpack], check=True, capture_output=True).stdout
    assert boot.proof == {
        "root": "overlay", "device": device, "label": label, "vendor": vendor,
        "checked": checked,
        "index": digest((ours / "container/index.json").read_bytes()),
        "chooser": digest(chooser),
        "answer": f"diskgen: mode={mode}",
        "kickstart": digest((ours / kickstart).read_bytes() if kickstart else b""),
    }  # fmt: skip


def contents(iso: Path, path: str, output: Path) -> Path:
    """Return a copy of a part of a medium."""
    if not output.exists():
        remaster.run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", path, output)
        remaster.run("chmod", "-R", "u+rwX", output)
    return output


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def size(path: Path) -> int:
    return path.stat().st_size
