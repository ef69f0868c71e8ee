"""GRUB: what an image brings of it, which ways of booting that makes possible, where it goes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from ..arch import Machine
from ..errors import SourceError
from ..plan import FIRST_BOOT_VARIABLE, Way
from ..tree import Directory, File, Node, read, regular
from . import grub_config
from .bootupd import Payload, StaticConfig, bootuuid, read_payload, state
from .grub_config import Menu
from .loader import ForDisk

# Where distributions keep their signed (then unsigned) binaries; {s} is the architecture's suffix,
# {t} GRUB's target.
_SHIM: Final = ("usr/lib/shim/shim{s}.efi.signed", "usr/lib/shim/shim{s}.efi.signed.latest")
_MOK_MANAGER: Final = ("usr/lib/shim/mm{s}.efi.signed", "usr/lib/shim/mm{s}.efi")
_GRUB: Final = (
    "usr/lib/grub/{t}-signed/grub{s}.efi.signed",
    "usr/lib/grub/{t}/monolithic/grub{s}.efi",
)
_CSV: Final = "usr/lib/shim/BOOT{S}.CSV"
_BIOS_NEEDED: Final = (
    "kernel.img",
    "boot.img",
    "diskboot.img",
    "lzma_decompress.img",
    "moddep.lst",
)
_BIOS_SECTOR: Final = 512  # bytes
_SYSTEMD_BOOT: Final = "usr/lib/systemd/boot/efi/systemd-boot{s}.efi"
_MAX_BINARY: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubFacts:
    """What was found. ``esp`` maps paths below EFI/ on the ESP to the image's files."""

    vendor: str
    directory: str  # of the configuration on /boot: grub or grub2
    esp: Mapping[str, File]
    bios: Directory | None  # GRUB's modules for BIOS
    menus: Mapping[str, Menu]  # by GRUB platform
    ways: tuple[Way, ...]
    payload: Payload | None = None  # of bootupd

    @property
    def static(self) -> StaticConfig | None:
        """The image's own configuration, where its GRUB reads entries by itself."""
        if self.payload is None or Menu.SCRIPT in self.menus.values():
            return None
        return self.payload.static

    @property
    def menu(self) -> str:
        """How the menu follows new deployments, in words."""
        return "; ".join(dict.fromkeys(grub_config.DESCRIPTIONS[m] for m in self.menus.values()))

    def works(self, way: str) -> bool:
        return any(w.name == way and w.works for w in self.ways)


def inspect(root: Directory, machine: Machine, sector_size: int = 512) -> GrubFacts:
    """Return what an image tree brings. Raises SourceError when it can boot in no way at all."""
    ways: list[Way] = []
    menus: dict[str, Menu] = {}
    payload = read_payload(root)
    esp, vendor = _efi(root, payload, machine, ways, menus)
    bios = _bios(root, machine, sector_size, ways, menus)
    if not any(way.works for way in ways):
        reasons = "; ".join(f"{way.name}: {way.reason}" for way in ways)
        other = root.get_file(_SYSTEMD_BOOT.format(s=machine.efi_suffix)) is not None
        packages = [
            f"shim-signed grub-efi-{machine.oci}-signed",
            *["grub-pc-bin"] * bool(machine.bios_grub),
        ]
        raise SourceError(
            f"this image brings no boot loader that diskgen can use ({reasons})"
            + (
                "; its systemd-boot cannot start ostree deployments: it reads the ESP alone, and "
                "FAT has no symlinks"
                if other
                else ""
            ),
            hint=f"install shim and GRUB in the image (Debian: {' '.join(packages)})",
        )
    # The name of the directory is the distribution's; its tools look for it there.
    uses_grub2 = any(
        root.get(path) is not None for path in ("usr/sbin/grub2-mkconfig", "usr/bin/grub2-mkconfig")
    )
    return GrubFacts(
        vendor=vendor,
        directory="grub2" if uses_grub2 or payload is not None else "grub",
        esp=esp,
        bios=bios,
        menus=menus,
        ways=tuple(ways),
        payload=payload,
    )


def check_menu(facts: GrubFacts, title: str, kargs: str) -> None:
    """Refuse texts that the menu in use cannot carry. Raises SourceError naming them."""
    if Menu.SCRIPT not in facts.menus.values():
        return
    for what, text in (("name (PRETTY_NAME)", title), ("kernel arguments", kargs)):
        special = grub_config.special_characters(text.replace(FIRST_BOOT_VARIABLE, ""))
        if special:
            raise SourceError(
                f"the {what} '{text}' cannot be booted by this image's GRUB, which has no blscfg: "
                f"it misreads {' '.join(special)}",
                hint="leave such characters out, or use a GRUB with blscfg in the image",
                setting="karg" if "arguments" in what else None,
            )


