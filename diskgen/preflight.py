"""Every reason why a build cannot work, collected and told at once, before anything is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from .arch import MACHINES, Machine
from .blueprint.keys import MEDIA
from .blueprint.summary import left_out
from .config import IsoRequest, Request
from .cut_off import cut_off
from .disk import filesystems, reflink
from .errors import PreflightError, Problem, UsageError
from .hosttools import Tool, install_command, tools_for
from .iso.assembly.plan import IsoPlan
from .layout import Role, check_multiple, least_size
from .place import PLACES
from .plan import DiskPlan
from .run import which
from .units import MIB, format_size

# What GRUB puts before the arguments: where the kernel lies, by the sum that names its directory.
_BOOT_IMAGE: Final = f"BOOT_IMAGE=(hd0,gpt3)/ostree/default-{64 * '0'}/vmlinuz "


def check_request(request: Request) -> None:
    """Check what is known before the image is fetched. Raises PreflightError, UsageError."""
    machine = MACHINES[request.arch]
    problems = list(_supported(machine, "disks"))
    uses = ["build"]
    if machine.efi_suffix:
        uses.append("efi")
    problems += missing_tools(tools_for(*uses))
    for path in dict.fromkeys(output.path for output in request.outputs):
        if path is not None:
            problems += _output(path, force=request.force)
    problems += _cache(request.cache)
    sizes = () if request.disk_size is None else tuple(_disk_size(request, machine))
    if sizes and not problems:  # alone it is as it is for an image that is known
        raise UsageError.of(sizes[0])
    if problems:
        raise PreflightError([*problems, *sizes])


def _disk_size(request: Request, machine: Machine) -> Iterator[Problem]:
    """Check a disk's size as far as no image is needed for that."""
    size = request.disk_size or 0
    sizes = {Role(role): wanted for role, wanted in request.sizes.items()}
    least = least_size(machine, request.sector_size, sizes)
    if size < least:
        yield Problem(
            code="disk-size",
            message=f"a disk of {format_size(size)} is too small: boot partitions and tables alone "
            f"take {format_size(least)}",
            hint=f"a number without a unit means bytes: write {size}G"
            if size < MIB
            else "leave it out for a size that has room for updates",
            setting="disk-size",
        )
    else:
        try:
            check_multiple(size, request.sector_size)
        except UsageError as error:
            yield Problem.of("disk-size", error)


def check_plan(plan: DiskPlan) -> None:
    """Check what follows from the plan: tools and space. Raises PreflightError."""
    request = plan.request
    if request.output is None:
        return
    kind = filesystems.KINDS[plan.image.root_filesystem]
    problems = [*missing_tools(tools_for(*plan.image.loader_tools, *kind.uses))]
    problems += kind.problems(plan.image.kernel)
    directory = request.output.absolute().parent
    problems += _space(directory, _needed(plan, directory), "this disk needs about")
    if problems:
        raise PreflightError(problems)


def _needed(plan: DiskPlan, directory: Path) -> int:
    """Return the bytes that the raw disk and the files made of it take, about."""
    disk = plan.root_bytes + plan.boot_bytes + plan.esp_bytes
    others = raw = 0
    files = {output.path: PLACES[output.format] for output in plan.request.outputs}
    for place in files.values():
        if place.converted:
            others += disk // 2  # compressed
        else:
            raw += 1
    copies = max(0, raw - 1)  # one of them is the disk itself
    return disk + others + (copies * disk if copies and not reflink.possible(directory) else 0)


def check_arguments(words: Iterable[str], machine: Machine, setting: str) -> None:
    """Refuse the arguments of an installed machine that its kernel would cut off.

    ``setting`` is the option that gives some. Raises PreflightError.
    """
    problem = cut_off(_BOOT_IMAGE + " ".join(words), machine.command_line, setting=setting)
    if problem is not None:
        raise PreflightError([problem])


