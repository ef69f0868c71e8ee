"""The boot map of s390x disks: what IPL reads instead of a boot loader with a filesystem.

The layout is that of zipl for SCSI disks (s390-tools ``include/boot/``, ``zipl/src/bootmap.c``);
virtio-blk reads the same one. All numbers are big-endian, a block is a sector of the disk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..disk.ext4.reader import Located
from ..errors import SourceError, VerifyError
from ..units import align_up

MAP_SIZE: Final = 256 * 1024  # bytes of the file that holds the map
_MAGIC: Final = b"zIPL"
_VERSION: Final = 1
_PROGRAMS: Final = 30  # entries of a menu, besides the default
_LOAD, _EXECUTE = 2, 1  # types of components
_MOST_BLOCKS: Final = 1 << 16  # of one pointer
# Where stage 3 wants everything, and how it is started (zipl's stage3 link script).
_HEAP: Final = (0x2000, 0x4000)
_STACK: Final = (0xF000, 0x1000)
_STAGE3: Final = 0xA000
_PARAMETERS: Final = 0x9000
_KERNEL: Final = 0x10000
_KERNEL_MAGIC: Final = b"S390EP"  # at 0x10008 of a bootable kernel image
_START: Final = 0x0008_0000_8000_A000  # short PSW of stage 3
_KERNEL_PSW: Final = 0x0008_0000_8001_0000
_FLAG_SCSI: Final = 1 << 48
_LINE_ALIGN: Final = 0x1000
_INITRD_ALIGN: Final = 0x10000
_LIMIT: Final = 1 << 31
_LINE_SIZE_AT: Final = 0x10430  # u64 in the kernel: bytes of a command line; 0 in old ones
_OLD_LINE_SIZE: Final = 896


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One thing that can be started; files as they lie on the disk."""

    kernel: Located
    initrd: Located | None
    command_line: str


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes for a place of the disk."""

    at: int
    data: bytes


def check_kernel(head: bytes, command_line: str) -> None:
    """Refuse what cannot be started; ``head`` is the kernel's first 128 KiB. Raises SourceError."""
    magic = head[_KERNEL + 8 : _KERNEL + 8 + len(_KERNEL_MAGIC)]
    if magic != _KERNEL_MAGIC or len(head) < _LINE_SIZE_AT + 8:
        raise SourceError("the image's kernel is no bootable image for s390x")
    (room,) = struct.unpack_from(">Q", head, _LINE_SIZE_AT)
    size = len(command_line.encode()) + 1
    if size > (room or _OLD_LINE_SIZE):
        raise SourceError(
            f"the kernel arguments have '{size}' bytes, the image's kernel takes "
            f"'{room or _OLD_LINE_SIZE}'",
            hint="leave some out",
            setting="karg-delete",
        )


def boot_map(
    programs: Sequence[Program], stage3: bytes, place: Located, *, sector_size: int
) -> list[Written]:
    """Return what to write to start the first program, or by ``loadparm`` one of all.

    ``place`` is the file for the map, ``stage3`` the image's ``stage3.bin``. The last item is for
    the first block of the disk and keeps its partition table.
    """
    if not 1 <= len(programs) <= _PROGRAMS:
        raise ValueError(f"{len(programs)} programs")
    out = _Map(place, sector_size)
    stage = out.add(stage3)
    dummies = {size: out.add(bytes(size)) for _address, size in (_HEAP, _STACK)}
    tables: list[bytes] = []
    for program in programs:
        components = [(_HEAP[0], dummies[_HEAP[1]]), (_STACK[0], dummies[_STACK[1]])]
        components.append((_STAGE3, stage))
        components += _program(program, out)
        tables.append(_component_table(components, out))
    slots = [tables[0], *tables]
    table = _MAGIC + bytes(12) + b"".join(slots)
    (pointer,) = out.pointers(out.add(table + bytes(512 - len(table))))
    out.items.append(Written(0, _MAGIC + struct.pack(">I8x", _VERSION) + pointer + bytes(120)))
    return out.items


def _program(program: Program, out: _Map) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield address and place of what is a program's own."""
    kernel, initrd = program.kernel, program.initrd
    line = program.command_line.encode() + b"\0"
    line_at = align_up(_KERNEL + kernel.size, _LINE_ALIGN)
    initrd_at = align_up(line_at + len(line), _INITRD_ALIGN) if initrd is not None else 0
    size = initrd.size if initrd is not None else 0
    if initrd_at + size > _LIMIT:
        raise SourceError("kernel and initramfs of the image do not fit below 2 GiB")
    parameters = struct.pack(
        ">10Q", line_at, initrd_at, size, _KERNEL_PSW, 0, _FLAG_SCSI, kernel.size, _KERNEL, 0, 0
    )
    yield _PARAMETERS, out.add(parameters)
    yield _KERNEL, list(kernel.runs)
    yield line_at, out.add(line)
    if initrd is not None:
        yield initrd_at, list(initrd.runs)


def _component_table(components: list[tuple[int, list[tuple[int, int]]]], out: _Map) -> bytes:
    """Write a component table; return the pointer to it."""
    rows = [_MAGIC + bytes(28)]
    for address, runs in components:
        rows.append(out.segments(runs) + bytes(7) + struct.pack(">BQ", _LOAD, address))
    rows.append(bytes(16) + bytes(7) + struct.pack(">BQ", _EXECUTE, _START))
    table = b"".join(rows)
    (pointer,) = out.pointers(out.add(table))
    return pointer


class _Map:
    """The map's file while it fills up."""

    def __init__(self, place: Located, sector_size: int) -> None:
        self.items: list[Written] = []
        self._sector = sector_size
        self._free = [list(run) for run in place.runs]

    def add(self, data: bytes) -> list[tuple[int, int]]:
        """Write data to the next free sectors; return its place."""
        data += bytes(-len(data) % self._sector)
        for run in self._free:
            if run[1] >= len(data):
                at = run[0]
                run[0] += len(data)
                run[1] -= len(data)
                self.items.append(Written(at, data))
                return [(at, len(data))]
        raise VerifyError("the file for the boot map is too small")

    def pointers(self, runs: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return block pointers to a place."""
        found: list[bytes] = []
        for begin, length in runs:
            first, count = begin // self._sector, -(-length // self._sector)
            while count:
                now = min(count, _MOST_BLOCKS)
                found.append(struct.pack(">QHH4x", first, self._sector, now - 1))
                first, count = first + now, count - now
        return found

    def segments(self, runs: Sequence[tuple[int, int]]) -> bytes:
        """Write the chain of segment tables of a place; return the pointer to the first."""
        pointers = self.pointers(runs)
        room = self._sector // 16 - 1
        following = bytes(16)
        for at in reversed(range(0, len(pointers), room)):
            part = b"".join(pointers[at : at + room])
            table = part + bytes(self._sector - 16 - len(part)) + following
            (following,) = self.pointers(self.add(table))
        return following
