"""GRUB for BIOS: its core image, made by the host's grub-mkimage of the image's modules, embedded.

Where things go: GRUB manual, "BIOS installation"; the fields that are patched: GRUB's
``include/grub/i386/pc/boot.h`` (kernel sector, drive check) and ``diskboot.S`` (block list).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import SourceError, ToolError, VerifyError
from ..layout import Layout, Role
from ..run import run, which
from ..tree import Directory, File, read
from .grub import GrubFacts
from .grub_config import Menu

_MODULES: Final = (
    "biosdisk", "part_gpt", "part_msdos", "ext2", "fat", "search", "search_fs_uuid", "normal",
    "configfile", "linux", "test", "true", "echo", "ls", "cat", "loadenv", "serial", "terminal",
    "terminfo", "minicmd", "reboot", "halt", "boot", "gzio", "all_video", "vbe", "regexp", "sleep",
)  # fmt: skip
_MEDIUM_MODULES: Final = ("biosdisk", "iso9660", "part_gpt", "part_msdos")
_MENU_MODULES: Final = {Menu.BLSUKI: ("blsuki",), Menu.BLSCFG: ("blscfg",), Menu.SCRIPT: ()}
_ELF_HEADER: Final = 52  # bytes, of 32-bit files
_RELOCATABLE: Final = 1  # ET_REL
_SECTION: Final = 40  # bytes of an entry of the table of sections
_ORDERS: Final = {b"\x7fELF\1\1": "<", b"\x7fELF\1\2": ">"}  # by e_ident, of 32-bit files
_MODULE_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_SECTOR: Final = 512
_BOOT_CODE: Final = 440  # of the MBR; disk signature and partition table follow
_KERNEL_SECTOR: Final = 0x5C
_BOOT_DRIVE: Final = 0x64
_DRIVE_CHECK: Final = 0x66
_BLOCKLIST: Final = 0x1F4
_SEGMENT: Final = 0x820


def core_image(facts: GrubFacts, target: str, boot_uuid: str, scratch: Path) -> bytes:
    """Return GRUB's core image for a machine whose /boot has this identifier.

    The few module files that it takes are written to ``scratch`` under names of ours: data for
    grub-mkimage, nothing that is run. Raises HostError without grub-mkimage, ToolError.
    """
    assert facts.bios is not None
    return make_image(
        facts.bios,
        target,
        prefix=f"/{facts.directory}",
        wanted=(*_MODULES, *_MENU_MODULES[facts.menus["pc"]]),
        early=f"search.fs_uuid {boot_uuid} root\nset prefix=($root)/{facts.directory}\n",
        scratch=scratch,
    )


def medium_image(modules: Directory, target: str, prefix: str, scratch: Path) -> bytes:
    """Return GRUB's core image for El Torito (``<target>-eltorito``), for modules at ``prefix``.

    Raises HostError without grub-mkimage, ToolError.
    """
    return make_image(
        modules, f"{target}-eltorito", prefix=prefix, wanted=_MEDIUM_MODULES, scratch=scratch
    )


def make_image(
    modules: Directory,
    target: str,
    *,
    prefix: str,
    wanted: Sequence[str],
    scratch: Path,
    early: str | None = None,
) -> bytes:
    """Return an image by grub-mkimage, with those of the wanted modules that there are.

    Raises SourceError for files that are no GRUB's, HostError without grub-mkimage, ToolError.
    """
    place = scratch / "grub"
    place.mkdir()
    files = _files(modules)
    _check(files, target)
    for name, data in files.items():
        (place / name).write_bytes(data)
    options: list[str | Path] = []
    if early is not None:
        (scratch / "early.cfg").write_text(early)
        options = ["-c", scratch / "early.cfg"]
    names = [name for name in wanted if (place / f"{name}.mod").is_file()]
    output = scratch / "core.img"
    program = which("grub-mkimage", "grub2-mkimage") or Path("grub-mkimage")
    argv = [program, "-d", place, "-O", target, "-p", prefix, *options, "-o", output, *names]
    try:
        run(argv)
    except ToolError as error:
        named = re.search(re.escape(f"{place}/") + r"([\w.-]+)", error.stderr)
        if named is None and error.status > 0:
            raise
        name = named[1] if named is not None else "*"
        raise _damaged(name, target, f"grub-mkimage cannot use it: {error.stderr}") from error
    return output.read_bytes()


def _check(files: Mapping[str, bytes], target: str) -> None:
    """Refuse what no GRUB has. Formats: gABI 4.1 (ELF), GRUB's ``boot.S`` and ``genmoddep.awk``."""
    for name, data in files.items():
        if name.endswith(".mod"):
            if not _is_object(data):
                raise _damaged(name, target, "it is no relocatable ELF file, or not all of one")
        elif name == "boot.img" and (len(data) != _SECTOR or data[-2:] != b"\x55\xaa"):
            raise _damaged(name, target, "it is no boot sector")
        elif name == "diskboot.img" and len(data) != _SECTOR:
            raise _damaged(name, target, f"it has {len(data)} bytes, not {_SECTOR}")
    for line in files.get("moddep.lst", b"").decode(errors="backslashreplace").splitlines():
        for word in line.replace(":", " ", 1).split():
            if not _MODULE_NAME.fullmatch(word):
                raise _damaged("moddep.lst", target, f"'{word}' is no name of a module")


