"""Where a disk of each format goes: what that place wants of a disk, one row each. Data only.

Ignition platform identifiers: Ignition's documentation, "Supported Platforms". Sizes and sectors:
the documentation of each vendor on importing disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from .units import GIB, MIB, TIB

_EVERY_SECTOR: Final = (512, 4096)
_CLOUD_ARCHITECTURES: Final = ("x86_64", "aarch64")
_FIRMWARE: Final = ("uefi", "secureboot", "bios")
_VIRTIO: Final = (("virtio_blk",), ("virtio_scsi",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One format and where its disks run; sizes in bytes. Drivers are sets that belong together."""

    format: str
    suffix: str  # of the file
    title: str  # as people call the place
    text: str  # of the command's help
    platform: str  # as Ignition calls it
    grain: int = 512  # the disk's size is a multiple
    largest: int | None = None  # a disk may be
    sector_sizes: tuple[int, ...] = (512,)
    architectures: tuple[str, ...] | None = None  # None: all
    # What finds the root there: all modules of the kernel of one of the sets.
    drivers: tuple[tuple[str, ...], ...] = ()
    # What reaches the network there, which Ignition needs before the root is mounted. Empty: it has
    # its configuration from elsewhere.
    network: tuple[tuple[str, ...], ...] = ()
    ways: tuple[str, ...] = ()  # one of which its machines start by; empty: any
    # Kernel arguments: consoles by architecture, where they are others than its usual ones, and
    # what makes disks and devices of the place work as they should.
    consoles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    kargs: tuple[str, ...] = ()
    cloud: bool = False  # hands keys and accounts to machines
    converted: bool = True  # needs room for a second file beside the raw disk
    plain: bool = False  # its file is the raw disk and nothing else
    compression: str = "zstd"  # of a qcow2 in it, unless the user wants another
    writer: str | None = None  # module of ``formats``; None: the one that is called as the format


_ROWS: Final = (
    Place(
        format="qcow2",
        suffix="qcow2",
        title="QEMU",
        text="make a qcow2 disk (QEMU, KVM, libvirt, OpenStack)",
        platform="qemu",
        sector_sizes=_EVERY_SECTOR,
    ),
    Place(
        format="raw",
        suffix="raw",
        title="a machine of its own",
        text="make a raw disk (bare metal by dd, and every cloud that takes raw)",
        platform="metal",
        sector_sizes=_EVERY_SECTOR,
        converted=False,
        plain=True,
    ),
    Place(
        format="ami",
        suffix="ami.raw",
        title="Amazon EC2",
        text="make a disk for Amazon EC2 (raw, a whole number of GiB)",
        platform="aws",
        grain=GIB,
        largest=65536 * GIB,
        architectures=_CLOUD_ARCHITECTURES,
        drivers=(("nvme",),),
        network=(("ena",),),
        ways=_FIRMWARE,
        consoles=MappingProxyType({"aarch64": ("console=tty0", "console=ttyS0,115200n8")}),
        kargs=("nvme_core.io_timeout=4294967295",),  # its volumes may be away for a while
        cloud=True,
        converted=False,
        plain=True,
        writer="raw",
    ),
    Place(
        format="vhd",
        suffix="vhd",
        title="Azure",
        text="make a fixed VHD (Azure, Hyper-V)",
        platform="azure",
        grain=MIB,
        largest=4095 * GIB,
        architectures=_CLOUD_ARCHITECTURES,
        drivers=(("hv_vmbus", "hv_storvsc"),),
        network=(("hv_vmbus", "hv_netvsc"),),
        ways=_FIRMWARE,
        cloud=True,
        converted=False,
    ),
    Place(
        format="gce",
        suffix="tar.gz",
        title="Google Compute Engine",
        text="make an archive of a disk for Google Compute Engine",
        platform="gcp",
        grain=GIB,
        architectures=_CLOUD_ARCHITECTURES,
        drivers=(("virtio_pci", "virtio_scsi"), ("nvme",)),
        network=(("virtio_pci", "virtio_net"), ("gve",)),
        ways=_FIRMWARE,
        consoles=MappingProxyType(
            {
                "x86_64": ("console=ttyS0,38400n8d",),
                "aarch64": ("console=ttyAMA0,115200n8", "console=ttyS0,115200n8"),
            }
        ),
        cloud=True,
    ),
    Place(
        format="vmdk",
        suffix="vmdk",
        title="VMware",
        text="make a streamOptimized VMDK (VMware vSphere, VirtualBox)",
        platform="vmware",
        largest=62 * TIB,
        architectures=_CLOUD_ARCHITECTURES,
        ways=_FIRMWARE,
        drivers=(("vmw_pvscsi",), ("mptspi",)),
    ),
    Place(
        format="ova",
        suffix="ova",
        title="VMware",
        text="make an OVA, a machine with its disk (VMware vSphere, VirtualBox)",
        platform="vmware",
        largest=62 * TIB,
        architectures=("x86_64",),
        ways=("uefi", "secureboot"),  # its description says so
        drivers=(("vmw_pvscsi",),),
    ),
    Place(
        format="vhdx",
        suffix="vhdx",
        title="Hyper-V",
        text="make a dynamic VHDX (Hyper-V)",
        platform="hyperv",
        grain=MIB,
        largest=64 * TIB,
        architectures=_CLOUD_ARCHITECTURES,
        drivers=(("hv_vmbus", "hv_storvsc"),),
        ways=_FIRMWARE,
        consoles=MappingProxyType(dict.fromkeys(_CLOUD_ARCHITECTURES, ("console=tty0",))),
    ),
    Place(
        format="oci",
        suffix="oci.qcow2",
        title="Oracle Cloud",
        text="make a qcow2 disk for Oracle Cloud Infrastructure",
        platform="oraclecloud",
        grain=GIB,
        architectures=_CLOUD_ARCHITECTURES,
        drivers=(("virtio_pci", "virtio_scsi"),),
        network=(("virtio_pci", "virtio_net"), ("mlx5_core",)),
        ways=_FIRMWARE,
        cloud=True,
        compression="zlib",
        writer="qcow2",
    ),
    Place(
        format="containerdisk",
        suffix="containerdisk.tar",
        title="KubeVirt",
        text="make a container image that holds a disk, as an OCI archive (KubeVirt)",
        platform="kubevirt",
        drivers=_VIRTIO,
        cloud=True,
    ),
    Place(
        format="vagrant",
        suffix="box",
        title="Vagrant",
        text="make a box for Vagrant's provider libvirt",
        platform="qemu",
        architectures=_CLOUD_ARCHITECTURES,
        drivers=_VIRTIO,
    ),
)

PLACES: Final[Mapping[str, Place]] = MappingProxyType({row.format: row for row in _ROWS})
