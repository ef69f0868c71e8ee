"""zipl as a build sees it: its map is written by us, its later runs are the machine's own.

``zipl`` on the machine reads /etc/zipl.conf and the boot loader entries of /boot, and writes the
same file and the same first block again (zipl.conf(5), "automenu"; ostree's zipl backend runs it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..arch import Machine
from ..disk.ext4.reader import locate
from ..errors import SourceError, VerifyError
from ..layout import Layout, Role
from ..ostree.lookup import find
from ..plan import FIRST_BOOT_VARIABLE, Way
from ..tree import Content, Data, Directory, File, pieces, read, regular
from . import zipl
from .grub_config import IGNITION_STAMP, IGNITION_URL, ignition_stamp
from .loader import ForDisk

_STAGE3: Final = "usr/lib/s390-tools/stage3.bin"
_PROGRAM: Final = "usr/sbin/zipl"
_CONFIGS: Final = ("etc/zipl.conf", "usr/lib/s390-tools/zipl.conf")
_MAP: Final = "bootmap"  # on /boot; the name is zipl's
_ENTRIES: Final = "loader.1/entries"
_MAX_STAGE3: Final = 64 * 1024
_KERNEL_HEAD: Final = 128 * 1024
_CONFIG: Final = """\
# Written by diskgen, as this image has no zipl.conf: a menu of the entries below /boot/loader.
[defaultboot]
defaultauto
prompt=1
timeout=5
target=/boot
"""


@dataclass(frozen=True, slots=True)
class Zipl:
    """The zipl of an image; ``stage3`` is its loader's last stage."""

    stage3: bytes
    sector_size: int
    ways: tuple[Way, ...]
    etc: Mapping[str, bytes]
    name: str = "zipl"
    menu: str = "zipl of the image makes it anew at each update"
    hook: str = "zipl"
    tools: tuple[str, ...] = ()

    def check(self, boot: Directory, _title: str, options: str) -> None:
        for entry in _entries(boot):
            kernel = boot.get_file(entry["linux"])
            assert kernel is not None
            assert kernel.content is not None
            zipl.check_kernel(_head(kernel.content), options)

    def esp_files(self, _for_disk: ForDisk) -> dict[str, bytes]:
        return {}

    def add_to_boot(self, boot: Directory, for_disk: ForDisk) -> None:
        if for_disk.ignition:
            boot.add(IGNITION_STAMP, regular(ignition_stamp(for_disk.ignition_url)))
        # Not zeros: the file must have blocks, which the map is then written to.
        room = Data(b"\xff" * zipl.MAP_SIZE)
        boot.add(_MAP, File(mode=0o100644, content=room, dense=True))

    def install(self, disk: Path, layout: Layout, boot: Directory, _scratch: Path) -> None:
        offset = layout.partition(Role.BOOT).start
        first = _first_boot(boot)
        programs = [
            zipl.Program(
                kernel=locate(disk, offset, entry["linux"]),
                initrd=locate(disk, offset, entry["initrd"]),
                # Nothing expands the variable here; the machine runs zipl after its first boot.
                command_line=entry["options"].replace(FIRST_BOOT_VARIABLE, first),
            )
            for entry in _entries(boot)
        ]
        place = locate(disk, offset, _MAP)
        with disk.open("r+b") as file:
            for item in zipl.boot_map(programs, self.stage3, place, sector_size=self.sector_size):
                file.seek(item.at)
                file.write(item.data)


def _first_boot(boot: Directory) -> str:
    """Return what stands for the variable by which other loaders hand the stamp's text over."""
    stamp = boot.get_file(IGNITION_STAMP)
    text = read(stamp.content).decode() if stamp is not None and stamp.content is not None else ""
    found = re.search(rf"'({re.escape(IGNITION_URL)}=[^']*)'", text)
    return f"{IGNITION_STAMP} {found[1]}" if found is not None else IGNITION_STAMP


def inspect(root: Directory, _machine: Machine, sector_size: int) -> Zipl:
    """Return what an image tree brings of zipl. Raises SourceError when that does not suffice."""
    stage3, program = (find(root, path) for path in (_STAGE3, _PROGRAM))
    missing = [
        f"/{path}"
        for path, node in ((_STAGE3, stage3), (_PROGRAM, program))
        if not isinstance(node, File) or node.content is None
    ]
    if missing or not isinstance(stage3, File) or stage3.content is None:
        raise SourceError(
            "this image brings no zipl, which starts it and which its updates run: there is no "
            + " and no ".join(f"'{path}'" for path in missing),
            hint="install s390-tools in the image",
        )
    if stage3.size > _MAX_STAGE3:
        raise SourceError(f"'/{_STAGE3}' of the image has '{stage3.size}' bytes: it is not one")
    configured = any(find(root, path) is not None for path in _CONFIGS)
    return Zipl(
        stage3=read(stage3.content),
        sector_size=sector_size,
        ways=(
            Way(
                name="ipl",
                works=True,
                reason="a boot map for virtio, SCSI and FCP disks, with the stage 3 of the image",
            ),
            Way(
                name="dasd",
                works=False,
                reason="ECKD DASDs have tables of another kind: CDL, volume label, other boot map",
            ),
        ),
        etc=MappingProxyType({} if configured else {"zipl.conf": _CONFIG.encode()}),
    )


def _head(content: Content) -> bytes:
    """Return as much of a kernel as is looked at, whatever its size."""
    head = b""
    for piece in pieces(content):
        head += piece
        if len(head) >= _KERNEL_HEAD:
            break
    return head[:_KERNEL_HEAD]


def _entries(boot: Directory) -> list[dict[str, str]]:
    """Return the keys of the boot loader entries, the newest one first; paths are below /boot."""
    folder = boot.get_dir(_ENTRIES)
    found: list[dict[str, str]] = []
    for name in sorted(folder.entries if folder is not None else (), reverse=True):
        file = folder.get_file(name) if folder is not None else None
        if file is None or file.content is None:
            continue
        pairs = (line.split(" ", 1) for line in read(file.content).decode().splitlines())
        entry = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
        for key in ("linux", "initrd"):
            entry[key] = entry[key].removeprefix("/boot/")
        found.append(entry)
    if not found:
        raise VerifyError("there is no boot loader entry on the disk")
    return found
