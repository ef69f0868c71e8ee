"""What an image of Azure is to be: checked before anything is sent.

Names and limits: "Naming rules and restrictions for Azure resources", "Use tags to organize your
Azure resources", and Azure's page on preparing disks for upload.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import UsageError
from ...units import GIB, MIB
from ..fitting import Unfit, of_machines, of_sectors
from ..publication import DiskFile
from .models import ARCHITECTURES, GENERATIONS

_LARGEST: Final = 4095 * GIB
_SMALLEST: Final = 20 * MIB  # of a managed disk that is uploaded to
_LARGEST_V1: Final = 2048 * GIB  # its partition table is found by BIOS
_TAGS, _KEY, _VALUE = 50, 512, 256
_REPLICAS: Final = 100
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NUMBER: Final = 2**31 - 1
_SUBSCRIPTION: Final = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Name:
    """A kind of name: what it is called, its shape, and that in words."""

    text: str
    shape: re.Pattern[str]
    hint: str


def _shape(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


# By the option that has it.
_NAMES: Final = {
    "azure-image": _Name(
        "an image",
        _shape(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"),
        "1 to 80 letters, digits, dots, dashes and underscores",
    ),
    "resource-group": _Name(
        "a resource group",
        re.compile(r"[\w().-]{0,89}[\w()-]"),
        "1 to 90 letters, digits and -_().; no dot at the end",
    ),
    "location": _Name("a region", _shape(r"[a-z0-9]{2,}"), "such as westeurope"),
    "copy-to": _Name("a region", _shape(r"[a-z0-9]{2,}"), "such as westeurope"),
    "gallery": _Name(
        "a gallery",
        _shape(r"[A-Za-z0-9]([A-Za-z0-9._]{0,78}[A-Za-z0-9])?"),
        "1 to 80 letters, digits, dots and underscores",
    ),
    "image-version": _Name("a version", _shape(r"\d{1,10}\.\d{1,10}\.\d{1,10}"), "such as 1.0.0"),
    "identifier": _Name(
        "an identifier",
        _shape(r"[\w.-]{1,128}:[\w.-]{1,64}:[\w.-]{1,64}"),
        "PUBLISHER:OFFER:SKU",
    ),
    "storage-account": _Name(
        "a storage account", _shape(r"[a-z0-9]{3,24}"), "3 to 24 small letters and digits"
    ),
    "container": _Name(
        "a container",
        _shape(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*"),
        "3 to 63 small letters, digits and single dashes",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. Making one raises UsageError for what Azure would not take.

    Without a gallery it is a managed image; with one, a version of the image definition ``name``.
    """

    name: str
    group: str
    subscription: str
    location: str | None = None  # None: the resource group's
    gallery: str | None = None
    version: str | None = None
    identifier: str | None = None  # of an image definition that is to be made
    copy_to: tuple[str, ...] = ()  # further regions of a gallery's version
    replicas: int = 1  # in each region
    generation: str | None = None  # None: by what can start the disk
    tags: tuple[tuple[str, str], ...] = ()
    storage_account: str | None = None  # by a page blob in it; None: by a managed disk
    container: str = "vhds"

    def __post_init__(self) -> None:
        for setting, value in (
            ("azure-image", self.name),
            ("resource-group", self.group),
            ("location", self.location),
            *(("copy-to", region) for region in self.copy_to),
            ("gallery", self.gallery),
            ("image-version", self.version),
            ("identifier", self.identifier),
            ("storage-account", self.storage_account),
            ("container", self.container),
        ):
            kind = _NAMES[setting]
            if value is not None and not kind.shape.fullmatch(value):
                raise UsageError(
                    f"'{value}' is no name of {kind.text}", hint=kind.hint, setting=setting
                )
        if not _SUBSCRIPTION.fullmatch(self.subscription):
            raise UsageError(
                f"'{self.subscription}' is no identifier of a subscription",
                hint="az account list shows those of a log-in",
                setting="subscription",
            )
        self._check_gallery()
        self._check_tags()

    def _check_gallery(self) -> None:
        if self.gallery is None:
            for setting, value in (
                ("image-version", self.version),
                ("identifier", self.identifier),
                ("copy-to", self.copy_to),
                ("replicas", self.replicas != 1),
            ):
                if value:
                    raise UsageError(
                        f"--{setting} is of a version in a gallery, and none is named",
                        hint="name one",
                        setting="gallery",
                    )
            return
        if self.version is None:
            raise UsageError(
                f"no version of '{self.name}' is named", hint="such as 1.0.0",
                setting="image-version",
            )  # fmt: skip
        if any(int(part) > _NUMBER for part in self.version.split(".")):
            raise UsageError(
                f"'{self.version}' is no name of a version",
                hint=f"its numbers are up to {_NUMBER}",
                setting="image-version",
            )
        if not 1 <= self.replicas <= _REPLICAS:
            raise UsageError(
                f"'{self.replicas}' is no number of replicas", hint=f"1 to {_REPLICAS}",
                setting="replicas",
            )  # fmt: skip
        if self.location in self.copy_to:
            raise UsageError(f"'{self.location}' gets the version itself", setting="copy-to")

    def _check_tags(self) -> None:
        keys = [key for key, _value in self.tags]
        for key, value in self.tags:
            foreign = set(key) & set("<>%&\\?/")
            ours = not key.lower().startswith(("microsoft", "azure", "windows"))
            if not (0 < len(key) <= _KEY and len(value) <= _VALUE and ours and not foreign):
                raise UsageError(
                    f"'{key}={value}' is no tag",
                    hint=f"keys have 1 to {_KEY} characters but <>%&\\?/, and do not begin with "
                    f"microsoft, azure or windows; values have {_VALUE}",
                    setting="tag",
                )
        if len({key.lower() for key in keys}) < len(keys):
            raise UsageError("a tag is given twice", setting="tag")
        if len(keys) > _TAGS:
            raise UsageError(f"Azure takes {_TAGS} tags", setting="tag")

    def generation_of(self, disk: DiskFile) -> str:
        """Return the generation of the machines for a disk."""
        if self.generation is not None:
            return self.generation
        bios_alone = "bios" in disk.firmware and not disk.firmware & {"uefi", "secureboot"}
        return "V1" if bios_alone and disk.arch == "x86_64" else "V2"

    def identity(self, disk: DiskFile) -> tuple[str, str, str]:
        """Return publisher, offer and SKU of an image definition."""
        if self.identifier is not None:
            publisher, offer, sku = self.identifier.split(":")
            return publisher, offer, sku
        assert disk.arch is not None
        return "diskgen", self.name[:64], f"{ARCHITECTURES[disk.arch]}-{self.generation_of(disk)}"


