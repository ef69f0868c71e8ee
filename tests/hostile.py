"""What nobody should be able to make a terminal do, and how to see whether it was. Tests only."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from pathlib import Path
from uuid import UUID

from .oci import Layout, TarBuilder, bootable_tar

# An escape sequence, C1, a new line that forges a message, what reorders and what hides.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\nerror: forged\u202egnp\u2066\u200f\u200b\u2028\x85z"
EVIL_TITLE = "\x1bcTiny\x9b31m\u202egnp\u2066\u200bz"  # without what boot loaders refuse
EVIL_NAME = EVIL.replace("/", "_")  # as the name of a file


def harmful(char: str) -> bool:
    """Say whether a terminal or a reader is misled by a character, by Unicode's own data."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\n"


def check_harmless(output: bytes) -> None:
    """Assert that nothing in what a program wrote makes a terminal do anything but show it."""
    text = output.decode()
    assert not [char for char in text if harmful(char)], text
    for line in text.splitlines():
        assert not line.strip().startswith("error: forged"), text


def evil_image(place: Path, *, title: str = EVIL_TITLE) -> Path:
    """Return the layout of a bootable image that says something evil wherever it can."""
    layout = Layout(place)
    tar = TarBuilder()
    release = f'ID=tiny\nPRETTY_NAME="{title}"\nVERSION_ID="{title}"\nVERSION="{title}"\n'
    tar.file("usr/lib/os-release", release.encode())
    tar.file(f"usr/share/{EVIL_NAME}", b"x")
    tar.file("usr/lib/bootc/kargs.d/10.toml", b'kargs = ["quiet"]\n')
    labels = {
        "containers.bootc": "1", "ostree.bootable": "1", EVIL: EVIL,
        "org.opencontainers.image.version": EVIL,
    }  # fmt: skip
    made = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
    return layout.finish(layout.image(made, labels=labels))


def gpt_disk(path: Path, names: list[bytes], *, size: int = 1 << 20, tweak: bool = False) -> Path:
    """Write a disk with a partition for each name (UTF-16-LE, up to 72 bytes) and nothing else.

    Made from UEFI 2.11, section 5.3, not by the code that is tested.
    """
    sector, count = 512, 128
    last = size // sector - 1
    entries = bytearray(count * 128)
    kind = UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709").bytes_le
    for number, name in enumerate(names):
        entry = kind + UUID(int=number + 1).bytes_le + struct.pack("<QQQ", 40, 47, 0)
        entries[number * 128 : number * 128 + 128] = entry + name.ljust(72, b"\0")[:72]

    def header(own: int, other: int, where: int) -> bytes:
        fields = [
            b"EFI PART", b"\0\0\1\0", 92, 0, 0, own, other, 34, last - 33,
            UUID(int=7).bytes_le, where, count, 128, zlib.crc32(entries),
        ]  # fmt: skip
        layout = struct.Struct("<8s4sIIIQQQQ16sQIII")
        fields[3] = zlib.crc32(layout.pack(*fields))
        return layout.pack(*fields).ljust(sector, b"\0")

    data = bytearray(size)
    data[446:462] = bytes((0, 0, 2, 0, 0xEE, 255, 255, 255)) + struct.pack("<II", 1, last)
    data[510:512] = b"\x55\xaa"
    data[sector : 2 * sector] = header(1, last, 2)
    data[2 * sector : 2 * sector + len(entries)] = entries
    data[last * sector :] = header(last, 1, last - 32)
    data[(last - 32) * sector : last * sector] = entries
    if tweak:
        data[sector + 20] ^= 1
    path.write_bytes(data)
    path.chmod(0o644)
    return path


def evil_file(directory: Path, data: bytes = b"nothing") -> Path:
    """Return a file of an evil name."""
    path = directory / EVIL_NAME
    path.write_bytes(data)
    path.chmod(0o644)
    return path
