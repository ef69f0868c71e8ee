"""What an s390x medium starts by: one image for El Torito, files for the service element.

Layouts: s390-tools' ``mk-s390image`` (``netboot/``) and the Linux kernel's
``arch/s390/boot/head.S`` (parameter area); ``.ins`` files as "z/Architecture: Load from Removable
Media" takes them.
"""

from __future__ import annotations

import struct
from typing import Final

from ...cut_off import cut_off
from ...errors import SourceError, UsageError
from ...units import align_up

INITRD_ADDRESS: Final = 0x0200_0000  # where .ins files have it loaded
_HEAD: Final = bytes.fromhex("02000018600000500200006860000050")  # at 8 of a kernel
_INITRD: Final = 0x10408  # two u64: address and size
_LINE: Final = 0x10480
_LINE_SIZE: Final = 0x10430  # u64
_OLD_LINE_SIZE: Final = 896
_PAGE: Final = 4096
LONGEST_WORD: Final = 79  # a card has 80 columns


def boot_image(kernel: bytes, initrd: bytes, command_line: str) -> bytes:
    """Return kernel, initramfs and parameters as one image, which is loaded at address 0.

    Raises SourceError for a file that is no kernel of s390x, UsageError for too long a line.
    """
    if kernel[8 : 8 + len(_HEAD)] != _HEAD or len(kernel) < _LINE:
        raise SourceError("the installer's kernel is no bootable image for s390x")
    room = line_size(kernel)
    check_line(command_line, room)
    line = command_line.encode() + b"\n"
    at = align_up(len(kernel), _PAGE)
    image = bytearray(kernel.ljust(at, b"\0") + initrd)
    struct.pack_into(">QQ", image, _INITRD, at, len(initrd))
    image[_LINE : _LINE + room] = line.ljust(room, b"\0")
    return bytes(image)


def line_size(kernel: bytes) -> int:
    """Return how many bytes of arguments a kernel takes."""
    (room,) = struct.unpack_from(">Q", kernel, _LINE_SIZE)
    return int(room) or _OLD_LINE_SIZE


def check_line(command_line: str, room: int) -> None:
    """Refuse arguments that a kernel would cut off; ``room`` in bytes. Raises UsageError."""
    problem = cut_off(f"{command_line}\n", room, setting="karg")
    if problem is not None:
        raise UsageError.of(problem)


def addresses(initrd_size: int) -> bytes:
    """Return ``initrd.addrsize``: address and size as two big-endian u64."""
    return struct.pack(">QQ", INITRD_ADDRESS, initrd_size)


def instructions(title: str, parameters: str) -> str:
    """Return an ``.ins`` file, whose paths are those of an installer's medium."""
    return (
        f"* {title}\n"
        "images/kernel.img 0x00000000\n"
        f"images/initrd.img 0x{INITRD_ADDRESS:08x}\n"
        f"{parameters} 0x{_LINE:08x}\n"
        f"images/initrd.addrsize 0x{_INITRD:08x}\n"
    )


def parameters(command_line: str) -> str:
    """Return a ``.prm`` file: the same words in lines that a card can hold."""
    lines: list[str] = [""]
    for word in command_line.split():
        if len(word) > LONGEST_WORD:
            raise UsageError(
                f"'{word}' has {len(word)} characters, a line of a parameter file holds "
                f"{LONGEST_WORD}",
                hint="shorten it",
                setting="label" if "LABEL=" in word else "karg",
            )
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= LONGEST_WORD or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return "\n".join(lines) + "\n"
