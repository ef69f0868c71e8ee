"""An installer's runtime from a container image: what it must hold, and where.

Two kinds: one that holds Anaconda, by image-builder's contract for such images
("bootc-generic-iso") and what Anaconda's dracut module needs; and one that our own installer runs
in, see :mod:`diskgen.iso.runtimes.own`. Both bring a kernel, shim and GRUB, and on x86_64 GRUB's
modules for BIOS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ...arch import Machine
from ...bootloader import grub
from ...errors import Problem, SourceError
from ...initramfs import findings
from ...ostree.facts import UnfitError
from ...ostree.kernel import dracut, no_initramfs
from ...ostree.lookup import find, find_dir
from ...tree import Directory, File
from . import anaconda as anaconda_kind
from . import own

STAGE2: Final = "images/install.img"  # where dracut looks for the runtime on a medium
_MODULES: Final = "usr/lib/modules"
_ANACONDA: Final = ("usr/sbin/anaconda", "usr/bin/anaconda")
# Where distributions keep EFI programs; below each, EFI/<vendor>/ and EFI/BOOT/.
_EFI: Final = ("boot/efi/EFI", "usr/lib/efi")
# Debian's; its GRUB for media looks for this file and then for its menu in /boot/grub.
_DEBIAN_SHIM: Final = "usr/lib/shim/{}.signed"
_DEBIAN_GRUB: Final = "usr/lib/grub/{}-signed/gcd{}.efi.signed"
DEBIAN_MARK: Final = ".disk/info"
_BIOS: Final = ("boot_hybrid.img", "cdboot.img", "iso9660.mod")
_MENU_FONT: Final = "usr/share/grub/unicode.pf2"
_DRACUT: Final = "anaconda"
_FIPS: Final = "fips"
_ADD: Final = f"'{_DRACUT} {_FIPS}'"
_RELEASE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_PLACE: Final = "EFI/BOOT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What an installer's medium is made of.

    ``initrd`` is None where one has to be made. ``efi`` maps names in EFI/BOOT to programs and is
    empty without UEFI; ``menus`` are the directories where its GRUB looks for ``grub.cfg``.
    """

    anaconda: bool
    release: str  # of the kernel
    kernel: File
    initrd: File | None
    fips: bool = True  # its initramfs tests the kernel, as far as it is known
    efi: Mapping[str, File] = field(default_factory=dict[str, File])
    menus: tuple[str, ...] = ()
    bios: Directory | None  # GRUB's modules for BIOS; None: does not start by BIOS
    font: File | None
    warnings: tuple[str, ...] = ()


def examine(
    root: Directory,
    machine: Machine,
    read: findings.Examine = findings.examine,
    *,
    images: bool = True,
) -> Runtime:
    """Return what a flattened image brings for a machine's media; ``read`` reads an initramfs.

    ``images`` says whether the medium offers image mode. Raises UnfitError with everything that is
    missing at once.
    """
    anaconda = any(isinstance(find(root, path), File) for path in _ANACONDA)
    problems = (
        list(anaconda_kind.problems(root, machine, images=images))
        if anaconda
        else list(own.problems(root, machine))
    )
    if anaconda and find_dir(root, "proc") is None:
        problems.append(
            missing(
                "this image has no directory '/proc', by which an initramfs tells a root from "
                "an image inside of an image",
                "add 'RUN mkdir -p /proc' to its build",
            )
        )
    release, kernel, initrd = _kernel(root, problems)
    modules = (
        _modules(root, initrd, release, problems, read) if anaconda and kernel is not None else None
    )
    efi, menus = _efi(root, machine, problems)
    bios = _bios(root, machine, problems, needed=anaconda or not efi)
    if problems:
        raise UnfitError(problems)
    assert kernel is not None
    font = find(root, _MENU_FONT)
    warnings: list[str] = []
    if machine.bios_grub and bios is None:
        warnings.append(
            f"the installer's image has no '/usr/lib/grub/{machine.bios_grub}': the medium starts "
            "by UEFI alone"
        )
    return Runtime(
        anaconda=anaconda,
        release=release,
        kernel=kernel,
        initrd=initrd if anaconda else None,
        fips=modules is None or _FIPS in modules,
        efi=efi,
        menus=menus,
        bios=bios,
        font=font if isinstance(font, File) else None,
        warnings=tuple(warnings),
    )


def _kernel(root: Directory, problems: list[Problem]) -> tuple[str, File | None, File | None]:
    folder = find_dir(root, _MODULES)
    releases = [
        name
        for name, node in sorted(folder.entries.items() if folder is not None else ())
        if isinstance(node, Directory) and node.get_file("vmlinuz") and _RELEASE.fullmatch(name)
    ]
    if len(releases) != 1:
        found = ", ".join(f"'{name.decode()}'" for name in releases) or "none"
        problems.append(
            missing(
                f"an installer's image has one kernel '/{_MODULES}/VERSION/vmlinuz', this one has "
                f"{found}",
                "install one kernel in the image, and remove others",
            )
        )
        return "", None, None
    release = releases[0].decode()
    assert folder is not None
    kernel = folder.get_file(releases[0] + b"/vmlinuz")
    return release, kernel, folder.get_file(releases[0] + b"/initramfs.img")


