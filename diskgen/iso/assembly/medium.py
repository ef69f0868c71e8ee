"""The tree of an installer's medium: where everything lies, and by what each firmware starts it.

Layout: lorax's, which Anaconda, libosinfo and virt-install look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ...arch import Machine
from ...tree import Directory, File, read, regular
from ...units import KIB, MIB, align_up
from ..mastering import mainframe
from ..mastering.master import BootImage
from ..mastering.names import MAX_LABEL
from ..menus import menu, netboot, syslinux
from ..menus.menu import Choices
from ..runtimes.runtime import DEBIAN_MARK, STAGE2
from . import metadata

ROOM: Final = "diskgen"  # everything of ours on the medium
EFI_IMAGE: Final = "images/efiboot.img"
CORE_IMAGE: Final = "images/eltorito.img"
PRODUCT_IMAGE: Final = "images/product.img"
GRUB_PLACE: Final = "boot/grub2"
_PXE: Final = ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img")
_MAINFRAME: Final = ("images/kernel.img", "images/initrd.img")
_CDBOOT: Final = "images/cdboot.img"
_CONSOLES: Final = {"aarch64": "ttyAMA0,115200", "s390x": "ttysclp0"}
_CARDS: Final = "cio_ignore=all,!condev"


@dataclass(frozen=True, slots=True, kw_only=True)
class BiosLoader:
    """What BIOS starts, by El Torito and by a stick's boot code."""

    kind: str  # a name of hybrid.LOADERS
    path: str  # of its image on the medium
    image: File
    code: bytes = b""  # for sticks; empty: it starts from CD only
    modules: Directory | None = None  # GRUB's, where they are not in ``base``
    menu: str | None = None  # isolinux's program that shows menus, where there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a medium is made of. ``base`` is what lies on it already, when it is remastered."""

    machine: Machine
    choices: Choices
    product: str
    version: str
    timestamp: int  # seconds since 1970
    kernel: File
    initrd: File
    stage2: File | None  # None: it is in ``base``
    stage2_path: str = STAGE2
    own: bool = False  # diskgen's own installer is on it
    product_image: bytes | None = None
    efi: Mapping[str, File] = field(default_factory=dict[str, File])  # the ESP's, by path
    menus: tuple[str, ...] = ()  # paths of grub.cfg for UEFI
    verb: str = ""  # what follows "linux" and "initrd" in them
    bios: BiosLoader | None = None
    kernel_paths: tuple[str, str] | None = None  # of kernel and initramfs; None: the usual ones
    ours: Directory = field(default_factory=Directory)  # below ROOM
    tree_info: bool = True  # a new medium's; see metadata.add
    base: Directory = field(default_factory=Directory)

    @property
    def remastered(self) -> bool:
        """Whether there was a medium before."""
        return self.stage2 is None

    @property
    def paths(self) -> tuple[str, str]:
        """Paths of kernel and initramfs on the medium."""
        return self.kernel_paths or (_PXE if self.machine.efi_suffix else _MAINFRAME)

    def menu(self, *, bios: bool) -> menu.Menu:
        """Return the boot menu for BIOS or UEFI."""
        kernel, initrd = (f"/{path}" for path in self.paths)
        made = menu.make(self.choices, kernel=kernel, initrd=initrd, bios=bios)
        return replace(made, verb="" if bios else self.verb)


def console(machine: Machine) -> str:
    """Return the serial console of a machine, as ``console=`` takes it."""
    return _CONSOLES.get(machine.name, "ttyS0,115200")


def esp_files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the EFI system partition by path; empty without UEFI."""
    if not parts.efi:
        return {}
    text = menu.to_grub(parts.menu(bios=False)).encode()
    return {path: _bytes(file) for path, file in parts.efi.items()} | dict.fromkeys(
        parts.menus, text
    )


def esp_size(files: Mapping[str, bytes]) -> int:
    """Return the bytes of a filesystem that holds the files, and changes to them."""
    return align_up(sum(len(data) + 8 * KIB for data in files.values()) * 5 // 4, MIB) + 4 * MIB


def tree(parts: Parts, esp: File | None) -> tuple[Directory, tuple[BootImage, ...]]:
    """Return the medium's tree and its boot catalogue; ``esp`` is the EFI system partition."""
    root = parts.base
    kernel, initrd = parts.paths
    listed = metadata.listed(root)
    root.add(kernel, _plain(parts.kernel))
    root.add(initrd, _plain(parts.initrd))
    if parts.stage2 is not None:
        root.add(STAGE2, parts.stage2)
    if parts.product_image is not None:
        root.add(PRODUCT_IMAGE, regular(parts.product_image))
    boot: list[BootImage] = []
    if parts.bios is not None:
        _add_bios(root, parts, parts.bios)
        boot.append(BootImage(path=parts.bios.path, efi=False, load_size=4, info_table=True))
    if esp is not None:
        root.add(EFI_IMAGE, esp)
        for path, data in esp_files(parts).items():
            place = spelled(root, path)
            if path in parts.menus or root.get_file(place) is None:
                root.add(place, regular(data))
        if any(path.startswith("boot/grub/") for path in parts.menus) and not parts.remastered:
            root.add(DEBIAN_MARK, regular(f"{parts.product}\n".encode()))
        boot.append(BootImage(path=EFI_IMAGE, efi=True))
    if not parts.machine.efi_suffix:
        _add_mainframe(root, parts)
        boot.append(BootImage(path=_CDBOOT, efi=False, load_size=4))
    root.add(ROOM, parts.ours)
    _add_netboot(parts)
    if parts.remastered:
        metadata.update(root, listed, unknown=frozenset(i.path for i in boot if i.info_table))
    else:
        metadata.add(
            root,
            parts.machine,
            parts.product,
            parts.version,
            parts.timestamp,
            parts.paths,
            tree=parts.tree_info,
        )
    return root, tuple(boot)