def _is_object(data: bytes) -> bool:
    """Say whether data is a relocatable ELF file of 32 bits whose table of sections is there."""
    order = _ORDERS.get(data[:6])
    if order is None or len(data) < _ELF_HEADER:
        return False
    kind = struct.unpack_from(f"{order}H", data, 16)[0]
    table = struct.unpack_from(f"{order}I", data, 32)[0]
    entry, count = struct.unpack_from(f"{order}HH", data, 46)
    return (kind, entry) == (_RELOCATABLE, _SECTION) and 0 < table <= len(data) - count * entry


def _damaged(name: str, target: str, reason: str) -> SourceError:
    where = target.removesuffix("-eltorito")
    return SourceError(
        f"the image's GRUB is damaged: '/usr/lib/grub/{where}/{name}': {reason.strip()}",
        hint="install the package again that brings it, such as grub2-pc-modules or grub-pc-bin",
    )


def embed(disk: Path, layout: Layout, facts: GrubFacts, core: bytes) -> None:
    """Put the core image into its partition and the boot code in front of the partition table."""
    part = layout.partition(Role.BIOS_BOOT)
    if len(core) > part.size:
        raise ToolError(["grub-mkimage"], 0, "", message="GRUB's core image exceeds its partition")
    assert facts.bios is not None
    boot = bytearray(_file(facts.bios, "boot.img")[:_BOOT_CODE])
    start = part.start // _SECTOR
    struct.pack_into("<Q", boot, _KERNEL_SECTOR, start)
    boot[_BOOT_DRIVE] = 0xFF  # the drive the firmware booted from
    boot[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"  # no work-around for floppies
    image = bytearray(core + bytes(-len(core) % _SECTOR))
    sectors = len(image) // _SECTOR
    struct.pack_into("<QHH", image, _BLOCKLIST, start + 1, sectors - 1, _SEGMENT)
    with disk.open("r+b") as file:
        file.write(boot)
        file.seek(_SECTOR - 2)
        if file.read(2) != b"\x55\xaa":
            raise VerifyError(f"'{disk}' has no protective MBR")
        file.seek(part.start)
        file.write(image)


def _files(modules: Directory) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for raw, node in modules.entries.items():
        name = raw.decode(errors="replace")
        if (
            isinstance(node, File)
            and node.content is not None
            and name.endswith((".mod", ".img", ".lst"))
            and name.replace("_", "").replace("-", "").replace(".", "").isalnum()
            and node.size < 4 * 1024 * 1024
        ):
            found[name] = read(node.content)
    return found


def _file(modules: Directory, name: str) -> bytes:
    node = modules.get_file(name)
    assert node is not None
    assert node.content is not None
    return read(node.content)
