"""An installer's runtime from a container image: what it must hold, and where.

The layout is image-builder's for such images ("bootc-generic-iso"), and what Anaconda's dracut
module needs: a kernel with its initramfs, shim and GRUB for media, and on x86_64 GRUB's modules for
BIOS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..arch import Machine
from ..errors import PreflightError, Problem
from ..ostree.lookup import find, find_dir
from ..tree import Directory, File

STAGE2: Final = "images/install.img"  # where dracut looks for the runtime on a medium
_MODULES: Final = "usr/lib/modules"
_ANACONDA: Final = ("usr/sbin/anaconda", "usr/bin/anaconda")
# Where distributions keep EFI programs; below each, EFI/<vendor>/ and EFI/BOOT/.
_EFI: Final = ("boot/efi/EFI", "usr/lib/efi")
_BIOS: Final = ("boot_hybrid.img", "cdboot.img", "iso9660.mod")
_MENU_FONT: Final = "usr/share/grub/unicode.pf2"
_RELEASE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+~-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What an installer's medium is made of; ``bios`` is None where the machine has none."""

    release: str  # of the kernel
    kernel: File
    initrd: File
    shim: File | None  # None: no UEFI
    mok_manager: File | None
    grub: File | None
    bios: Directory | None
    font: File | None


def examine(root: Directory, machine: Machine) -> Runtime:
    """Return what a flattened image brings for a machine's media.

    Raises PreflightError with everything that is missing at once.
    """
    problems: list[Problem] = []
    if not any(isinstance(find(root, path), File) for path in _ANACONDA):
        problems.append(
            _missing(
                "this image holds no installer: there is no '/usr/sbin/anaconda' in it",
                "install anaconda, anaconda-dracut and anaconda-install-img-deps in the image",
            )
        )
    if find_dir(root, "proc") is None:
        problems.append(
            _missing(
                "this image has no directory '/proc', by which an initramfs tells a root from "
                "an image inside of an image",
                "add 'RUN mkdir -p /proc' to its build",
            )
        )
    release, kernel, initrd = _kernel(root, problems)
    shim, mok_manager, grub = _efi(root, machine, problems)
    bios = _bios(root, machine, problems)
    if problems:
        raise PreflightError(problems)
    assert kernel is not None
    assert initrd is not None
    font = find(root, _MENU_FONT)
    return Runtime(
        release=release,
        kernel=kernel,
        initrd=initrd,
        shim=shim,
        mok_manager=mok_manager,
        grub=grub,
        bios=bios,
        font=font if isinstance(font, File) else None,
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
            _missing(
                f"an installer's image has one kernel '/{_MODULES}/VERSION/vmlinuz', this one has "
                f"{found}",
                "install one kernel in the image, and remove others",
            )
        )
        return "", None, None
    release = releases[0].decode()
    assert folder is not None
    kernel = folder.get_file(releases[0] + b"/vmlinuz")
    initrd = folder.get_file(releases[0] + b"/initramfs.img")
    if initrd is None or not initrd.size:
        problems.append(
            _missing(
                f"kernel '{release}' of the installer's image has no initramfs beside it",
                f"make one in its build: dracut --no-hostonly --add anaconda /{_MODULES}/"
                f"{release}/initramfs.img {release}",
            )
        )
    return release, kernel, initrd


def _efi(
    root: Directory, machine: Machine, problems: list[Problem]
) -> tuple[File | None, File | None, File | None]:
    suffix = machine.efi_suffix
    if suffix is None:
        return None, None, None
    programs: dict[str, File] = {}
    for place in _EFI:
        for name, file in _programs(find_dir(root, place)):
            programs.setdefault(name, file)
    shim, grub = programs.get(f"shim{suffix}.efi"), programs.get(f"gcd{suffix}.efi")
    missing = [
        name
        for name, file in ((f"shim{suffix}.efi", shim), (f"gcd{suffix}.efi", grub))
        if file is None
    ]
    if missing:
        problems.append(
            _missing(
                f"the installer's image has no {' and no '.join(map(repr, missing))} below "
                + " or ".join(f"'/{place}'" for place in _EFI),
                f"install shim-{suffix} and grub2-efi-{suffix}-cdboot in the image",
            )
        )
    return shim, programs.get(f"mm{suffix}.efi"), grub


def _programs(folder: Directory | None) -> Iterator[tuple[str, File]]:
    for path, node in folder.walk() if folder is not None else ():
        if isinstance(node, File) and node.is_regular and path.endswith(b".efi"):
            yield path.rpartition(b"/")[2].decode(errors="replace").lower(), node


def _bios(root: Directory, machine: Machine, problems: list[Problem]) -> Directory | None:
    if machine.bios_grub is None:
        return None
    place = f"usr/lib/grub/{machine.bios_grub}"
    folder = find_dir(root, place)
    missing = [name for name in _BIOS if folder is None or folder.get_file(name) is None]
    if missing:
        problems.append(
            _missing(
                f"the installer's image has no '/{place}/{missing[0]}'",
                "install grub2-pc-modules (Debian: grub-pc-bin) in the image",
            )
        )
    return folder


def _missing(message: str, hint: str) -> Problem:
    return Problem(code="installer", message=message, hint=hint, setting="installer")