def name_of(text: str) -> str:
    """Return a name for an image that is made of any text; it may be no name yet."""
    return _FOREIGN.sub("-", text).strip(".-_")[:80].rstrip(".-")


def region_of(text: str) -> str:
    """Return a region as Azure calls it, also where it is written as people read it."""
    return text.replace(" ", "").lower()


def check_disk(disk: DiskFile, wanted: Wanted) -> None:
    """Refuse a disk that Azure does not take, by name. Raises UsageError."""
    for problem, hint, setting in _unfit(disk, wanted):
        raise UsageError(problem, hint=hint, setting=setting)


def _unfit(disk: DiskFile, wanted: Wanted) -> Iterator[Unfit]:
    path = disk.path
    if disk.format != "vhd":
        yield (
            f"'{path}' is a disk of the format {disk.format}, and Azure takes a fixed VHD",
            "make it by diskgen vhd, or by qemu-img convert -O vpc -o subformat=fixed,force_size",
            None,
        )
    if disk.size % MIB:
        yield (
            f"'{path}' is a disk of {disk.size} bytes, and Azure takes whole MiB",
            "make it by diskgen vhd, or with qemu-img's option force_size",
            None,
        )
    yield from of_sectors(disk, "Azure's disks")
    if disk.size < _SMALLEST and wanted.storage_account is None:
        yield f"'{path}' is smaller than the 20 MiB of a managed disk", None, None
    if disk.size > _LARGEST:
        yield f"'{path}' is larger than the 4095 GiB that Azure starts from", None, None
    yield from _unfit_machines(disk, wanted)


def _unfit_machines(disk: DiskFile, wanted: Wanted) -> Iterator[Unfit]:
    path = disk.path
    yield from of_machines(disk, "Azure", ARCHITECTURES)
    if disk.arch not in ARCHITECTURES:
        return
    generation = wanted.generation_of(disk)
    assert generation in GENERATIONS
    if disk.arch == "aarch64" and wanted.gallery is None:
        yield (
            "a managed image is of x86_64 alone, and the disk is of aarch64",
            "images in galleries have an architecture: name a gallery",
            "gallery",
        )
    if disk.arch == "aarch64" and generation == "V1":
        yield "machines of aarch64 are of generation V2", None, "generation"
    needed = {"V1": {"bios"}, "V2": {"uefi", "secureboot"}}[generation]
    if disk.firmware and not disk.firmware & needed:
        yield (
            f"machines of generation {generation} start by "
            f"{'BIOS' if generation == 'V1' else 'UEFI'}, and '{path}' does not",
            "choose the other one",
            "generation",
        )
    if generation == "V1" and disk.size > _LARGEST_V1:
        yield f"'{path}' is larger than the 2 TiB of generation V1", None, "generation"