def check_iso_request(request: IsoRequest) -> None:
    """Check what is known of a medium before anything is fetched. Raises PreflightError."""
    machine = MACHINES[request.arch]
    problems = list(_supported(machine, "media"))
    uses = ["fetch"]
    if machine.efi_suffix:
        uses.append("efi")
    if not isinstance(request.installer, Path):  # a vendor's medium brings these
        uses.append("iso")
        if machine.bios_grub:
            uses.append("bios")
    problems += missing_tools(tools_for(*uses))
    if request.strict:
        problems += [
            Problem(code="strict", message=text, setting="strict")
            for text in left_out(
                request.customizations,
                MEDIA,
                unattended=request.unattended is not None,
                everywhere=True,
            )
        ]
    if isinstance(request.installer, Path):
        problems += _installer(request.installer, request.output)
    if request.output is not None:
        problems += _output(request.output, force=request.force)
    problems += _cache(request.cache)
    if problems:
        raise PreflightError(problems)


def check_iso_plan(plan: IsoPlan) -> None:
    """Check what follows from a medium's plan: sizes and space.

    Raises PreflightError, UsageError.
    """
    request = plan.request
    if request.output is None:
        return
    fixed = plan.payload_bytes + plan.package_bytes + plan.base_bytes
    check_iso_size(request, fixed)
    directory = request.output.absolute().parent
    problems = list(_space(directory, fixed + plan.runtime_bytes, "this medium needs up to"))
    if problems:
        raise PreflightError(problems)


def _installer(path: Path, output: Path | None) -> Iterator[Problem]:
    """Check the file of a vendor's medium."""
    message = hint = None
    if not path.exists():
        message, hint = f"'{path}' does not exist", "name a vendor's boot.iso or DVD image"
    elif not os.access(path, os.R_OK):
        message, hint = f"'{path}' cannot be read", "make it readable for the user who runs diskgen"
    elif output is not None and output.exists() and output.samefile(path):
        message, hint = f"'{path}' is the output too", "name another output"
    if message is not None:
        yield Problem(code="installer", message=message, hint=hint, setting="installer")


def check_iso_size(request: IsoRequest, size: int) -> None:
    """Refuse a medium of more bytes than it may have. Raises UsageError."""
    if request.max_size is not None and size > request.max_size:
        raise UsageError(
            f"the medium needs at least '{format_size(size)}', it may have "
            f"'{format_size(request.max_size)}'",
            hint="leave the image in its registry (--payload remote), or take a larger medium",
            setting="max-size",
        )


def _supported(machine: Machine, what: str) -> Iterator[Problem]:
    if not machine.supported:
        names = ", ".join(m.name for m in MACHINES.values() if m.supported)
        yield Problem(
            code="architecture",
            message=f"{what} for '{machine.name}' cannot be made yet",
            hint=f"supported: {names}",
            setting="arch",
        )


def missing_tools(tools: tuple[Tool, ...]) -> Iterator[Problem]:
    """Yield a problem for each program this machine lacks."""
    for tool in tools:
        if which(*tool.names) is None:
            yield Problem(
                code="tool",
                message=f"'{tool.names[0]}' is not installed (it {tool.purpose})",
                hint=install_command((tool,)),
            )


def _output(output: Path, *, force: bool) -> Iterator[Problem]:
    directory = output.parent
    if not directory.is_dir():
        yield Problem(
            code="output", message=f"the directory '{directory}' does not exist", setting="output"
        )
    elif not os.access(directory, os.W_OK | os.X_OK):
        yield Problem(
            code="output",
            message=f"the directory '{directory}' is not writable",
            hint="choose another one",
            setting="output",
        )
    if output.is_dir():
        yield Problem(code="output", message=f"'{output}' is a directory", setting="output")
    elif output.exists() and not output.is_file():
        yield Problem(
            code="output",
            message=f"'{output}' is no regular file",
            hint="write a file, then copy it to the device with dd",
            setting="output",
        )
    elif os.path.lexists(output) and not force:  # a link to nothing is in the way, too
        yield Problem(
            code="exists",
            message=f"'{output}' exists",
            hint="give another name, or --force to replace it",
            setting="force",
        )


def _space(directory: Path, needed: int, what: str) -> Iterator[Problem]:
    free = shutil.disk_usage(directory).free
    if free < needed:
        yield Problem(
            code="space",
            message=f"'{directory}' has {format_size(free)} free, {what} {format_size(needed)}",
            hint="free some space or choose another directory",
            setting="output",
        )


def _cache(cache: Path) -> Iterator[Problem]:
    place = cache
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Problem(
            code="cache",
            message=f"the cache directory '{cache}' cannot be written",
            hint="choose another one",
            setting="cache-dir",
        )
