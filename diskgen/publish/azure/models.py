"""Rows of Azure: its clouds, the versions of its interfaces, and which rights a request takes.

REST references of Azure Resource Manager, Compute, Storage and Authorization; addresses of the
clouds: "Azure developer authentication and endpoints" of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# Architecture of each of ours, as a disk and an image definition have it.
ARCHITECTURES: Final[Mapping[str, str]] = MappingProxyType({"x86_64": "x64", "aarch64": "Arm64"})
GENERATIONS: Final = ("V1", "V2")  # of Hyper-V's machines: by BIOS, by UEFI

# api-version of each kind of resource.
GROUPS: Final = "2021-04-01"
LOCATIONS: Final = "2022-12-01"
PERMISSIONS: Final = "2022-04-01"
STORAGE: Final = "2023-05-01"
COMPUTE: Final = "2024-07-01"
DISKS: Final = "2024-03-02"
GALLERIES: Final = "2024-03-03"
BLOBS: Final = "2021-12-02"  # x-ms-version


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One cloud. ``authority`` is the host that AZURE_AUTHORITY_HOST names for it."""

    authority: str
    manager: str  # URL of Azure Resource Manager, to which its tokens are, too
    blobs: str  # suffix of the hosts of storage accounts


CLOUDS: Final = (
    Cloud(
        authority="login.microsoftonline.com",
        manager="https://management.azure.com",
        blobs="blob.core.windows.net",
    ),
    Cloud(
        authority="login.microsoftonline.us",
        manager="https://management.usgovcloudapi.net",
        blobs="blob.core.usgovcloudapi.net",
    ),
    Cloud(
        authority="login.chinacloudapi.cn",
        manager="https://management.chinacloudapi.cn",
        blobs="blob.core.chinacloudapi.cn",
    ),
)

# What publishing takes, by way and by what is made. Names of "Azure resource provider operations".
_DIRECT: Final = (
    "Microsoft.Compute/disks/read",
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/disks/delete",
    "Microsoft.Compute/disks/beginGetAccess/action",
    "Microsoft.Compute/disks/endGetAccess/action",
)
_IMAGE: Final = (
    "Microsoft.Compute/images/read",
    "Microsoft.Compute/images/write",
    "Microsoft.Compute/images/delete",
)
_VERSION: Final = (
    "Microsoft.Compute/galleries/read",
    "Microsoft.Compute/galleries/images/read",
    "Microsoft.Compute/galleries/images/versions/read",
    "Microsoft.Compute/galleries/images/versions/write",
    "Microsoft.Compute/galleries/images/versions/delete",
)
DEFINE: Final = "Microsoft.Compute/galleries/images/write"  # where there is no definition yet
# Counted things, as Compute's usages call them.
_DISK_COUNTS: Final = ("StandardDiskCount",)
_VERSION_COUNTS: Final = ("GalleryImageVersion",)


def rights(*, direct: bool, gallery: bool) -> tuple[str, ...]:
    """Return the operations that are needed in the resource group."""
    return (*(_DIRECT if direct else ()), *(_VERSION if gallery else _IMAGE))


def counted(*, direct: bool, gallery: bool) -> tuple[str, ...]:
    """Return of which there must be room for one more, in the words of Compute's usages."""
    return (*(_DISK_COUNTS if direct else ()), *(_VERSION_COUNTS if gallery else ()))
