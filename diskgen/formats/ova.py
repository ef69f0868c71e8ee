"""ova: a machine for VMware and VirtualBox: its description, a manifest and a VMDK in one archive.

Formats: DMTF DSP0243, "Open Virtualization Format Specification" 1.1 (package: section 5, envelope:
sections 7 to 9); POSIX ustar. Description and manifest come first and depend on the VMDK behind
them: they have rooms of fixed size, which are filled when it is written, so that nothing is copied.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID
from xml.sax.saxutils import escape

from ..config import Request
from ..errors import UsageError
from ..events import Emit, step
from ..units import align_up, format_size
from . import ustar
from .pieces import bytes_read
from .vmdk import stream
from .vmdk_extent import GRAIN

_BLOCK: Final = ustar.BLOCK
_OVF_ROOM: Final = 16 * _BLOCK  # white space may follow the document's end
_LARGEST: Final = 8**11 - 1  # bytes, of a member in ustar
MEMORY: Final = 4096  # MiB
PROCESSORS: Final = 2


class Ova:
    """An archive of an OVF, its manifest and a streamOptimized VMDK."""

    def write(self, disk: Path, output: Path, request: Request, identity: UUID, emit: Emit) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends.

        Raises UsageError for a disk of more than 8 GiB when it is compressed.
        """
        assert request.output is not None
        stem = ustar.plain(request.output.name.removesuffix(".ova")) or "disk"
        names = f"{stem}.ovf", f"{stem}.mf", f"{stem}.vmdk"
        capacity = disk.stat().st_size
        with step(emit, "convert", "Writing the OVA", unit="bytes") as phase:
            with output.open("x+b") as file:
                phase.total = bytes_read(disk, GRAIN)
                manifest_room = len(_manifest(names, (bytes(32), bytes(32))))
                start = 3 * _BLOCK + _OVF_ROOM + align_up(manifest_room, _BLOCK)
                file.seek(start)
                sink = _Hashed(file)
                size = stream(disk, sink, names[2], identity, phase.advance)
                end = start + size
                file.write(ustar.ending(end))
                text = envelope(stem, names[2], capacity, size).encode()
                text = text.ljust(_OVF_ROOM, b"\n")
                sums = hashlib.sha256(text).digest(), sink.digest()
                manifest = _manifest(names, sums)
                file.seek(0)
                for name, data in ((names[0], text), (names[1], manifest)):
                    file.write(ustar.small_file(name, data))
                file.write(ustar.member(names[2], size))
                assert file.tell() == start
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Ova()


class _Hashed:
    """A file whose bytes are summed as they are written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Append bytes. Raises UsageError for more than the archive can hold."""
        self._size += len(data)
        if self._size > _LARGEST:
            raise UsageError(
                f"this disk takes more than '{format_size(_LARGEST + 1)}' when it is compressed, "
                "which no OVA can hold",
                hint="make a vmdk, and add it to a virtual machine: diskgen vmdk",
            )
        self._sum.update(data)
        self._file.write(data)

    def digest(self) -> bytes:
        return self._sum.digest()


def _manifest(names: tuple[str, str, str], sums: tuple[bytes, bytes]) -> bytes:
    """Return the manifest: a line for the description and one for the disk."""
    rows = zip((names[0], names[2]), sums, strict=True)
    return "".join(f"SHA256({name})= {value.hex()}\n" for name, value in rows).encode()


def envelope(name: str, disk: str, capacity: int, size: int) -> str:
    """Return the description of a machine with one disk; ``capacity`` and ``size`` in bytes."""
    item = _items()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:id="file1" ovf:href="{escape(disk)}" ovf:size="{size}"/>
  </References>
  <DiskSection>
    <Info>The disk</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{capacity}" \
ovf:capacityAllocationUnits="byte" ovf:format="\
http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The network</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the machine</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{escape(name)}">
    <Info>A virtual machine</Info>
    <Name>{escape(name)}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="other5xLinux64Guest">
      <Info>Linux, 64 bit</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{escape(name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-15</vssd:VirtualSystemType>
      </System>
{item}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def _items() -> str:
    """Return the machine's parts; within each, elements are in the order of their names."""
    parts: tuple[dict[str, object], ...] = (
        {
            "AllocationUnits": "hertz * 10^6", "Description": "Processors",
            "ElementName": f"{PROCESSORS} processors", "InstanceID": 1, "ResourceType": 3,
            "VirtualQuantity": PROCESSORS,
        },
        {
            "AllocationUnits": "byte * 2^20", "Description": "Memory",
            "ElementName": f"{MEMORY} MiB of memory", "InstanceID": 2, "ResourceType": 4,
            "VirtualQuantity": MEMORY,
        },
        {
            "Address": 0, "Description": "SCSI controller", "ElementName": "SCSI controller 0",
            "InstanceID": 3, "ResourceSubType": "VirtualSCSI", "ResourceType": 6,
        },
        {
            "AddressOnParent": 0, "ElementName": "Disk 1", "HostResource": "ovf:/disk/disk1",
            "InstanceID": 4, "Parent": 3, "ResourceType": 17,
        },
        {
            "AddressOnParent": 7, "AutomaticAllocation": "true", "Connection": "VM Network",
            "Description": "Network adapter", "ElementName": "Network adapter 1", "InstanceID": 5,
            "ResourceSubType": "VmxNet3", "ResourceType": 10,
        },
    )  # fmt: skip
    text = ""
    for part in parts:
        inside = "".join(
            f"        <rasd:{key}>{escape(str(value))}</rasd:{key}>\n"
            for key, value in part.items()
        )
        text += f"      <Item>\n{inside}      </Item>\n"
    return text
