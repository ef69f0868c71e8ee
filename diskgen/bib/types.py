"""The types of bootc-image-builder, one row each: what they are here, and the file they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

_MEDIUM: Final = "bootiso/install.iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type: a format of disks, or a medium; ``refused`` says why it cannot be made."""

    name: str
    path: str = ""  # below the output directory
    format: str | None = None  # of a disk
    medium: bool = False
    payload: bool = False  # the image is the installer, and installs another one
    refused: str = ""


_ROWS: Final = (
    Type(name="qcow2", format="qcow2", path="qcow2/disk.qcow2"),
    Type(name="raw", format="raw", path="image/disk.raw"),
    Type(name="ami", format="ami", path="image/disk.raw"),
    Type(name="vmdk", format="vmdk", path="vmdk/disk.vmdk"),
    Type(name="vhd", format="vhd", path="vpc/disk.vhd"),
    Type(name="gce", format="gce", path="gce/image.tar.gz"),
    Type(name="ova", format="ova", path="archive/image.ova"),
    Type(name="oci", format="oci", path="qcow2/disk.qcow2"),
    Type(name="anaconda-iso", medium=True, path=_MEDIUM),
    Type(name="iso", medium=True, path=_MEDIUM),
    Type(name="bootc-installer", medium=True, payload=True, path=_MEDIUM),
    Type(
        name="bootc-generic-iso",
        refused="diskgen does not read a medium's layout from an image; make 'iso', or "
        "'bootc-installer' of an image with Anaconda",
    ),
    Type(name="pxe-tar-xz", refused="diskgen makes no archives for network boot"),
)
TYPES: Final[Mapping[str, Type]] = MappingProxyType({row.name: row for row in _ROWS})
# What Podman Desktop looks for beside the name of bootc-image-builder's own: the same file.
OTHER_NAME: Final = Path("bootiso/disk.iso")


def path_of(made: Type, output: Path, *, first: bool) -> Path:
    """Return the file of a type below an output directory; ``first`` of those that are built.

    An OVA's disk takes the name of what was exported first.
    """
    path = output / made.path
    return path.with_stem("disk") if made.name == "ova" and not first else path


def manifest_of(types: tuple[Type, ...], output: Path) -> Path:
    """Return the file that says what was made."""
    return output / f"manifest-{'-'.join(made.name for made in types)}.json"
