"""A vendor's boot ISO or DVD becomes the base of a medium of ours.

The vendor's kernel, runtime and signed EFI programs stay as they are; menus, parameter files and
the EFI image are made anew, and the overlay that Anaconda unpacks over its runtime is ours on top
of the vendor's. Places: :mod:`diskgen.iso.vendors.vendor`; arguments: Anaconda's boot options.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...arch import Machine
from ...config import IsoRequest
from ...errors import SourceError
from ...events import Emit, step
from ...kickstart.language import VERSIONS
from ...ostree.facts import UnfitError
from ...tree import Directory, File, regular
from ..kickstarts.kickstart import Packages
from ..mastering import mediacheck
from ..menus import syslinux
from ..reading import reader
from ..runtimes import overlay
from ..vendors import relabel, vendor
from ..vendors.vendor import Vendor
from . import medium, remasterable
from .medium import BiosLoader, Parts
from .plan import Installer, IsoPlan, language_of

_SECTOR: Final = 2048
_DESCRIPTOR: Final = 16 * _SECTOR  # the primary volume descriptor (ECMA-119, 8.4)
_MENUS: Final = ("grub.cfg", "boot.conf")
_CATALOGUES: Final = ("boot.cat", "boot.catalog", "isolinux/boot.cat", "images/boot.cat")
# What a boot code says when it fails tells whose it is.
_CODES: Final = {"grub": b"GRUB ", "isolinux": b"isolinux.bin"}
_ARGUMENT: Final = re.compile(r"""(?:[^\s"'\\$`;|&<>{}]|\\x[0-9a-f]{2})+""")
_CORE: Final = ("@core",)
_MEDIUM: Final = "file:///run/install/repo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A vendor's medium, read and found fit; ``esp`` are the files of its EFI image but menus."""

    installer: Installer
    vendor: Vendor
    root: Directory
    code: bytes  # for sticks
    esp: dict[str, File]
    menus: tuple[str, ...]  # for UEFI


def read(request: IsoRequest, machine: Machine, emit: Emit) -> Original:
    """Read the medium that a request names as the installer; only its checksum takes time.

    Raises UnfitError with all that does not fit, SourceError for a damaged file.
    """
    path = request.installer
    assert isinstance(path, Path)
    with step(emit, "medium", "Reading the installer's medium"):
        image = reader.read(path)
        found = vendor.examine(image)
    root = image.root
    for place in (*_CATALOGUES, medium.ROOM):
        _remove(root, place)
    problems = list(remasterable.unfit(request, machine, found))
    problems += remasterable.unusable(path, found, root)
    label = request.label or image.label
    problems += remasterable.label_problems(path, image.label, label)
    if problems:
        raise UnfitError(problems)
    with step(emit, "test", "Testing the installer's medium"):
        try:
            same = mediacheck.compare(path)
        except OSError as error:
            raise SourceError(f"'{path}' cannot be read: {error.strerror}") from error
        if same is False:
            raise SourceError(
                f"'{path}' is damaged: it is not what the checksum on it says",
                hint="download it again, and compare its checksum with the vendor's",
                setting="installer",
            )
    esp, menus = _esp(found, root)
    if label != image.label:
        replaced = {*menus, f"{medium.GRUB_PLACE}/grub.cfg", "isolinux/isolinux.cfg"}
        relabel.change(path, root, image.label, label, replaced)
        relabel.change(path, _tree(esp), image.label, label, replaced)
    code = image.system_area[:440]
    if _CODES.get(found.style, b"\0") not in code:
        code = b""
    return Original(
        installer=_installer(image, found, label, code, request),
        vendor=found,
        root=root,
        code=code,
        esp=esp,
        menus=menus,
    )


def parts(original: Original, plan: IsoPlan, ours: Directory, product_image: bytes | None) -> Parts:
    """Return what the new medium is made of; ``original.root`` becomes part of it."""
    found, root = original.vendor, original.root
    kernel, initrd = root.get_file(found.kernel), root.get_file(found.initrd)
    assert kernel is not None
    assert initrd is not None
    texts = (data for path, data in found.esp.items() if _is_menu(path))
    old = any(re.search(rb"^\s*linuxefi\s", text, re.MULTILINE) for text in texts)
    return Parts(
        machine=plan.machine,
        choices=plan.choices,
        product=plan.product,
        version=plan.version,
        timestamp=plan.timestamp,
        kernel=kernel,
        initrd=initrd,
        stage2=None,
        stage2_path=found.stage2,
        product_image=product_image,
        efi=original.esp,
        menus=original.menus,
        verb="efi" if old else "",
        bios=_bios(found, root, original.code),
        kernel_paths=(found.kernel, found.initrd),
        ours=ours,
        base=root,
    )


def _installer(
    image: reader.Image, found: Vendor, label: str, code: bytes, request: IsoRequest
) -> Installer:
    path = image.path
    language, warnings = _language(found)
    kargs = tuple(
        relabel.renamed(word, image.label, label)
        for word in found.arguments
        if _ARGUMENT.fullmatch(word)
    )
    if dropped := [word for word in found.arguments if not _ARGUMENT.fullmatch(word)]:
        warnings.append(f"arguments of '{path.name}' are left out: {' '.join(map(repr, dropped))}")
    if found.style in _CODES and not code:
        warnings.append(
            f"'{path.name}' has no boot code for sticks: from a stick the medium starts by UEFI "
            "alone"
        )
    if not found.machine.efi_suffix:
        kargs = tuple(word for word in kargs if word != "ro")  # is there anyway
    base = overlay.unpacked(found.product_img) if found.product_img is not None else None
    files = {id(node): node for _path, node in image.root.walk() if isinstance(node, File)}
    return Installer(
        title=f"Anaconda of {found.product} {found.version}".rstrip() + f", '{path.name}'",
        anaconda=True,
        kernel=f"/{found.kernel}",
        language=request.kickstart_version or language,
        identity=_identity(image),
        label=label,
        kargs=kargs,
        fips=True,
        repository=Packages(url=_MEDIUM, names=request.package_names or _CORE)
        if found.packages
        else None,
        base_bytes=sum(node.size for node in files.values()),
        overlay=base,
        warnings=tuple(warnings),
    )


def _identity(image: reader.Image) -> str:
    """Return what tells a vendor's medium from others: its descriptor, with times and checksum."""
    with image.path.open("rb") as file:
        file.seek(_DESCRIPTOR)
        return hashlib.sha256(file.read(_SECTOR)).hexdigest()


def _language(found: Vendor) -> tuple[str, list[str]]:
    """Return the kickstart language's version that fits best, and what is to be said about it."""
    if found.kickstart is not None:
        return found.kickstart, []
    family, numbers = vendor.family(found.product), remasterable.numbers(found.version)
    known = sorted(
        int(name.removeprefix(family))
        for name in VERSIONS
        if family and name.removeprefix(family).isdigit()
    )
    if family and known and numbers:
        near = max((n for n in known if n <= numbers[0]), default=known[0])
        return f"{family}{near}", []
    newest = language_of({}, VERSIONS)
    return newest, [
        f"the installer's version is not known; its kickstarts are {newest}'s "
        "(--kickstart-version names another)"
    ]


def _esp(found: Vendor, root: Directory) -> tuple[dict[str, File], tuple[str, ...]]:
    """Return the programs of the new EFI image by path, and where its menus are."""
    if not found.esp:
        return {}, ()
    folders: dict[str, str] = {}  # FAT tells no case
    programs: dict[str, File] = {}
    menus: dict[str, str] = {}
    for path, data in found.esp.items():
        folder, slash, name = path.rpartition("/")
        place = folders.setdefault(folder.lower(), folder) + slash + name
        if _is_menu(path):
            menus.setdefault(place.lower(), place)
        else:
            programs[place] = regular(data)
    for raw, node in root.walk():
        path = raw.decode(errors="replace")
        if path.lower().startswith("efi/") and _is_menu(path) and isinstance(node, File):
            folder, slash, name = path.rpartition("/")
            place = folders.setdefault(folder.lower(), folder) + slash + name
            menus.setdefault(place.lower(), place)
    usual = "EFI/BOOT/grub.cfg"
    menus.setdefault(usual.lower(), usual)
    return programs, tuple(menus.values())


def _is_menu(path: str) -> bool:
    return path.rpartition("/")[2].lower() in _MENUS


def _bios(found: Vendor, root: Directory, code: bytes) -> BiosLoader | None:
    if found.style == "grub":
        assert found.bios_core is not None
        return BiosLoader(kind="grub", path=medium.CORE_IMAGE, image=found.bios_core, code=code)
    image = root.get_file(remasterable.ISOLINUX)
    if found.style != "isolinux" or image is None:
        return None
    programs = (name for name in syslinux.PROGRAMS if root.get_file(f"isolinux/{name}"))
    return BiosLoader(
        kind="isolinux",
        path=remasterable.ISOLINUX,
        image=image,
        code=code,
        menu=next(programs, None),
    )


def _remove(root: Directory, path: str) -> None:
    folder, _slash, name = path.rpartition("/")
    parent = root.get_dir(folder)
    if parent is not None:
        parent.entries.pop(name.encode(), None)


def _tree(files: dict[str, File]) -> Directory:
    root = Directory()
    for path, file in files.items():
        root.add(path, file)
    return root
