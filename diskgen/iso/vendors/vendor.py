"""A vendor's installer: what an Anaconda boot ISO or DVD holds, and where.

Layouts: lorax's templates (``share/templates.d/99-generic``), productmd's ``.treeinfo`` 1.2 and
``.discinfo``; where Anaconda's dracut module looks for its runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ...arch import MACHINES, Machine, machine
from ...errors import Problem, SourceError, UsageError
from ...ostree.facts import UnfitError
from ...tree import Directory, File, Packed, read
from ..reading import reader
from ..reading.fatreader import fat_files
from . import vendormenu
from .vendormenu import Start

_MAX_TEXT: Final = 1024 * 1024
_MAX_WORDS: Final = 100  # characters of a name of a product
_STAGE2: Final = ("images/install.img", "LiveOS/squashfs.img")
_PXE: Final = ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img")
_MAINFRAME: Final = ("images/kernel.img", "images/initrd.img")
_MAINFRAME_BOOT: Final = "images/cdboot.img"
_BIOS_CORE: Final = "images/eltorito.img"
_BIOS_MODULES: Final = "boot/grub2/i386-pc"
_ISOLINUX: Final = "isolinux/isolinux.bin"
_ESP: Final = "images/efiboot.img"
_EFI: Final = "EFI/BOOT/"
_BOOT_CODE: Final = 440
_GRUB_MENUS: Final = ("boot/grub2/grub.cfg", "EFI/BOOT/grub.cfg", "EFI/BOOT/BOOT.conf")
_PARAMETERS: Final = ("images/cdboot.prm", "images/generic.prm", "images/genericdvd.prm")
_RELEASE: Final = re.compile(r"(?:(.*?)\s+)?([0-9][0-9A-Za-z.]*)\b.*")
_EL: Final = re.compile(
    r"(red hat enterprise linux|rhel|centos|almalinux|rocky|oracle linux|ol)\b", re.IGNORECASE
)
# Words of labels that belong to no product.
_VARIANTS: Final = frozenset({"s", "e", "dvd", "dvd1", "baseos", "boot", "netinst", "minimal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What a medium is made of; paths are those on the medium."""

    machine: Machine
    style: str  # "grub", "isolinux", "efi" or "mainframe"
    kernel: str
    initrd: str
    stage2: str
    esp: Mapping[str, bytes]  # files of the EFI image
    bios_core: File | None
    bios_modules: Directory | None
    mbr: bytes | None  # GRUB's boot code for sticks
    product: str
    version: str
    arguments: tuple[str, ...]  # of the first menu entry, that any medium would need
    packages: bool
    product_img: File | None
    kickstart: str | None  # a name of language.VERSIONS; None: unknown


def examine(image: reader.Image) -> Vendor:
    """Return what an image brings. Raises UnfitError with all that is wrong at once."""
    return _Medium(image).examine()


