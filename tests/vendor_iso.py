"""Small ISO images in the layouts that vendors of Anaconda publish, made by xorriso.

Kernels, runtimes and boot programs are a few bytes each: right in their places, not in what they
do. Every function takes a directory to work in and returns the path of the image there.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .oci import mainframe_kernel

BOOT_HYBRID: Final = Path("/usr/lib/grub/i386-pc/boot_hybrid.img")
FEDORA: Final = "Fedora-E-dvd-x86_64-42"
CENTOS: Final = "CentOS-Stream-9-BaseOS-x86_64"
_ESP: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_BASIC: Final = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_S390_HEAD: Final = bytes.fromhex("02000018600000500200006860000050")
_WHEN: Final = 1_745_000_000

Files = Mapping[str, bytes | None]  # None takes a file away


def noise(seed: str, size: int = 5000) -> bytes:
    """Return bytes that belong to a name, so that no two files are alike."""
    return random.Random(seed).randbytes(size)


def discinfo(release: str, machine: str) -> bytes:
    return f"{_WHEN}.123456\n{release}\n{machine}\n".encode()


def treeinfo(family: str, version: str, machine: str, variants: Mapping[str, str]) -> bytes:
    """Return .treeinfo; ``variants`` are repositories by name."""
    text = (
        f"[general]\narch = {machine}\nfamily = {family}\nname = {family} {version}\n"
        f"version = {version}\nvariants = {','.join(variants)}\n\n"
        "[header]\ntype = productmd.treeinfo\nversion = 1.2\n\n"
        f"[release]\nname = {family}\nshort = X\nversion = {version}\n\n"
        "[stage2]\nmainimage = images/install.img\n\n"
        f"[tree]\narch = {machine}\nbuild_timestamp = {_WHEN}\n"
    )
    for name, repository in variants.items():
        text += (
            f"\n[variant-{name}]\nid = {name}\nname = {name}\npackages = {repository}/Packages\n"
            f"repository = {repository}\ntype = variant\nuid = {name}\n"
        )
    return text.encode()


def grub_menu(label: str, *, verb: str = "", arguments: str = "quiet") -> bytes:
    """Return a menu as lorax writes it; ``verb`` is what follows linux and initrd."""
    stage2 = f"inst.stage2=hd:LABEL={label}"
    kernel, initrd = "/images/pxeboot/vmlinuz", "/images/pxeboot/initrd.img"

    def entry(title: str, words: str) -> str:
        return (
            f"menuentry '{title}' --class fedora --class gnu-linux --class gnu --class os {{\n"
            f"\tlinux{verb} {kernel} {stage2} {words}\n\tinitrd{verb} {initrd}\n}}\n"
        )

    return (
        'set default="1"\n\n'
        "function load_video {\n  if [ x$feature_all_video_module = xy ]; then\n"
        "    insmod all_video\n  else\n    insmod efi_gop\n  fi\n}\n\n"
        "load_video\nset gfxpayload=keep\ninsmod gzio\ninsmod part_gpt\ninsmod ext2\n\n"
        f"set timeout=60\n### don't parse this: END /etc/grub.d/00_header ###\n\n"
        f"search --no-floppy --set=root -l '{label}'\n\n"
        + entry("Install Fedora 42", arguments)
        + entry("Test this media & install Fedora 42", f"rd.live.check {arguments}")
        + "submenu 'Troubleshooting -->' {\n"
        + entry("Install Fedora 42 in basic graphics mode", f"nomodeset {arguments}")
        + entry("Rescue a Fedora system", f"inst.rescue {arguments}")
        + "}\n"
    ).encode()


def isolinux_menu(label: str) -> bytes:
    return (
        "default vesamenu.c32\ntimeout 600\n\nmenu title CentOS Stream 9\n"
        "label linux\n  menu label ^Install CentOS Stream 9\n  kernel vmlinuz\n"
        f"  append initrd=initrd.img inst.stage2=hd:LABEL={label} fips=0 quiet\n\n"
        "label check\n  menu label Test this ^media & install CentOS Stream 9\n  menu default\n"
        "  kernel vmlinuz\n"
        f"  append initrd=initrd.img inst.stage2=hd:LABEL={label} rd.live.check quiet\n"
    ).encode()


def efi_files(menu: bytes, suffix: str) -> dict[str, bytes]:
    """Return what is below EFI/BOOT, on the medium and in its EFI image alike."""
    return {
        f"EFI/BOOT/BOOT{suffix.upper()}.EFI": noise(f"shim{suffix}"),
        f"EFI/BOOT/mm{suffix}.efi": noise(f"mm{suffix}"),
        f"EFI/BOOT/grub{suffix}.efi": noise(f"grub{suffix}", 70_000),
        "EFI/BOOT/grub.cfg": menu,
        "EFI/BOOT/fonts/unicode.pf2": noise("font"),
    }


def fat(
    place: Path,
    files: Mapping[str, bytes],
    *,
    kib: int = 2048,
    options: Sequence[str] = (),
    name: str = "efi",
) -> bytes:
    """Return a FAT filesystem that holds files."""
    path = place / f"{name}.fat"
    path.unlink(missing_ok=True)
    run("mkfs.vfat", "-C", "-n", "ANACONDA", "-i", "12345678", *options, path, str(kib))
    tree = write(place / f"{name}.fat.d", files)
    run("mcopy", "-s", "-i", path, *sorted(tree.iterdir()), "::/")
    return path.read_bytes()


def lorax_x86_64(
    place: Path,
    extra: Files | None = None,
    *,
    label: str = FEDORA,
    menu: bytes | None = None,
    programs: Mapping[str, bytes] | None = None,
) -> Path:
    """Fedora's: GRUB for BIOS and UEFI, the EFI image is an appended partition."""
    menu = menu if menu is not None else grub_menu(label)
    efi = {**efi_files(menu, "x64"), **(programs or {})}
    files: dict[str, bytes | None] = {
        ".discinfo": discinfo("Fedora 42", "x86_64"),
        "LICENSE": b"MIT\n",
        **_installer(),
        "images/eltorito.img": noise("eltorito", 32768),
        "boot/grub2/grub.cfg": menu,
        "boot/grub2/i386-pc/normal.mod": noise("normal"),
        "boot/grub2/i386-pc/iso9660.mod": noise("iso9660"),
        **efi,
    }
    esp = place / "efiboot.img"
    esp.write_bytes(fat(place, efi))
    return xorriso(
        place, _changed(files, extra),
        "-R", "-J", "-V", label, "--grub2-mbr", BOOT_HYBRID, "-partition_offset", "16",
        "-appended_part_as_gpt", "-append_partition", "2", _ESP, esp, "-iso_mbr_part_type", _BASIC,
        "-c", "boot.cat", "--boot-catalog-hide", "-b", "images/eltorito.img", "-no-emul-boot",
        "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot",
        "-e", "--interval:appended_partition_2:all::", "-no-emul-boot",
    )  # fmt: skip


