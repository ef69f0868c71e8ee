"""The tree of an installer's medium: where everything lies, and by what each firmware starts it.

Layout: lorax's, which Anaconda, libosinfo and virt-install look for; ``.treeinfo`` and
``.discinfo`` are productmd's formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ..arch import Machine
from ..tree import Directory, File, pieces, read, regular
from ..units import KIB, MIB, align_up
from . import mainframe, menu
from .master import BootImage
from .menu import Choices
from .runtime import DEBIAN_MARK, STAGE2

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
    product_image: bytes | None = None
    efi: Mapping[str, File] = field(default_factory=dict)  # by name in EFI/BOOT
    menus: tuple[str, ...] = ()
    font: File | None = None
    bios: Directory | None = None  # GRUB's modules
    core: bytes | None = None  # GRUB's image for El Torito
    kernel_paths: tuple[str, str] | None = None  # of kernel and initramfs; None: the usual ones
    ours: Directory = field(default_factory=Directory)  # below ROOM
    base: Directory = field(default_factory=Directory)

    @property
    def paths(self) -> tuple[str, str]:
        """Paths of kernel and initramfs on the medium."""
        return self.kernel_paths or (_PXE if self.machine.efi_suffix else _MAINFRAME)

    def menu(self, *, bios: bool) -> menu.Menu:
        """Return the boot menu for BIOS or UEFI."""
        kernel, initrd = (f"/{path}" for path in self.paths)
        made = menu.make(self.choices, kernel=kernel, initrd=initrd, bios=bios)
        return replace(made, serial=bios)


def console(machine: Machine) -> str:
    """Return the serial console of a machine, as ``console=`` takes it."""
    return _CONSOLES.get(machine.name, "ttyS0,115200")


def esp_files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the EFI system partition by path; empty without UEFI."""
    if not parts.efi:
        return {}
    files = {f"EFI/BOOT/{name}": _bytes(file) for name, file in parts.efi.items()}
    text = menu.to_grub(parts.menu(bios=False)).encode()
    files |= {f"{place}/grub.cfg": text for place in parts.menus}
    if parts.font is not None:
        files["EFI/BOOT/fonts/unicode.pf2"] = _bytes(parts.font)
    return files