class _Medium:
    def __init__(self, image: reader.Image) -> None:
        self._image = image
        self._root = image.root
        self._problems: list[Problem] = []
        self._treeinfo = _sections(self._text(".treeinfo"))
        self._discinfo = [line.strip() for line in self._text(".discinfo").splitlines()]
        self._esp: Mapping[str, bytes] = {}

    def examine(self) -> Vendor:
        before = len(self._problems)
        self._esp = MappingProxyType(self._esp_files())
        readable = len(self._problems) == before
        machine = self._machine()
        style = self._style(machine)
        start = self._start(style)
        kernel, initrd = self._kernel(style, start)
        stage2 = self._stage2()
        if machine is not None and machine.efi_suffix and readable and not self._esp:
            self._problem(
                f"has no EFI image, by which {machine.name} starts",
                "use the vendor's boot.iso or DVD as it was published",
            )
        if style == "mainframe" and self._root.get_file(_MAINFRAME_BOOT) is None:
            self._problem(f"has no '{_MAINFRAME_BOOT}'", "use the vendor's boot.iso or DVD")
        if self._problems:
            raise UnfitError(self._problems)
        assert machine is not None
        product, version = self._release()
        code = self._image.system_area[:_BOOT_CODE]
        return Vendor(
            machine=machine,
            style=style,
            kernel=kernel,
            initrd=initrd,
            stage2=stage2,
            esp=self._esp,
            bios_core=self._root.get_file(_BIOS_CORE),
            bios_modules=self._root.get_dir(_BIOS_MODULES),
            mbr=code if style == "grub" and any(code) else None,
            product=product,
            version=version,
            arguments=start.arguments,
            packages=self._packages(),
            product_img=self._root.get_file("images/product.img"),
            kickstart=_kickstart(product, version),
        )

    def _machine(self) -> Machine | None:
        """Return the architecture, which all that name one must agree on."""
        named = [
            ("'.discinfo'", self._discinfo[2] if len(self._discinfo) > 2 else ""),
            ("'.treeinfo'", self._value("general", "arch") or self._value("tree", "arch")),
        ]
        said: list[tuple[str, frozenset[Machine]]] = []
        for where, name in named:
            if not name:
                continue
            try:
                said.append((where, frozenset({machine(name)})))
            except UsageError:
                self._problem(
                    f"is for '{_printable(name)}', as its {where} says",
                    "known are: " + ", ".join(m.name for m in MACHINES.values() if m.supported),
                )
                return None
        programs = self._programs()
        if programs:
            said.append(("EFI programs", programs))
        agreed = [found for _, found in said] or [frozenset[Machine]()]
        common = agreed[0].intersection(*agreed[1:])
        if not common or len(common) > 1:
            facts = "; ".join(
                f"{where}: {' '.join(sorted(m.name for m in found))}" for where, found in said
            )
            self._problem(
                f"does not agree on its architecture ({facts})"
                if said
                else "does not say for which architecture it is",
                "use an Anaconda boot.iso or DVD as its vendor published it",
            )
            return None
        (found,) = common
        if not found.supported:
            self._problem(f"is for {found.name}", "use one for x86_64, aarch64 or s390x")
            return None
        return found

    def _programs(self) -> frozenset[Machine]:
        """Return the machines that the names of EFI programs are for (UEFI 2.11, table 3.2)."""
        folder = self._root.get_dir(_EFI)
        entries = folder.entries if folder else ()
        names = {name.decode(errors="replace") for name in entries}
        names |= {path[len(_EFI) :] for path in self._esp if path.upper().startswith(_EFI)}
        names = {name.upper() for name in names}
        return frozenset(
            m
            for m in MACHINES.values()
            if m.efi_suffix is not None and f"BOOT{m.efi_suffix.upper()}.EFI" in names
        )

    def _style(self, machine: Machine | None) -> str:
        if machine is None:
            has = self._root.get_file(_MAINFRAME_BOOT) is not None
            return "mainframe" if has else "efi"
        if machine.bootloader == "zipl":
            return "mainframe"
        if machine.bios_grub is not None:
            if self._root.get_file(_BIOS_CORE) and self._root.get_dir(_BIOS_MODULES):
                return "grub"
            if self._root.get_file(_ISOLINUX):
                return "isolinux"
        return "efi"

    def _start(self, style: str) -> Start:
        """Return what the vendor's menu starts first."""
        if style == "mainframe":
            for path in _PARAMETERS:
                if self._root.get_file(path):
                    return vendormenu.parameters(self._text(path))
            return Start()
        if style == "isolinux":
            found = vendormenu.isolinux(self._text("isolinux/isolinux.cfg"))
            if found is not None:
                return found
        texts: list[str] = [self._text(path) for path in _GRUB_MENUS]
        texts += [
            data[:_MAX_TEXT].decode(errors="replace")
            for path, data in sorted(self._esp.items())
            if path.lower().endswith("/grub.cfg")
        ]
        return next((found for text in texts if (found := vendormenu.grub(text))), Start())

    def _kernel(self, style: str, start: Start) -> tuple[str, str]:
        usual = _MAINFRAME if style == "mainframe" else _PXE
        chosen: list[str] = []
        for what, path, other in zip(
            ("kernel", "initramfs"), usual, (start.kernel, start.initrd), strict=True
        ):
            found = next((p for p in (path, other) if p and self._filled(p)), None)
            if found is None:
                self._problem(
                    f"has no {what}: there is no '{path}' on it",
                    "use an Anaconda boot.iso or DVD; live media are none",
                )
            chosen.append(found or "")
        return chosen[0], chosen[1]

    def _stage2(self) -> str:
        paths = (self._value("stage2", "mainimage"), *_STAGE2)
        found = next((path for path in paths if path and self._filled(path)), None)
        if found is None:
            self._problem(
                "holds no installer: there is no " + " and no ".join(map(repr, _STAGE2)) + " on it",
                "use an Anaconda boot.iso or DVD",
            )
        return found or ""

    def _filled(self, path: str) -> bool:
        file = self._root.get_file(path)
        return file is not None and file.size > 0

    def _esp_files(self) -> dict[str, bytes]:
        starts = [entry.start for entry in self._image.boot if entry.efi]
        inside = self._root.get_file(_ESP)
        if inside is not None and isinstance(inside.content, Packed) and inside.content.extents:
            starts.append(inside.content.extents[0][2])
        if not starts:
            return {}
        try:
            return fat_files(self._image.path, starts[0])
        except SourceError as error:
            self._problems.append(_installer(error.message, error.hint))
            return {}

    def _release(self) -> tuple[str, str]:
        """Return product and version: of .treeinfo, else of .discinfo, else of the label."""
        product, version = _from_label(self._image.label)
        text = self._discinfo[1] if len(self._discinfo) > 1 else ""
        if match := _RELEASE.fullmatch(text):
            product, version = match[1] or product, match[2]
        for section, name in (("general", "family"), ("release", "name")):
            if found := self._value(section, name):
                product, version = found, self._value(section, "version") or version
        return _printable(product), _printable(version)

    def _packages(self) -> bool:
        places = ["", *self._repositories()]
        return any(
            self._root.get_file(f"{place.removeprefix('.')}/repodata/repomd.xml") is not None
            for place in places
        )

    def _repositories(self) -> Iterator[str]:
        for section in self._treeinfo:
            if section.startswith("variant-"):
                yield self._value(section, "repository").strip("/")

    def _value(self, section: str, name: str) -> str:
        return self._treeinfo.get(section, {}).get(name, "")

    def _text(self, path: str) -> str:
        """Return a small file's text, empty where there is none."""
        file = self._root.get_file(path)
        if file is None or file.content is None:
            return ""
        if file.size > _MAX_TEXT:
            self._problem(
                f"has a '{path}' of {file.size} bytes, which is no text", "use another download"
            )
            return ""
        try:
            return read(file.content).decode(errors="replace")
        except OSError as error:
            raise SourceError(f"'{self._image.path}' cannot be read: {error}") from error

    def _problem(self, fact: str, hint: str) -> None:
        self._problems.append(_installer(f"'{self._image.path}' {fact}", hint))


