"""What an AMI is to be: checked before anything is sent, by the rules of EC2's own models.

Names, enums and limits: the API references of EC2 (RegisterImage, version 2016-11-15) and of EBS
direct (StartSnapshot, version 2019-11-02).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...errors import UsageError
from ...units import GIB
from ..fitting import Unfit, of_machines, of_sectors
from ..publication import DiskFile
from .models import ARCHITECTURES

_LARGEST: Final = 65536 * GIB
_DESCRIPTION: Final = 255  # characters
_TAGS: Final = 50
_KEY, _VALUE = 128, 256  # characters of a tag
_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}", re.ASCII)
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", re.ASCII)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for an AMI. Making one raises UsageError for what EC2 would not take."""

    name: str
    region: str | None = None  # None: as the user's configuration has it
    profile: str | None = None
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    boot_mode: str | None = None  # None: by what can start the disk
    tpm: bool = False
    imds_v1: bool = False
    encrypted: bool = False
    kms_key: str | None = None
    share_with: tuple[str, ...] = ()  # accounts
    copy_to: tuple[str, ...] = ()  # regions
    bucket: str | None = None  # by way of it, and of the role
    role: str = "vmimport"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"'{self.name}' is no name of an AMI",
                hint="3 to 128 letters, digits, spaces and ()[]./-'@_",
                setting="ami-name",
            )
        for setting, regions in (("region", (self.region,)), ("copy-to", self.copy_to)):
            for region in regions:
                if region is not None and not _REGION.fullmatch(region):
                    raise UsageError(
                        f"'{region}' is no name of a region",
                        hint="such as eu-central-1",
                        setting=setting,
                    )
        for account in self.share_with:
            if not _ACCOUNT.fullmatch(account):
                raise UsageError(
                    f"'{account}' is no account", hint="12 digits", setting="share-with"
                )
        if len(self.description) > _DESCRIPTION:
            raise UsageError(
                f"the description has {len(self.description)} characters, of which EC2 takes "
                f"{_DESCRIPTION}",
                setting="description",
            )
        self._check_tags()
        self._check_combinations()

        if self.bucket is not None and not _BUCKET.fullmatch(self.bucket):
            raise UsageError(
                f"'{self.bucket}' is no name of a bucket",
                hint="3 to 63 small letters, digits, dots and dashes",
                setting="bucket",
            )

    def _check_tags(self) -> None:
        keys = [key for key, _value in self.tags]
        wrong = next(
            (
                (key, value)
                for key, value in self.tags
                if not 0 < len(key) <= _KEY or len(value) > _VALUE or key.startswith("aws:")
            ),
            None,
        )
        if wrong is not None:
            raise UsageError(
                f"'{'='.join(wrong)}' is no tag",
                hint=f"keys have 1 to {_KEY} characters and do not begin with aws:, values have "
                f"{_VALUE}",
                setting="tag",
            )
        if len(set(keys)) < len(keys):
            raise UsageError("a tag is given twice", setting="tag")
        if len(self.all_tags) > _TAGS:
            raise UsageError(f"EC2 takes {_TAGS} tags", setting="tag")

    def _check_combinations(self) -> None:
        if self.kms_key is not None and not self.encrypted:
            raise UsageError(
                f"the key '{self.kms_key}' would encrypt nothing",
                hint="give --encrypted as well",
                setting="encrypted",
            )
        if self.encrypted and self.kms_key is None and self.share_with:
            raise UsageError(
                "what is encrypted with an account's own default key cannot be shared",
                hint="name a key that the other accounts may use",
                setting="kms-key",
            )
        if self.tpm and self.boot_mode not in (None, "uefi"):
            raise UsageError(
                f"a TPM needs boot mode uefi, not '{self.boot_mode}'", setting="boot-mode"
            )
        if self.region is not None and self.region in self.copy_to:
            raise UsageError(f"'{self.region}' gets the AMI itself", setting="copy-to")

    @property
    def all_tags(self) -> tuple[tuple[str, str], ...]:
        """The tags, with a name for the lists of EC2's console unless there is one."""
        named = any(key == "Name" for key, _value in self.tags)
        return self.tags if named else (("Name", self.name), *self.tags)

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """All tags as each API of AWS is told them."""
        return [{"Key": key, "Value": value} for key, value in self.all_tags]

    @property
    def about(self) -> str:
        """What is said of an AMI and of what it is made of."""
        return self.description or self.name

    def encryption(self, key: str) -> dict[str, Any]:
        """Return what an API is told of encryption, to which the key is ``key``."""
        said: dict[str, Any] = {"Encrypted": True} if self.encrypted else {}
        return said if self.kms_key is None else {**said, key: self.kms_key}

    def boots_by(self, disk: DiskFile) -> str:
        """Return the boot mode for a disk."""
        if self.boot_mode is not None:
            return self.boot_mode
        uefi, bios = "uefi" in disk.firmware, "bios" in disk.firmware
        if self.tpm or disk.arch != "x86_64" or (uefi and not bios):
            return "uefi"
        return "legacy-bios" if bios and not uefi else "uefi-preferred"


def name_of(text: str) -> str:
    """Return a name for an AMI that is made of any text; it may be no name yet."""
    return _FOREIGN.sub("-", text)[:128]


def check_disk(disk: DiskFile) -> None:
    """Refuse a disk that EC2 does not take, by name. Raises UsageError."""
    for problem, hint, setting in _unfit(disk):
        raise UsageError(problem, hint=hint, setting=setting)


def _unfit(disk: DiskFile) -> Iterator[Unfit]:
    if disk.format not in ("raw", "ami"):
        yield (
            f"'{disk.path}' is a disk of the format {disk.format}, and EC2 takes a raw one",
            "make it by diskgen ami, or by qemu-img convert -O raw",
            None,
        )
    yield from of_machines(disk, "EC2", ARCHITECTURES)
    yield from of_sectors(disk, "EC2's volumes")
    if disk.size > _LARGEST:
        yield f"'{disk.path}' is larger than the 64 TiB of EC2's volumes", None, None