def _modules(
    root: Directory,
    initrd: File | None,
    release: str,
    problems: list[Problem],
    read: findings.Examine,
) -> frozenset[str] | None:
    """Return dracut's modules in Anaconda's initramfs; None where it does not say."""
    if initrd is None or not initrd.size:
        lack = no_initramfs(root, release, add=_ADD, of=" of the installer's image")
        problems.append(missing(lack.message, lack.hint or ""))
        return None
    made_with = read(initrd).modules
    if made_with is not None and _DRACUT not in made_with:
        problems.append(
            missing(
                f"the initramfs of the installer's kernel '{release}' was made without "
                f"dracut's module '{_DRACUT}', so it would not find the installer",
                f"make one in its build: {dracut(release, _ADD)}, with the package "
                "anaconda-dracut installed",
            )
        )
    return made_with


def _efi(
    root: Directory, machine: Machine, problems: list[Problem]
) -> tuple[Mapping[str, File], tuple[str, ...]]:
    suffix = machine.efi_suffix
    if suffix is None or machine.efi_grub is None:
        return {}, ()
    names = shim_name, grub_name, mok_name = (
        f"shim{suffix}.efi", f"gcd{suffix}.efi", f"mm{suffix}.efi",
    )  # fmt: skip
    programs: dict[str, File] = {}
    for place in _EFI:
        for name, file in _programs(find_dir(root, place)):
            programs.setdefault(name, file)
    menus: tuple[str, ...] = (_PLACE,)
    if not {shim_name, grub_name} <= programs.keys():
        places = {name: _DEBIAN_SHIM.format(name) for name in (shim_name, mok_name)}
        places[grub_name] = _DEBIAN_GRUB.format(machine.efi_grub, suffix)
        debian = {
            name: node for name in names if isinstance(node := find(root, places[name]), File)
        }
        if {shim_name, grub_name} <= debian.keys():
            programs, menus = debian, (_PLACE, "boot/grub")
    shim, program = programs.get(shim_name), programs.get(grub_name)
    if shim is not None and program is not None:
        found = {f"BOOT{suffix.upper()}.EFI": shim, f"grub{suffix}.efi": program}
        if mok_name in programs:
            found[mok_name] = programs[mok_name]
        return found, menus
    try:
        facts = grub.inspect(root, machine)
    except SourceError:
        facts = None
    if facts is not None and facts.works("uefi"):
        # That of installed systems: it has its menu in its distribution's directory.
        found = {
            path.rpartition("/")[2]: file
            for path, file in facts.esp.items()
            if path.upper().startswith("BOOT/")
        }
        found.setdefault(
            f"grub{suffix}.efi", facts.esp.get(f"{facts.vendor}/grub{suffix}.efi") or File(0)
        )
        if all(file.is_regular for file in found.values()):
            return found, (_PLACE, f"EFI/{facts.vendor}")
    absent = " and no ".join(repr(n) for n in (shim_name, grub_name) if n not in programs)
    problems.append(
        missing(
            f"the installer's image has no {absent} below "
            + " or ".join(f"'/{place}'" for place in _EFI),
            f"install shim-{suffix} and grub2-efi-{suffix}-cdboot in the image (Debian: "
            f"shim-signed and grub-efi-{machine.oci}-signed)",
        )
    )
    return {}, ()


def _programs(folder: Directory | None) -> Iterator[tuple[str, File]]:
    for path, node in folder.walk() if folder is not None else ():
        if isinstance(node, File) and node.is_regular and path.endswith(b".efi"):
            yield path.rpartition(b"/")[2].decode(errors="replace").lower(), node


def _bios(
    root: Directory, machine: Machine, problems: list[Problem], *, needed: bool
) -> Directory | None:
    if machine.bios_grub is None:
        return None
    place = f"usr/lib/grub/{machine.bios_grub}"
    folder = find_dir(root, place)
    absent = [name for name in _BIOS if folder is None or folder.get_file(name) is None]
    if absent and needed:
        problems.append(
            missing(
                f"the installer's image has no '/{place}/{absent[0]}'",
                "install grub2-pc-modules (Debian: grub-pc-bin) in the image",
            )
        )
    return None if absent else folder


def missing(message: str, hint: str) -> Problem:
    """Return the problem of an installer's image that lacks something."""
    return Problem(code="installer", message=message, hint=hint, setting="installer")