def _installer(message: str, hint: str | None) -> Problem:
    return Problem(code="installer", message=message, hint=hint, setting="installer")


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Return the values of an INI file; lines that are none are passed over."""
    found: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            values = found.setdefault(line[1:-1], {})
        elif not line.startswith(("#", ";")):
            name, equals, value = line.partition("=")
            if equals:
                values[name.strip().lower()] = value.strip()
    return found


def _from_label(label: str) -> tuple[str, str]:
    """Return what a label such as ``CentOS-Stream-9-BaseOS-x86_64`` says."""
    known = {name for m in MACHINES.values() for name in (m.name, *m.aliases)} | _VARIANTS
    words = [word for word in re.split(r"[-\s]+", label) if word.lower() not in known]
    first = next((at for at, word in enumerate(words) if word[:1].isdigit()), len(words))
    numbers = words[first:]
    last = next((at for at, word in enumerate(numbers) if not word[:1].isdigit()), len(numbers))
    return " ".join(words[:first]), ".".join(numbers[:last])


def family(product: str) -> str | None:
    """Return what the kickstart language's versions for a product begin with; None: unknown."""
    if product.lower().startswith("fedora"):
        return "F"
    return "RHEL" if _EL.match(product) else None


def _kickstart(product: str, version: str) -> str | None:
    from ...kickstart.language import VERSIONS

    found = f"{family(product)}{version.partition('.')[0]}"
    return found if found in VERSIONS else None


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:_MAX_WORDS].strip()
