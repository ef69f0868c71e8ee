"""What an image of Compute Engine is to be: checked before anything is sent.

Names, labels and limits: the API references of Compute Engine (images.insert, v1) and of Cloud
Storage (bucket names); Google's "Requirements for building custom images".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import UsageError
from ...units import GIB, format_size
from ..fitting import Unfit, of_machines, of_sectors
from ..publication import DiskFile
from .models import ARCHITECTURES, CONFIDENTIAL, FEATURES, UEFI, USUAL

_DESCRIPTION: Final = 2048  # characters
_LABELS: Final = 64
_LABEL: Final = 63  # characters of a key, and of a value
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_PROJECT: Final = re.compile(r"([a-z0-9][-a-z0-9.]*:)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_BUCKET: Final = re.compile(r"[a-z0-9][-_a-z0-9.]{1,220}[a-z0-9]", re.ASCII)
_LOCATION: Final = re.compile(r"[a-z]+(-[a-z]+[0-9]+)?", re.ASCII)
_FOREIGN: Final = re.compile(r"[^a-z0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for an image. Making one raises UsageError for what Google would not take."""

    name: str
    bucket: str
    project: str | None = None  # None: as the user's configuration has it
    description: str = ""
    family: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    location: str | None = None  # of the image; None: the one nearest to the bucket
    features: tuple[str, ...] = ()  # of the guest, beside those that the disk has anyway
    keep_object: bool = False

    def __post_init__(self) -> None:
        for setting, text, pattern, what, hint in (
            ("gcp-image", self.name, _NAME, "name of an image", _NAME_RULE),
            ("family", self.family, _NAME, "family of images", _NAME_RULE),
            ("bucket", self.bucket, _BUCKET, "name of a bucket",
             "3 to 222 small letters, digits, dots, dashes and underscores"),
            ("project", self.project, _PROJECT, "project", "its ID, such as my-project-1"),
            ("storage-location", self.location, _LOCATION, "location",
             "a region such as europe-west3, or eu, us, asia"),
        ):  # fmt: skip
            if text is not None and not pattern.fullmatch(text):
                raise UsageError(f"'{text}' is no {what}", hint=hint, setting=setting)
        if len(self.description) > _DESCRIPTION:
            raise UsageError(
                f"the description has {len(self.description)} characters, of which Google takes "
                f"{_DESCRIPTION}",
                setting="description",
            )
        for feature in self.features:
            if feature not in FEATURES:
                raise UsageError(
                    f"'{feature}' is no feature of a guest",
                    hint="there are " + ", ".join(FEATURES),
                    setting="guest-os-feature",
                )
        self._check_labels()

    def _check_labels(self) -> None:
        for key, value in self.labels:
            if not _is_label(key) or not key[:1].isalpha() or not _is_label(value, empty=True):
                raise UsageError(
                    f"'{key}={value}' is no label",
                    hint=f"at most {_LABEL} small letters, digits, dashes and underscores each; "
                    "the key begins with a letter",
                    setting="label",
                )
        keys = [key for key, _value in self.labels]
        if len(set(keys)) < len(keys):
            raise UsageError("a label is given twice", setting="label")
        if len(keys) > _LABELS:
            raise UsageError(f"Google takes {_LABELS} labels", setting="label")

    def features_of(self, disk: DiskFile) -> tuple[str, ...]:
        """Return what Google is told that a disk's guest can do, in the order of the alphabet.

        Where nothing says how the disk starts, UEFI is supposed: all machines have it.
        """
        by_bios_alone = disk.arch == "x86_64" and "bios" in disk.firmware
        uefi = "uefi" in disk.firmware or not by_bios_alone
        return tuple(sorted({*USUAL, *self.features, *((UEFI,) if uefi else ())}))


_NAME_RULE: Final = (
    "1 to 63 small letters, digits and dashes; a letter comes first, and no dash last"
)


def _is_label(text: str, *, empty: bool = False) -> bool:
    if len(text) > _LABEL or text != text.lower():
        return False
    return (empty or bool(text)) and all(one.isalnum() or one in "-_" for one in text)


def name_of(text: str) -> str:
    """Return a name for an image that is made of any text."""
    name = _FOREIGN.sub("-", text.lower()).strip("-")
    if not name[:1].isalpha():
        name = f"image-{name}"
    return name[:63].rstrip("-")


def check_disk(disk: DiskFile, wanted: Wanted) -> None:
    """Refuse a disk that Compute Engine does not take, by name. Raises UsageError."""
    for problem, hint, setting in _unfit(disk, wanted):
        raise UsageError(problem, hint=hint, setting=setting)


def _unfit(disk: DiskFile, wanted: Wanted) -> Iterator[Unfit]:
    if disk.format != "gce":
        yield (
            f"'{disk.path}' is a disk of the format {disk.format}, and Google takes an archive",
            "make it by diskgen gce",
            None,
        )
    yield from of_machines(disk, "Google", ARCHITECTURES)
    yield from of_sectors(disk, "Google's disks")
    if disk.size % GIB:
        yield (
            f"the disk in '{disk.path}' has {format_size(disk.size)}, and Google takes whole GiB",
            "make it by diskgen gce",
            None,
        )
    chosen = [one for one in wanted.features_of(disk) if one in CONFIDENTIAL]
    if chosen and (disk.arch != "x86_64" or UEFI not in wanted.features_of(disk)):
        yield (
            f"{chosen[0]} is of machines of x86_64 that start by UEFI",
            None,
            "guest-os-feature",
        )