def esp_size(files: Mapping[str, bytes]) -> int:
    """Return the bytes of a filesystem that holds the files, and changes to them."""
    return align_up(sum(len(data) + 8 * KIB for data in files.values()) * 5 // 4, MIB) + 4 * MIB


def tree(parts: Parts, esp: File | None) -> tuple[Directory, tuple[BootImage, ...]]:
    """Return the medium's tree and its boot catalogue; ``esp`` is the EFI system partition."""
    root = parts.base
    kernel, initrd = parts.paths
    root.add(kernel, _plain(parts.kernel))
    root.add(initrd, _plain(parts.initrd))
    if parts.stage2 is not None:
        root.add(STAGE2, parts.stage2)
    if parts.product_image is not None:
        root.add(PRODUCT_IMAGE, regular(parts.product_image))
    boot: list[BootImage] = []
    if parts.core is not None:
        root.add(CORE_IMAGE, regular(parts.core))
        text = menu.to_grub(parts.menu(bios=True))
        root.add(f"{GRUB_PLACE}/grub.cfg", regular(text.encode()))
        if parts.bios is not None:
            place = f"{GRUB_PLACE}/{parts.machine.bios_grub}"
            root.add(place, _folder(parts.bios))
        boot.append(BootImage(path=CORE_IMAGE, efi=False, load_size=4, info_table=True))
    if esp is not None:
        root.add(EFI_IMAGE, esp)
        for path, data in esp_files(parts).items():
            root.add(path, regular(data))
        if "boot/grub" in parts.menus:
            root.add(DEBIAN_MARK, regular(f"{parts.product}\n".encode()))
        boot.append(BootImage(path=EFI_IMAGE, efi=True))
    if not parts.machine.efi_suffix:
        _add_mainframe(root, parts)
        boot.append(BootImage(path=_CDBOOT, efi=False, load_size=4))
    root.add(ROOM, parts.ours)
    parts.ours.add("pxe-example.cfg", regular(pxe_example(parts).encode()))
    _add_metadata(root, parts)
    return root, tuple(boot)


def pxe_example(parts: Parts) -> str:
    """Return what a network boot server has to say, for people to copy from."""
    lines = [
        "# Kernel, initramfs and arguments for starting this installer from the network.",
        "# Serve images/install.img (and product.img beside it) at the URL of inst.stage2;",
        "# without the medium, image mode takes the image from its registry.",
        f"# kernel: {parts.paths[0]}    initramfs: {parts.paths[1]}",
    ]
    common = ["inst.stage2=http://SERVER/PATH", *parts.choices.kargs]
    modes = ["image"] * parts.choices.image + ["package"] * parts.choices.packages
    modes += ["ask"] * (len(modes) > 1)
    lines += [" ".join([*common, f"diskgen.mode={mode}"]) for mode in modes]
    return "\n".join(lines) + "\n"


def _add_mainframe(root: Directory, parts: Parts) -> None:
    """Add what s390x starts by: El Torito, the service element's files, z/VM's parameters."""
    kernel, initrd = _bytes(parts.kernel), _bytes(parts.initrd)
    modes = ["image"] * parts.choices.image + ["package"] * parts.choices.packages
    ask = "ask" if len(modes) > 1 else modes[0]
    line = " ".join(("ro", *menu.arguments(parts.choices, f"diskgen.mode={ask}")))
    root.add(_CDBOOT, regular(mainframe.boot_image(kernel, initrd, line)))
    root.add("images/initrd.addrsize", regular(mainframe.addresses(len(initrd))))
    files = {"images/cdboot.prm": mainframe.parameters(line)}
    cards = f"{line} {_CARDS}"
    files["images/generic.prm"] = mainframe.parameters(cards)
    files["images/genericdvd.prm"] = mainframe.parameters(f"{cards} rd.cmdline=ask")
    files["generic.ins"] = mainframe.instructions(parts.product, "images/genericdvd.prm")
    for mode in modes if len(modes) > 1 else ():
        own = " ".join(("ro", *menu.arguments(parts.choices, f"diskgen.mode={mode}"), _CARDS))
        files[f"images/{mode}.prm"] = mainframe.parameters(own)
        files[f"{mode}.ins"] = mainframe.instructions(
            f"{parts.product}: {mode} mode", f"images/{mode}.prm"
        )
    for path, text in files.items():
        root.add(path, regular(text.encode()))


def _add_metadata(root: Directory, parts: Parts) -> None:
    arch = parts.machine.name
    if root.get(".discinfo") is None:
        info = f"{parts.timestamp}.000000\n{parts.product}\n{arch}\n"
        root.add(".discinfo", regular(info.encode()))
    if root.get(".treeinfo") is None:
        root.add(".treeinfo", regular(_treeinfo(root, parts).encode()))


def _treeinfo(root: Directory, parts: Parts) -> str:
    arch = parts.machine.name
    kernel, initrd = parts.paths
    named = {"kernel": kernel, "initrd": initrd, "eltorito.img": CORE_IMAGE,
             "efiboot.img": EFI_IMAGE, "product.img": PRODUCT_IMAGE, "generic.ins": "generic.ins",
             "initrd.addrsize": "images/initrd.addrsize"}  # fmt: skip
    images = {name: path for name, path in named.items() if root.get(path) is not None}
    stage2 = STAGE2 if root.get(STAGE2) is not None else "LiveOS/squashfs.img"
    # GRUB's image is changed when the medium is mastered.
    summed = sorted({*images.values(), stage2} - {CORE_IMAGE})
    sections: dict[str, dict[str, str]] = {
        "header": {"type": "productmd.treeinfo", "version": "1.2"},
        "general": {
            "arch": arch, "family": parts.product, "name": f"{parts.product} {parts.version}",
            "platforms": arch, "timestamp": str(parts.timestamp), "version": parts.version,
            "variant": "", "packagedir": "", "repository": "", "variants": "",
        },
        "release": {"name": parts.product, "short": "".join(parts.product.split()),
                    "version": parts.version},
        "tree": {"arch": arch, "build_timestamp": str(parts.timestamp), "platforms": arch,
                 "variants": ""},
        "stage2": {"mainimage": stage2},
        f"images-{arch}": images,
        "checksums": {path: f"sha256:{_sha256(root, path)}" for path in summed},
    }  # fmt: skip
    lines: list[str] = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value}".rstrip() for key, value in sorted(values.items())]
        lines.append("")
    return "\n".join(lines)


def _sha256(root: Directory, path: str) -> str:
    node = root.get_file(path)
    digest = hashlib.sha256()
    for piece in _contents(node):
        digest.update(piece)
    return digest.hexdigest()


def _contents(node: File | None) -> Iterator[bytes]:
    if node is not None and node.content is not None:
        yield from pieces(node.content)


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