def el9_x86_64(
    place: Path,
    extra: Files | None = None,
    *,
    label: str = CENTOS,
    verb: str = "efi",
    programs: Mapping[str, bytes] | None = None,
    mbr: Path | None = None,
) -> Path:
    """EL 9's: isolinux for BIOS, the EFI image is a file; ``mbr`` is the code for sticks."""
    efi = {**efi_files(grub_menu(label, verb=verb), "x64"), **(programs or {})}
    files: dict[str, bytes | None] = {
        ".discinfo": discinfo("CentOS Stream 9", "x86_64"),
        **_installer(),
        "images/efiboot.img": fat(place, efi),
        "isolinux/isolinux.bin": noise("isolinux", 38912),
        "isolinux/isolinux.cfg": isolinux_menu(label),
        "isolinux/boot.msg": b"\x18splash.lss\n",
        "isolinux/vmlinuz": noise("kernel", 9000),
        "isolinux/initrd.img": noise("initrd", 20_000),
        **efi,
    }
    return xorriso(
        place, _changed(files, extra),
        "-R", "-J", "-V", label, "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot",
        "-e", "images/efiboot.img", "-no-emul-boot",
        *(("-isohybrid-mbr", mbr, "-isohybrid-gpt-basdat") if mbr else ()),
    )  # fmt: skip


