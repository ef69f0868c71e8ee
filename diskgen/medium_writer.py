"""Writes a medium that is decided: boot files, filesystem, partition tables, checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .disk import fat
from .events import Emit, step
from .identifiers import derive_uuid, identity_seed
from .image.store import Store
from .iso.assembly import container, medium, payload, remaster
from .iso.assembly.container import Container
from .iso.assembly.medium import Parts
from .iso.assembly.plan import IsoPlan
from .iso.assembly.remaster import Original
from .iso.mastering import hybrid, mediacheck
from .iso.mastering.hybrid import Bios, Esp
from .iso.mastering.master import Mastered, Medium, master
from .tree import Directory, File, Packed
from .units import format_size
from .workspace import Workspace

_APPLICATION: Final = "DISKGEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A medium decided: all that writing it takes."""

    plan: IsoPlan
    installer: Container | Original
    ours: Directory  # what lies in our place on the medium
    product_image: bytes | None


def write(prepared: Prepared, store: Store, work: Workspace, emit: Emit) -> tuple[Path, str]:
    """Write the medium into a partial file; return that and its checksum (MD5, hex)."""
    plan = prepared.plan
    source, image = prepared.installer, prepared.product_image
    if isinstance(source, Original):
        parts = remaster.parts(source, plan, prepared.ours, image)
    else:
        parts = container.parts(source, plan, prepared.ours, image, store, work, emit)
    esp = None
    if parts.efi:
        esp_path = work.partial("efiboot.img")
        esp = _write_esp(esp_path, parts, plan)
    root, boot = medium.tree(parts, esp)
    embedded = prepared.ours.get_dir("container")
    if embedded is not None:
        with step(
            emit, "verify", "Verifying the image", total=plan.payload_bytes, unit="bytes"
        ) as phase:
            payload.verify(embedded, phase.advance)
    output = work.partial("iso")
    with step(emit, "master", "Mastering the medium") as phase:
        made = master(
            output,
            Medium(
                root=root,
                label=plan.label,
                timestamp=plan.timestamp,
                application=plan.request.application or _APPLICATION,
                publisher=plan.request.publisher or "",
                boot=boot,
            ),
        )
        if esp is not None:
            place = Esp(start=made.places[medium.EFI_IMAGE], size=esp.size)
            hybrid.make(output, seed=_seed(plan), bios=_bios(parts, made), esp=place)
        phase.detail = format_size(output.stat().st_size)
    with step(emit, "checksum", "Adding the medium's checksum"):
        md5 = mediacheck.implant(output)
    return output, md5


def _bios(parts: Parts, made: Mastered) -> Bios | None:
    """Return what BIOS starts, and where it came to lie."""
    loader = parts.bios
    if loader is None:
        return None
    return Bios(
        mbr=loader.code,
        core=made.places[loader.path],
        core_size=loader.image.size,
        loader=loader.kind,
    )


def _write_esp(path: Path, parts: Parts, plan: IsoPlan) -> File:
    """Write the EFI system partition into a file; return it as a file of the medium."""
    files = medium.esp_files(parts)
    size = medium.esp_size(files)
    with path.open("xb") as file:
        file.truncate(size)
    fat.make(
        path,
        offset=0,
        size=size,
        label="ANACONDA",
        volume_id=derive_uuid(_seed(plan), "iso esp").int >> 96,
        timestamp=plan.timestamp,
        files=files,
    )
    return _file(path)


def _seed(plan: IsoPlan) -> str:
    return identity_seed(f"{plan.digest} {plan.label} {plan.machine.name}", plan.request.seed)


def _file(path: Path) -> File:
    size = path.stat().st_size
    return File(0o100644, content=Packed(path, size, ((0, size, 0),)))