def spelled(root: Directory, path: str) -> str:
    """Return a path in the spelling that a tree has it in: FAT tells no case."""
    names: list[str] = []
    for name in path.split("/"):
        folder = root.get_dir("/".join(names))
        known = [raw.decode(errors="replace") for raw in folder.entries] if folder else []
        same = sorted(other for other in known if other.lower() == name.lower())
        names.append(name if name in same or not same else same[0])
    return "/".join(names)


def _add_bios(root: Directory, parts: Parts, loader: BiosLoader) -> None:
    root.add(loader.path, _plain(loader.image))
    made = parts.menu(bios=True)
    if loader.kind == "isolinux":
        root.add("isolinux/isolinux.cfg", regular(syslinux.to_isolinux(made, loader.menu).encode()))
        return
    root.add(f"{GRUB_PLACE}/grub.cfg", regular(menu.to_grub(made).encode()))
    if loader.modules is not None:
        root.add(f"{GRUB_PLACE}/{parts.machine.bios_grub}", _folder(loader.modules))


def _add_netboot(parts: Parts) -> None:
    """Add what a server needs that starts machines from the network."""
    stage2 = parts.stage2_path
    example = netboot.example(parts.choices, parts.paths, stage2, own=parts.own)
    parts.ours.add(netboot.EXAMPLE, regular(example.encode()))
    if parts.machine.efi_suffix:  # elsewhere there is no iPXE
        script = netboot.script(parts.choices, parts.paths, stage2, own=parts.own)
        if script is not None:
            parts.ours.add(netboot.SCRIPT, regular(script.encode()))


def _add_mainframe(root: Directory, parts: Parts) -> None:
    """Add what s390x starts by: El Torito, the service element's files, z/VM's parameters."""
    kernel, initrd = _bytes(parts.kernel), _bytes(parts.initrd)
    lines = mainframe_lines(parts.choices, own=parts.own)
    check_mainframe(lines, mainframe.line_size(kernel))
    boot = mainframe.boot_image(kernel, initrd, lines["cdboot"][1])
    root.add(_CDBOOT, regular(boot))
    root.add("images/initrd.addrsize", regular(mainframe.addresses(len(initrd))))
    files: dict[str, str] = {}
    for name, (title, line) in lines.items():
        prm = f"images/{name}.prm"
        files[prm] = mainframe.parameters(line)
        if name == "genericdvd":
            files["generic.ins"] = mainframe.instructions(parts.product, prm)
        elif title is not None:
            files[f"{name}.ins"] = mainframe.instructions(title, prm)
    for path, text in files.items():
        root.add(path, regular(text.encode()))


def label_room(machine: Machine) -> int:
    """Return how many characters a label may have, so that every word of the menu has room."""
    if machine.efi_suffix:
        return MAX_LABEL
    bare = Choices(product="", label="")
    words = [word for mode in bare.modes for word in menu.unattended_words(bare, mode)]
    return min(MAX_LABEL, mainframe.LONGEST_WORD - max(map(len, words)))


def mainframe_lines(choices: Choices, *, own: bool) -> dict[str, tuple[str | None, str]]:
    """Return the kernel arguments of each parameter file, and what a service element lists it as.

    ``own`` says that our installer is started, not Anaconda.
    """
    modes = choices.modes
    ask = "ask" if modes[1:] else modes[0]
    line = " ".join(("ro", *menu.arguments(choices, f"diskgen.mode={ask}")))
    # Anaconda frees the devices that it is told of, and lets people type more arguments.
    cards, typed = ("", "") if own else (_CARDS, "rd.cmdline=ask")
    found: dict[str, tuple[str | None, str]] = {
        "cdboot": (None, line),
        "generic": (None, f"{line} {cards}"),
        "genericdvd": (None, f"{line} {cards} {typed}"),
    }
    # A service element lists these: they are its menu.
    listed: list[tuple[str, str, tuple[str, ...]]] = [
        (mode, f"{choices.product}: {mode} mode", (f"diskgen.mode={mode}",))
        for mode in (modes if len(modes) > 1 else ())
    ]  # fmt: skip
    for mode, disk in choices.unattended:
        words = menu.unattended_words(choices, mode)
        listed.append((f"unattended-{mode}", menu.erasing_title(mode, disk), words))
    for name, title, arguments in listed:
        found[name] = (title, " ".join(("ro", *menu.arguments(choices, *arguments), cards)))
    return found


def check_mainframe(lines: Mapping[str, tuple[str | None, str]], room: int) -> None:
    """Refuse parameter files of more bytes than a kernel takes. Raises UsageError."""
    for _title, line in lines.values():
        mainframe.check_line(line.strip(), room)


def _bytes(file: File) -> bytes:
    assert file.content is not None
    return read(file.content)


def _plain(file: File) -> File:
    """Return a file as media have it: of root, readable by everyone."""
    return File(0o100644, content=file.content)


def _folder(folder: Directory) -> Directory:
    """Return the plain files of a directory, as media have them."""
    made = Directory()
    for raw, node in folder.entries.items():
        if isinstance(node, File) and node.is_regular and node.content is not None:
            made.entries[raw] = _plain(node)
    return made