def dvd_x86_64(place: Path, extra: Files | None = None) -> Path:
    """EL 9's DVD: as :func:`el9_x86_64`, with .treeinfo and two repositories of packages."""
    variants = {"BaseOS": "BaseOS", "AppStream": "AppStream"}
    files: dict[str, bytes | None] = {
        ".treeinfo": treeinfo("AlmaLinux", "9.4", "x86_64", variants),
        ".discinfo": discinfo("AlmaLinux 9.4", "x86_64"),
        "media.repo": b"[InstallMedia]\nname=AlmaLinux 9.4\n",
    }
    for name in variants:
        files[f"{name}/repodata/repomd.xml"] = b"<repomd/>\n"
        files[f"{name}/Packages/{name.lower()}-1-1.el9.x86_64.rpm"] = noise(name)
    return el9_x86_64(place, _changed(files, extra), label="AlmaLinux-9-4-x86_64-dvd")


def lorax_aarch64(place: Path, extra: Files | None = None) -> Path:
    """Fedora's for aarch64: UEFI only, the EFI image is a file."""
    label = "Fedora-E-dvd-aarch64-42"
    efi = efi_files(grub_menu(label, arguments="ro"), "aa64")
    files: dict[str, bytes | None] = {
        ".discinfo": discinfo("42", "aarch64"),  # lorax writes no name here
        **_installer(),
        "images/efiboot.img": fat(place, efi),
        **efi,
    }
    return xorriso(
        place, _changed(files, extra),
        "-R", "-J", "-V", label, "-eltorito-alt-boot", "-e", "images/efiboot.img", "-no-emul-boot",
    )  # fmt: skip


def lorax_s390x(place: Path, extra: Files | None = None) -> Path:
    """RHEL 10's for s390x: one boot image, and files for the service element."""
    label, kernel = "RHEL-10-0-0-BaseOS-s390x", mainframe_kernel()
    generic = b"ro ramdisk_size=40000 cio_ignore=all,!condev\n"
    files: dict[str, bytes | None] = {
        ".discinfo": discinfo("Red Hat Enterprise Linux 10.0", "s390x"),
        "generic.ins": b"* minimal lpar ins file\nimages/kernel.img 0x00000000\n",
        "images/kernel.img": kernel[:8] + _S390_HEAD + kernel[24:],
        "images/initrd.img": noise("initrd", 20_000),
        "images/initrd.addrsize": bytes(16),
        "images/cdboot.img": noise("cdboot", 9000),
        "images/cdboot.prm": f"ro inst.stage2=hd:LABEL={label}\nrd.znet=qeth\n".encode(),
        "images/generic.prm": generic,
        "images/genericdvd.prm": generic + b"rd.cmdline=ask\n",
        "images/redhat.exec": b"/* */\n",
        "images/install.img": noise("runtime", 30_000),
    }
    return xorriso(
        place, _changed(files, extra),
        "-R", "-J", "-V", label, "-b", "images/cdboot.img", "-c", "images/boot.cat",
        "-boot-load-size", "4", "-no-emul-boot",
    )  # fmt: skip


def xorriso(place: Path, files: Files, *options: str | Path, name: str = "vendor") -> Path:
    """Make an image of files by ``xorriso -as mkisofs``."""
    tree = write(place / f"{name}.d", files)
    output = place / f"{name}.iso"
    output.unlink(missing_ok=True)
    run("xorriso", "-as", "mkisofs", "-o", output, *options, tree)
    return output


def write(folder: Path, files: Files) -> Path:
    """Write files into a new folder."""
    for path, data in files.items():
        if data is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{argv}\n{said}"
    return said


def _installer() -> dict[str, bytes]:
    return {
        "images/install.img": noise("runtime", 30_000),
        "images/pxeboot/vmlinuz": noise("kernel", 9000),
        "images/pxeboot/initrd.img": noise("initrd", 20_000),
    }


def _changed(files: Files, extra: Files | None) -> dict[str, bytes | None]:
    return {**files, **(extra or {})}


MAKERS: Final = (lorax_x86_64, el9_x86_64, dvd_x86_64, lorax_aarch64, lorax_s390x)
