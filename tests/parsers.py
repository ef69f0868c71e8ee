"""Every parser of hostile bytes: how it is called, what it may raise, what it is tried with.

The always-run tests try a bounded number of seeded changes, the extended ones many more.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pycdlib

from diskgen import gvariant
from diskgen.arch import MACHINES
from diskgen.bootloader import grub, zipl
from diskgen.disk import gpt, squashfs, squashfs_root
from diskgen.errors import DiskgenError, SourceError
from diskgen.formats import qcow2_reader, reading
from diskgen.image import manifest, tarstream
from diskgen.initramfs import findings
from diskgen.inspection import filesystems
from diskgen.iso.reading import fatreader, reader
from diskgen.iso.runtimes import elf
from diskgen.ostree import facts, installconfig
from diskgen.tree import Directory, regular

from .hostile import gpt_disk
from .oci import Layout, bootable, bootable_tar, mainframe_kernel

Parse = Callable[[bytes, Path], object]  # bytes and a directory for them
Seeds = Callable[[Path], list[bytes]]


@dataclass(frozen=True)
class Parser:
    """One parser; ``may`` is what it raises for what it does not understand."""

    parse: Parse
    seeds: Seeds
    may: tuple[type[Exception], ...] = (DiskgenError,)


def _refuse(reason: str) -> SourceError:
    return SourceError(reason)


def _tar(data: bytes, _place: Path) -> object:
    stream = tarstream.Stream(iter([data]))
    found = []
    for header in tarstream.entries(stream, _refuse):
        found.append(header)
        stream.read(-(-header.size // 512) * 512)
    return found


def _qcow2(data: bytes, place: Path) -> object:
    (place / "x").write_bytes(data)
    with qcow2_reader.opened(place / "x") as disk:
        return [disk.read_at(at, min(4096, disk.size - at)) for at in (0, 65536) if at < disk.size]


def _disk(data: bytes, place: Path) -> object:
    (place / "x").write_bytes(data)
    with reading.opened(place / "x") as disk:
        return gpt.parse(disk.read_at, disk.size)


def _iso(data: bytes, place: Path) -> object:
    (place / "x").write_bytes(data)
    return reader.read(place / "x")


def _fat(data: bytes, place: Path) -> object:
    (place / "x").write_bytes(data)
    return fatreader.fat_files(place / "x", 0)


def _toml(data: bytes, _place: Path) -> object:
    root = Directory()
    root.add("usr/lib/bootc/install/10.toml", regular(data))
    return installconfig.read_config(root, "x86_64")


def _release(data: bytes, _place: Path) -> object:
    root = Directory()
    root.add("usr/lib/os-release", regular(data))
    return facts.os_release(root)


def _squashfs(data: bytes, place: Path) -> object:
    """The facts that are shown, and what is changed in an image that was just made."""
    (place / "x").write_bytes(data)
    with reading.opened(place / "x") as disk:
        found = filesystems.look(disk, 0, len(data))
    squashfs_root.settle(place / "x", Directory(), 0)
    return found


def _filesystem(data: bytes, place: Path) -> object:
    (place / "x").write_bytes(data)
    with reading.opened(place / "x") as disk:
        return filesystems.look(disk, 0, len(data))


def _gvariant(data: bytes, _place: Path) -> object:
    gvariant.unpack_string(data)
    for unpack in (gvariant.unpack_array, gvariant.unpack_vardict, gvariant.unpack_xattrs):
        try:
            unpack(data)
        except ValueError:
            continue
    return gvariant.unpack(data, None, (8, 8), None)


def _efi(data: bytes, _place: Path) -> object:
    return grub._menu_of(data), grub._prefix(data), grub.is_signed(data)


def _manifests(place: Path) -> list[bytes]:
    layout = bootable(place / "os")
    made = Layout.manifest_of(layout)
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64", "variant": "v3"}
    return [json.dumps(value).encode() for value in (made, index)]


def _configs(place: Path) -> list[bytes]:
    layout = bootable(place / "config")
    digest = Layout.manifest_of(layout)["config"]["digest"]
    return [(layout / "blobs" / digest.replace(":", "/")).read_bytes()]


def _qcow2s(place: Path) -> list[bytes]:
    found = []
    for number, kind in enumerate(("zlib", "zstd")):
        raw, path = place / f"raw{number}", place / f"qcow2-{number}"
        raw.write_bytes(b"some text " * 20_000)
        subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                        f"compression_type={kind}", raw, path], check=True)  # fmt: skip
        found.append(path.read_bytes())
    return found


def _isos(_place: Path) -> list[bytes]:
    made = pycdlib.PyCdlib()
    made.new(rock_ridge="1.09", vol_ident="SEED", joliet=3)
    made.add_directory("/A", rr_name="a", joliet_path="/a")
    made.add_fp(io.BytesIO(b"hello"), 5, "/A/F.;1", rr_name="file", joliet_path="/a/file")
    made.add_symlink("/S.;1", rr_symlink_name="s", rr_path="a/file")
    out = io.BytesIO()
    made.write_fp(out)
    made.close()
    return [out.getvalue()]


def _fats(place: Path) -> list[bytes]:
    path = place / "fat"
    with path.open("wb") as file:
        file.truncate(128 * 1024)
    subprocess.run(["mkfs.vfat", "-F", "12", path], check=True, capture_output=True)
    source = place / "a file with a long name.txt"
    source.write_bytes(b"hello")
    subprocess.run(["mmd", "-i", path, "::/EFI"], check=True)
    subprocess.run(["mcopy", "-i", path, source, "::/EFI"], check=True)
    return [path.read_bytes()]


def _squashfses(place: Path) -> list[bytes]:
    image = place / "squashfs"
    squashfs.make(image, Directory(), timestamp=0, advance=lambda _count: None)
    return [image.read_bytes()]


def _filesystems(place: Path) -> list[bytes]:
    found = _fats(place)
    for mark, at in ((b"XFSB", 0), (b"_BHRfS_M", 65536 + 64), (b"hsqs", 0), (b"LUKS\xba\xbe", 0)):
        found.append(bytes(at) + mark + bytes(range(256)) * 300)
    ext4 = place / "ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", ext4, "512k"], check=True, capture_output=True)
    return [*found, ext4.read_bytes()]


def _cpio(_place: Path) -> list[bytes]:
    def member(name: bytes, data: bytes, mode: int = 0o100755) -> bytes:
        head = b"070701" + b"".join(b"%08x" % n for n in (
            1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))  # fmt: skip
        raw = head + name + b"\0"
        raw += bytes(-len(raw) % 4) + data
        return raw + bytes(-len(raw) % 4)

    body = member(b"usr/lib/ostree/ostree-prepare-root", b"x" * 50) + member(b"TRAILER!!!", b"", 0)
    return [body, gzip.compress(body, mtime=0), body + bytes(512) + gzip.compress(body, mtime=0)]


PARSERS = {
    "tar": Parser(_tar, lambda _p: [bootable_tar()], (DiskgenError, EOFError)),
    "manifest": Parser(lambda data, _p: manifest.parse_any(data, "x"), _manifests),
    "config": Parser(
        lambda data, _p: manifest.parse_config(data, 1, MACHINES["x86_64"], "x"), _configs
    ),
    "toml": Parser(
        _toml,
        lambda _p: [
            b'[install]\nkargs = ["a"]\n[install.filesystem.root]\ntype = "xfs"\n',
            b'[install]\nmatch-architectures = ["x86_64"]\nblock = ["direct"]\n'
            b'root-mount-spec = "LABEL=x"\n[install.ostree]\nbls-append-except-default = "x"\n',
        ],
    ),
    "os-release": Parser(_release, lambda _p: [b'ID=a\nPRETTY_NAME="A \\"b\\""\n']),
    "gvariant": Parser(
        _gvariant,
        lambda _p: [
            gvariant.vardict({key: gvariant.variant_string("b") for key in "ac"}),
            gvariant.xattr_array(((b"user.a", b"b"), (b"user.c", b""))),
        ],
        (DiskgenError, ValueError),
    ),
    "gpt": Parser(
        _disk,
        lambda p: [gpt_disk(p / "gpt", [b"a\0b\0", b"\0\xd8"], size=128 * 1024).read_bytes()],
    ),
    "qcow2": Parser(_qcow2, _qcow2s),
    "iso": Parser(_iso, _isos),
    "fat": Parser(_fat, _fats),
    "squashfs": Parser(_squashfs, _squashfses),
    "filesystem": Parser(_filesystem, _filesystems),
    "initramfs": Parser(lambda data, _p: findings.examine(regular(data)), _cpio),
    "elf": Parser(
        lambda data, _p: elf.needs(data),
        lambda _p: [Path("/bin/true").resolve().read_bytes()],
        (DiskgenError, ValueError),
    ),
    "efi": Parser(_efi, lambda _p: [b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(
        range(200)) + b"\0blscfg\0normal\0" + b"\0/EFI/tiny\0"]),
    "zipl": Parser(
        lambda data, _p: zipl.check_kernel(data, "quiet"), lambda _p: [mainframe_kernel()[:131072]]
    ),
}  # fmt: skip


def mutated(seed: bytes, rand: random.Random) -> bytes:
    """Return a seed with a few changes; the first kilobytes, where structures are, most often."""
    data = bytearray(seed)
    for _ in range(rand.randint(1, 5)):
        if not data:
            break
        at = rand.randrange(min(len(data), rand.choice((64, 600, 4096, len(data)))))
        match rand.randrange(7):
            case 0:
                data[at] ^= 1 << rand.randrange(8)
            case 1:
                size = rand.choice((1, 2, 4, 8))
                data[at : at + size] = rand.choice(
                    (b"\xff" * size, bytes(size), (1 << size * 8 - 1).to_bytes(size, "big"),
                     rand.randbytes(size), (len(data) + 1).to_bytes(8, "little")[:size])
                )  # fmt: skip
            case 2:
                del data[at : at + rand.randint(1, 64)]
            case 3:
                data[at:at] = data[at : at + rand.randint(1, 64)]
            case 4:
                del data[at:]
            case 5:
                other = rand.randrange(len(data))
                data[at : at + 16] = data[other : other + 16]
            case 6:
                words = (
                    b"[]",
                    b"{}",
                    b"null",
                    b"-1",
                    b"1e999",
                    b'"\\ud800"',
                    b"[[[[",
                    b"\0",
                    b"../",
                )
                data[at : at + rand.randint(0, 8)] = rand.choice(words)
    return bytes(data)


def trials(name: str, count: int, place: Path, *, seed: int = 1) -> tuple[int, list[str]]:
    """Try a parser; return how many inputs were refused, and what went wrong."""
    parser = PARSERS[name]
    inputs = parser.seeds(place)
    rand = random.Random(f"{name} {seed}")
    refused, wrong = 0, []
    for number in range(-len(inputs), count):
        data = inputs[number] if number < 0 else mutated(rand.choice(inputs), rand)
        try:
            parser.parse(data, place)
        except parser.may:
            refused += 1
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            wrong.append(f"{name} {seed}/{number}: {error!r} at {_where(error)}")
    return refused, wrong


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