def esp_files(facts: GrubFacts, boot_uuid: str, *, name_uuid: bool = True) -> dict[str, bytes]:
    """Return the ESP's files by path. Binaries are byte for byte the image's, signatures too.

    Without ``name_uuid`` a configuration of the image finds /boot by the label ``boot``.
    """
    if not facts.esp:
        return {}
    files: dict[str, bytes] = {}
    for path, file in facts.esp.items():
        assert file.content is not None
        files[f"EFI/{path}"] = read(file.content)
    place = f"EFI/{facts.vendor}"
    if facts.static is not None:
        files[f"{place}/grub.cfg"] = facts.static.stub.encode()
        if name_uuid:
            files[f"{place}/bootuuid.cfg"] = bootuuid(boot_uuid).encode()
    else:
        files[f"{place}/grub.cfg"] = grub_config.stub(boot_uuid, facts.directory).encode()
    return files


def add_to_boot(boot: Directory, facts: GrubFacts, machine: Machine, for_disk: ForDisk) -> None:
    """Put configuration, modules and bootupd's state on the /boot tree."""
    # As bootupd has them: a configuration may hold a password.
    place = boot.make_dirs(facts.directory, mode=0o700)
    private = 0o600
    if facts.static is not None:
        text = facts.static.main
        if for_disk.name_uuid:
            place.add("bootuuid.cfg", regular(bootuuid(for_disk.boot_uuid).encode(), mode=private))
        if machine.serial_grub is not None and facts.bios is not None:
            console = grub_config.console(machine.serial_grub)
            place.add("console.cfg", regular(console.encode(), mode=private))
    else:
        text = grub_config.main(
            title=for_disk.title,
            menus=dict(facts.menus),
            serial=machine.serial_grub,
            ignition=for_disk.ignition,
        )
    if for_disk.ignition:
        stamp = grub_config.ignition_stamp(for_disk.ignition_url)
        boot.add(grub_config.IGNITION_STAMP, regular(stamp))
    place.add("grub.cfg", regular(text.encode(), mode=private))
    place.add("grubenv", regular(grub_config.environment_block(), mode=private))
    bios = facts.bios is not None and machine.bios_grub is not None
    if facts.bios is not None and machine.bios_grub is not None:
        modules: dict[bytes, Node] = {
            name: File(mode=0o100644, content=node.content)
            for name, node in facts.bios.entries.items()
            if isinstance(node, File) and node.is_regular and name.endswith((b".mod", b".lst"))
        }
        place.entries[machine.bios_grub.encode()] = Directory(entries=modules)
    if facts.payload is not None:
        static = facts.static is not None
        known = state(facts.payload, bios=bios, static=static, timestamp=for_disk.timestamp)
        if known is not None:
            boot.add("bootupd-state.json", regular(known))


def _efi(
    root: Directory,
    payload: Payload | None,
    machine: Machine,
    ways: list[Way],
    menus: dict[str, Menu],
) -> tuple[dict[str, File], str]:
    if machine.efi_suffix is None or machine.efi_grub is None:
        return {}, ""
    files, vendor, shim, grub = (
        _from_payload(payload, machine.efi_suffix)
        if payload is not None and payload.files
        else _from_packages(root, machine)
    )
    if grub is None:
        reason = f"there is no GRUB for UEFI ({machine.efi_grub}) in the image"
        ways += [Way(name=name, works=False, reason=reason) for name in ("uefi", "secureboot")]
        return {}, ""
    binary = _binary(grub)
    menu = _menu_of(binary)
    if menu is None:
        reason = "its GRUB for UEFI has neither blscfg nor regexp, so no menu could follow updates"
        ways += [Way(name=name, works=False, reason=reason) for name in ("uefi", "secureboot")]
        return {}, ""
    menus["efi"] = menu
    prefix = _prefix(binary)
    if prefix and (payload is None or not payload.files):
        # A binary with a prefix built in reads its configuration there, wherever it lies itself.
        files = {
            path.replace(f"{vendor}/", f"{prefix}/", 1)
            if path.startswith(f"{vendor}/")
            else path: f
            for path, f in files.items()
        }
        vendor = prefix
    ways.append(
        Way(name="uefi", works=True, reason=f"{'shim and ' if shim else ''}GRUB of the image")
    )
    unsigned = [
        name
        for name, file in (("shim", shim), ("GRUB", grub))
        if file is None or not is_signed(_binary(file))
    ]
    ways.append(
        Way(
            name="secureboot",
            works=not unsigned,
            reason=f"the image brings no signed {' and no signed '.join(unsigned)}"
            if unsigned
            else "shim and GRUB of the image are signed",
        )
    )
    return files, vendor


