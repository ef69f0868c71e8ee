"""Whether a vendor's medium can become one of ours: by what is asked for, and by what is on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...arch import Machine
from ...config import IsoRequest
from ...errors import Problem, UsageError
from ...tree import Directory, File, Node
from ...units import MIB, format_size
from ..mastering.names import check_label
from ..vendors import vendor
from ..vendors.vendor import Vendor
from . import medium

ISOLINUX: Final = "isolinux/isolinux.bin"
_MAX_NAME: Final = 255
_MAX_ARGUMENTS: Final = 1000  # characters; kernels take 2048 in all
_LOADER_SIZES: Final = (4096, 16 * MIB)  # of what BIOS starts
_MEMORY: Final = 1024 * MIB  # of kernel and initramfs, which are loaded as a whole
# What knows the kickstart command ostreecontainer: Anaconda 38.23 and 34.25.4.3.
_LEAST: Final = {"F": (38,), "RHEL": (9, 4)}
_NAMES: Final = {"F": "Fedora 38", "RHEL": "RHEL 9.4 and what is built from it"}
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_.+~ /-]+")


def unfit(request: IsoRequest, machine: Machine, found: Vendor) -> Iterator[Problem]:
    """Yield why what is asked for cannot be made of this medium."""
    path = request.installer
    if found.machine.name != machine.name:
        yield _problem(
            f"'{path}' is for {found.machine.name}, the medium is to be for {machine.name}",
            f"name the vendor's medium for {machine.name}, or give --arch {found.machine.name}",
            setting="arch",
        )
    if any(w == "rd.live.image" or w.startswith("root=live:") for w in found.arguments):
        yield _problem(
            f"'{path}' is a live medium, whose installer cannot be told what to install",
            "use a boot.iso (netinst) or DVD of the same distribution",
        )
    family, release = vendor.family(found.product), numbers(found.version)
    least = _LEAST.get(family or "")
    if "image" in request.modes and least and release and release < least[: len(release)]:
        yield _problem(
            f"Anaconda of '{found.product} {found.version}' cannot install images",
            f"use a medium of {_NAMES[family or '']}, or later; or --mode package",
        )


def unusable(path: Path, found: Vendor, root: Directory) -> Iterator[Problem]:
    """Yield what is on a medium that no vendor's has, and that a new one could not have."""
    again = "use the vendor's boot.iso or DVD as it was published"
    for raw, node in root.walk():
        name = raw.rpartition(b"/")[2]
        try:
            name.decode()
            node.target.decode() if isinstance(node, File) else ""
        except UnicodeDecodeError:
            name = b""
        if not 0 < len(name) <= _MAX_NAME:
            where = raw[:_MAX_NAME].decode(errors="backslashreplace")
            yield _problem(f"'{path}' has a file '{where}', which a medium cannot have", again)
            break
    for place in ("images", "EFI/BOOT", "boot/grub2", "isolinux"):
        if blocked := _blocked(root, medium.spelled(root, place)):
            yield _problem(f"'{path}' has '{blocked}', which is no directory", again)
    for where in (found.kernel, found.initrd):
        file = root.get_file(where)
        if file is not None and file.size > _MEMORY:
            yield _problem(
                f"'{path}' has a '{where}' of {format_size(file.size)}, which no machine loads",
                again,
            )
    where = {"grub": medium.CORE_IMAGE, "isolinux": ISOLINUX}.get(found.style, "")
    loader = root.get_file(where) if where else None
    least, most = _LOADER_SIZES
    if loader is not None and not least <= loader.size <= most:
        yield _problem(f"'{path}' has a '{where}' of {loader.size} bytes, which is none", again)
    for program in found.esp:
        if not _PROGRAM.fullmatch(program):
            yield _problem(f"'{path}' has a file {program!r} in its EFI image", again)
    if sum(len(word) + 1 for word in found.arguments) > _MAX_ARGUMENTS:
        yield _problem(f"the menu of '{path}' has more arguments than a kernel takes", again)


def label_problems(path: Path, old: str, new: str) -> Iterator[Problem]:
    """Yield why a label that was the vendor's cannot be that of a new medium."""
    try:
        check_label(new)
    except UsageError as error:
        if new == old:
            yield Problem(
                code="label",
                message=f"{error.message}; it is that of '{path}'",
                hint="name another one",
                setting="label",
            )


def _blocked(root: Directory, place: str) -> str | None:
    """Return the part of a path that is there and no directory."""
    names = place.split("/")
    for count in range(1, len(names) + 1):
        node: Node | None = root.get("/".join(names[:count]))
        if node is not None and not isinstance(node, Directory):
            return "/".join(names[:count])
    return None


def numbers(version: str) -> tuple[int, ...]:
    """Return the one or two numbers that a version begins with."""
    found = re.match(r"\d{1,4}(?:\.\d{1,4})?", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _problem(message: str, hint: str, setting: str = "installer") -> Problem:
    return Problem(code="installer", message=message, hint=hint, setting=setting)
