"""A medium whose installer is a container image: what it is made of, the runtime packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...arch import Machine
from ...bootloader import grub_bios
from ...config import IsoRequest
from ...events import Emit, step
from ...image.store import Store
from ...initramfs import findings
from ...kickstart.language import VERSIONS
from ...ostree.facts import os_release
from ...tree import Directory, File, Packed, read, regular
from ...units import format_size
from ...workspace import Workspace
from ..runtimes import anaconda, initramfs, own, packed
from ..runtimes import runtime as runtimes
from ..runtimes.runtime import Runtime
from . import medium
from .medium import BiosLoader, Parts
from .plan import Installer, IsoPlan, language_of

_PROGRAMS: Final = "EFI/BOOT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An installer's container, read."""

    installer: Installer
    runtime: Runtime
    root: Directory
    timestamp: int  # of its image


def examine(
    request: IsoRequest,
    machine: Machine,
    root: Directory,
    timestamp: int,
    digest: str,
    read: findings.Examine,
) -> Container:
    """Return what an installer's root, of the image with a digest, brings.

    Raises UnfitError with all that is missing.
    """
    runtime = runtimes.examine(root, machine, read, images="image" in request.modes)
    release = os_release(root)
    language = language_of(release if runtime.anaconda else {}, VERSIONS)
    installer = Installer(
        title="Anaconda" if runtime.anaconda else "diskgen's own",
        anaconda=runtime.anaconda,
        kernel=runtime.release,
        language=request.kickstart_version or language,
        identity=digest if runtime.anaconda else f"{digest} {own.fingerprint()}",
        release=release,
        kargs=anaconda.arguments(root) if runtime.anaconda else machine.consoles,
        fips=runtime.anaconda and runtime.fips,
        stamped=root.get(anaconda.BUILD_STAMP) is not None,
        runtime_bytes=root_size(root),
        warnings=runtime.warnings,
    )
    return Container(installer=installer, runtime=runtime, root=root, timestamp=timestamp)


def root_size(root: Directory | None) -> int:
    """Return the bytes of all files of a tree, each inode once."""
    if root is None:
        return 0
    files = {node for _path, node in root.walk() if isinstance(node, File)}
    return sum(file.size for file in files)


def parts(
    container: Container,
    plan: IsoPlan,
    ours: Directory,
    product_image: bytes | None,
    store: Store,
    work: Workspace,
    emit: Emit,
) -> Parts:
    """Pack the runtime and return what the medium is made of. Raises DiskgenError."""
    runtime, root = container.runtime, container.root
    (anaconda if runtime.anaconda else own).add_to(root)
    with step(emit, "runtime", "Packing the installer", unit="bytes") as phase:
        # Of the installer's time, not the payload's: another payload does not change it.
        stage2, known = packed.make(
            store, root, timestamp=container.timestamp, advance=phase.advance
        )
        size = stage2.stat().st_size
        phase.detail = format_size(size) + (", from the cache" if known else "")
    efi = {f"{_PROGRAMS}/{name}": file for name, file in runtime.efi.items()}
    if efi and runtime.font is not None:
        efi[f"{_PROGRAMS}/fonts/unicode.pf2"] = runtime.font
    return Parts(
        machine=plan.machine,
        choices=plan.choices,
        product=plan.product,
        version=plan.version,
        timestamp=plan.timestamp,
        tree_info=not (runtime.anaconda and plan.choices.packages and not plan.request.packages),
        kernel=runtime.kernel,
        initrd=runtime.initrd
        or regular(initramfs.make(root, runtime.release, plan.timestamp, ours)),
        stage2=File(0o100644, content=Packed(stage2, size, ((0, size, 0),))),
        product_image=product_image,
        own=not runtime.anaconda,
        efi=efi,
        menus=tuple(f"{place}/grub.cfg" for place in runtime.menus),
        bios=_bios(runtime, plan, work),
        ours=ours,
    )


def _bios(runtime: Runtime, plan: IsoPlan, work: Workspace) -> BiosLoader | None:
    if runtime.bios is None or plan.machine.bios_grub is None:
        return None
    core = grub_bios.medium_image(
        runtime.bios, plan.machine.bios_grub, f"/{medium.GRUB_PLACE}", work.scratch
    )
    code = runtime.bios.get_file("boot_hybrid.img")
    assert code is not None
    assert code.content is not None
    return BiosLoader(
        kind="grub",
        path=medium.CORE_IMAGE,
        image=regular(core),
        code=read(code.content),
        modules=runtime.bios,
    )