def _from_packages(
    root: Directory, machine: Machine
) -> tuple[dict[str, File], str, File | None, File | None]:
    """Return ESP files, vendor directory, shim and GRUB as distribution packages keep them."""
    suffix = machine.efi_suffix or ""
    names = {"s": suffix, "t": machine.efi_grub or "", "S": suffix.upper()}
    shim, mok, grub = (
        next((f for p in paths if (f := root.get_file(p.format_map(names))) is not None), None)
        for paths in (_SHIM, _MOK_MANAGER, _GRUB)
    )
    csv = root.get_file(_CSV.format_map(names))
    vendor = "diskgen"
    files: dict[str, File] = {}
    if grub is None:
        return {}, vendor, None, None
    # The removable path, which firmware takes when it knows of no other. shim goes on with the
    # GRUB beside it. Its fallback program stays out: it would write boot variables of this one
    # machine and reset it at its first boot.
    boot_name = f"BOOT/BOOT{suffix.upper()}.EFI"
    if shim is not None:
        files |= {
            boot_name: shim,
            f"BOOT/grub{suffix}.efi": grub,
            f"{vendor}/shim{suffix}.efi": shim,
        }
        if mok is not None:
            files |= {f"BOOT/mm{suffix}.efi": mok, f"{vendor}/mm{suffix}.efi": mok}
        if csv is not None:
            files[f"{vendor}/BOOT{suffix.upper()}.CSV"] = csv
    else:
        files[boot_name] = grub
    files[f"{vendor}/grub{suffix}.efi"] = grub
    return files, vendor, shim, grub


def _from_payload(
    payload: Payload, suffix: str
) -> tuple[dict[str, File], str, File | None, File | None]:
    files = dict(payload.files)
    shims = [path for path in files if PurePosixPath(path).name == f"shim{suffix}.efi"]
    if len(shims) != 1:
        return {}, "", None, None
    vendor = str(PurePosixPath(shims[0]).parent)
    return files, vendor, files[shims[0]], files.get(f"{vendor}/grub{suffix}.efi")


def _bios(
    root: Directory,
    machine: Machine,
    sector_size: int,
    ways: list[Way],
    menus: dict[str, Menu],
) -> Directory | None:
    if machine.bios_grub is None:
        return None
    if sector_size != _BIOS_SECTOR:
        reason = f"BIOS starts disks with sectors of {_BIOS_SECTOR} bytes only"
        ways.append(Way(name="bios", works=False, reason=reason))
        return None
    modules = root.get_dir(f"usr/lib/grub/{machine.bios_grub}")
    missing = [name for name in _BIOS_NEEDED if modules is None or modules.get_file(name) is None]
    if modules is None or missing:
        reason = f"the image has no usr/lib/grub/{machine.bios_grub}" + (
            f"/{missing[0]}" if modules is not None else ""
        )
        ways.append(Way(name="bios", works=False, reason=reason))
        return None
    for name, menu in (
        ("blsuki.mod", Menu.BLSUKI), ("blscfg.mod", Menu.BLSCFG), ("regexp.mod", Menu.SCRIPT),
    ):  # fmt: skip
        if modules.get_file(name) is not None:
            menus["pc"] = menu
            ways.append(Way(name="bios", works=True, reason="GRUB's modules of the image"))
            return modules
    ways.append(Way(name="bios", works=False, reason="its GRUB has neither blscfg nor regexp"))
    return None


def _menu_of(binary: bytes) -> Menu | None:
    """Return how a GRUB with its modules built in can read entries; modules state their name."""
    for name, menu in (
        (b"blsuki", Menu.BLSUKI), (b"blscfg", Menu.BLSCFG), (b"regexp", Menu.SCRIPT),
    ):  # fmt: skip
        if b"\0" + name + b"\0" in binary:
            return menu
    return None


def _prefix(binary: bytes) -> str | None:
    """Return the vendor directory of a prefix built in (``/EFI/debian``), or None."""
    at = binary.rfind(b"\0/EFI/")
    end = binary.find(b"\0", at + 1)
    name = binary[at + 6 : end] if at >= 0 and end - at < 64 else b""
    return name.decode() if name.isalnum() and name.isascii() else None


def is_signed(binary: bytes) -> bool:
    """Say whether a PE binary carries a signature (PE format, "Certificate Table")."""
    try:
        (pe,) = struct.unpack_from("<I", binary, 0x3C)
        (magic,) = struct.unpack_from("<H", binary, pe + 24)
        directories = pe + 24 + (112 if magic == 0x20B else 96)
        offset, size = struct.unpack_from("<II", binary, directories + 4 * 8)
    except struct.error:
        return False
    return binary[:2] == b"MZ" and offset > 0 and size > 0


def _binary(file: File) -> bytes:
    if file.content is None or file.size > _MAX_BINARY:
        raise SourceError(f"a boot loader of {file.size} bytes is not one")
    return read(file.content)
