"""What tests of a medium's start share: boot programs, a kernel that talks, and what it said."""

from __future__ import annotations

import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Final

from diskgen import run
from diskgen.vm import firmware
from tests.fixtures import vendor_iso

MODULES: Final = Path("/usr/lib/grub")
ISOLINUX: Final = Path("/usr/lib/ISOLINUX")
SYSLINUX: Final = Path("/usr/lib/syslinux/modules/bios")
LIBRARIES: Final = ("ldlinux.c32", "libcom32.c32", "libutil.c32")


def kernel_of(base: Path) -> bytes:
    """Return the kernel in a base layer."""
    with tarfile.open(base) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith("/vmlinuz"):
                file = tar.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError(f"no kernel in {base}")


def machine(medium: Path, drive: str, kind: str, log: Path) -> list[str | Path]:
    """Return what starts a PC from a medium as ``cd`` or ``usb``, by ``bios`` or ``uefi``."""
    argv: list[str | Path] = [
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "512", "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", f"file:{log}",
        "-drive", f"if=none,id=medium,format=raw,readonly=on,file={medium}",
    ]  # fmt: skip
    if drive == "cd":
        argv += ["-device", "ide-cd,drive=medium,bootindex=1"]
    else:
        argv += ["-device", "qemu-xhci", "-device", "usb-storage,drive=medium,bootindex=1"]
    if kind == "uefi":
        found = firmware.find("x86_64", "uefi")
        variables = log.with_name("variables")
        variables.write_bytes(found.variables.read_bytes())
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={found.code}",
                 "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]  # fmt: skip
    return argv


def mainframe(medium: Path, log: Path, *devices: str) -> list[str | Path]:
    """Return what starts an s390x machine from a medium that is in these devices."""
    given = [word for device in devices for word in ("-device", device)]
    return [
        "qemu-system-s390x", "-accel", "tcg", "-machine", "s390-ccw-virtio", "-m", "512",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{log}",
        "-drive", f"if=none,id=medium,format=raw,readonly=on,file={medium}", *given,
    ]  # fmt: skip


def wait_for(
    text: str, log: Path, child: run.Child, *, monitor: Path | None = None, seconds: int = 120
) -> str:
    """Wait until a machine has said a text, and the rest of the line; return all it said.

    By a ``monitor`` Enter is pressed every few seconds, so that no menu waits.
    """
    deadline = time.monotonic() + seconds
    pressed = 0.0
    while True:
        said = log.read_text(errors="replace") if log.exists() else ""
        if text in said and "\n" in said.partition(text)[2]:
            return said
        assert child.poll() is None, f"QEMU ended: {said[-2000:]}"
        assert time.monotonic() < deadline, f"no '{text}': {said[-2000:]}"
        if monitor is not None and monitor.exists() and time.monotonic() > pressed + 4:
            pressed = time.monotonic()
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(monitor))
                line.sendall(b"sendkey ret\n")
        time.sleep(0.2)


def grub(target: str, prefix: str, place: Path, *modules: str) -> bytes:
    output = place / target
    subprocess.run(
        ["grub-mkimage", "-O", target, "-d", MODULES / target.removesuffix("-eltorito"),
         "-p", prefix, "-o", output, *modules, "iso9660", "part_gpt", "normal", "configfile",
         "search", "search_label", "linux", "all_video", "serial", "minicmd", "test"],
        check=True,
    )  # fmt: skip
    return output.read_bytes()


def lorax(place: Path, installer: dict[str, bytes], programs: dict[str, bytes]) -> Path:
    extra = {
        f"boot/grub2/i386-pc/{path.name}": path.read_bytes()
        for path in (MODULES / "i386-pc").iterdir()
        if path.suffix in (".mod", ".lst")
    }
    extra["images/eltorito.img"] = grub("i386-pc-eltorito", "/boot/grub2", place, "biosdisk")
    return vendor_iso.lorax_x86_64(place, extra | installer, programs=programs)


def el9(place: Path, installer: dict[str, bytes], programs: dict[str, bytes], *menus: str) -> Path:
    extra = {f"isolinux/{n}": (SYSLINUX / n).read_bytes() for n in (*LIBRARIES, *menus)}
    extra["isolinux/isolinux.bin"] = (ISOLINUX / "isolinux.bin").read_bytes()
    return vendor_iso.el9_x86_64(
        place, extra | installer, verb="", programs=programs, mbr=ISOLINUX / "isohdpfx.bin"
    )
