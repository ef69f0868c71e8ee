"""vagrant: a box for Vagrant's provider libvirt: a qcow2, what it is, and how it is used.

Formats: Vagrant's documentation, "Box File Format"; vagrant-libvirt's, "Box Format" (version 1:
``box.img``, and ``metadata.json`` with its size in GiB). The archive is not packed, its disk is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final
from uuid import UUID

from ..arch import MACHINES
from ..config import Request
from ..events import Emit, step
from ..units import GIB, align_up, format_size
from . import qcow2, ustar
from .pieces import bytes_read

_DISK: Final = "box.img"
# There is no vagrant account with a known key that others could log in by.
_VAGRANTFILE: Final = """\
Vagrant.configure("2") do |config|
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider :libvirt do |libvirt|
    libvirt.driver = "kvm"
    libvirt.disk_bus = "virtio"
  end
end
"""


class Vagrant:
    """A box for libvirt."""

    def write(
        self,
        disk: Path,
        output: Path,
        request: Request,
        identity: UUID,  # noqa: ARG002 - the format has none
        emit: Emit,
    ) -> None:
        """Write ``output`` from a raw disk. Raises OSError where the space ends."""
        size = disk.stat().st_size
        with step(emit, "convert", "Writing the box", unit="bytes") as phase:
            with output.open("x+b") as file:
                phase.total = bytes_read(disk, qcow2.CLUSTER)
                file.write(ustar.small_file("metadata.json", _metadata(size, request.arch)))
                file.write(ustar.small_file("Vagrantfile", _VAGRANTFILE.encode()))
                start = file.tell()
                file.seek(start + ustar.BLOCK)
                length = qcow2.pour(disk, file, request.packing, phase.advance)
                file.write(bytes(ustar.filling(length)))
                file.write(ustar.ending(file.tell()))
                file.seek(start)
                file.write(ustar.member(_DISK, length))
            phase.detail = format_size(output.stat().st_size)


FORMAT: Final = Vagrant()


def _metadata(size: int, arch: str) -> bytes:
    """Return what the box is, of a disk of ``size`` bytes."""
    facts = {
        "architecture": MACHINES[arch].oci,
        "format": "qcow2",
        "provider": "libvirt",
        "virtual_size": align_up(size, GIB) // GIB,
    }
    return json.dumps(facts, indent=2).encode() + b"\n"
