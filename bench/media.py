"""Media: mastering a tree beside xorriso and implantisomd5, and the whole of ``diskgen iso``.

    python bench/media.py TREE OUTPUT

masters a tree as ``diskgen iso`` does once it has one.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "vm-tests")]

import runtime_image  # noqa: E402

from diskgen.iso.mastering import hybrid, mediacheck  # noqa: E402
from diskgen.iso.mastering.hybrid import Bios, Esp  # noqa: E402
from diskgen.iso.mastering.master import BootImage, Medium, master  # noqa: E402
from diskgen.tree import Directory, File, Packed  # noqa: E402
from diskgen.units import MIB  # noqa: E402

LABEL = "Bench-1-x86_64"
_CORE = "images/eltorito.img"
_ESP = "images/efiboot.img"
_GRUB = Path("/usr/lib/grub/i386-pc")
_BLOBS = "diskgen/container/blobs/sha256"
# megabytes of the blobs of an image
SIZES = {
    "2 GB": (310, 240, 200, 150, 120, 100, 80, 60, 50, 40, 30, 20, 10, 5),
    "4.5 GB": (4150, 60, 30, 20),
}
_RUNTIME = {"2 GB": 600, "4.5 GB": 150}
_SEED = 7


def tree(place: Path, name: str) -> Path:
    """Return a directory like a medium: an image's blobs, a runtime, a kernel, boot loaders."""
    if place.is_dir():
        return place
    partial = place.with_name(f".{place.name}.partial")
    chance = random.Random(_SEED)
    for number, size in enumerate(SIZES[name]):
        _fill(partial / _BLOBS / hashlib.sha256(bytes([number])).hexdigest(), size * MIB, chance)
    _fill(partial / "images/install.img", _RUNTIME[name] * MIB, chance)
    _fill(partial / "images/pxeboot/vmlinuz", 15 * MIB, chance)
    _fill(partial / "images/pxeboot/initrd.img", 40 * MIB, chance)
    _fill(partial / _ESP, 8 * MIB, chance)
    for number in range(280):
        size = chance.randrange(1_000, 60_000)
        _fill(partial / f"boot/grub2/i386-pc/module{number}.mod", size, chance)
    subprocess.run(
        ["grub-mkimage", "-O", "i386-pc-eltorito", "-d", _GRUB, "-p", "/boot/grub2",
         "-o", partial / _CORE, "iso9660", "biosdisk", "normal"], check=True,
    )  # fmt: skip
    partial.rename(place)
    return place


def xorriso(source: Path, output: Path) -> list[str | Path]:
    """Return the command that makes the same medium by the usual programs."""
    options = (
        "-quiet -R -J -joliet-long -iso-level 3 -partition_offset 16 "
        f"--grub2-mbr {_GRUB}/boot_hybrid.img -appended_part_as_gpt "
        f"-append_partition 2 0xef {source}/{_ESP} -c boot.cat -b {_CORE} -no-emul-boot "
        "-boot-load-size 4 -boot-info-table --grub2-boot-info -eltorito-alt-boot "
        "-e --interval:appended_partition_2:all:: -no-emul-boot"
    )
    return ["sh", "-ec", f'xorriso -as mkisofs {options} -V {LABEL} -o "$1" "$2"; '
            'implantisomd5 "$1"', "-", output, source]  # fmt: skip


def ours(source: Path, output: Path) -> None:
    """Master a directory: the tree, what makes it start from a stick, the checksum."""
    root = _read(source)
    boot = (
        BootImage(path=_CORE, efi=False, load_size=4, info_table=True),
        BootImage(path=_ESP, efi=True),
    )
    medium = Medium(root=root, label=LABEL, timestamp=1_790_000_000, application="X", boot=boot)
    made = master(output, medium)
    sizes = {image.path: (source / image.path).stat().st_size for image in boot}
    bios = Bios(
        mbr=(_GRUB / "boot_hybrid.img").read_bytes(), core=made.places[_CORE],
        core_size=sizes[_CORE],
    )  # fmt: skip
    hybrid.make(output, seed="bench", bios=bios, esp=Esp(start=made.places[_ESP], size=sizes[_ESP]))
    mediacheck.implant(output)


def installer(cache: Path) -> Path:
    """Return a container in which the own installer runs, as an ordinary one would be made."""
    return runtime_image.build(cache)


def check(source: Path, iso: Path, work: Path) -> None:
    """Exit unless a medium holds the files of a tree, and knows its own checksum."""
    subprocess.run(["checkisomd5", iso], check=True, capture_output=True)
    subprocess.run(
        ["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", work],
        check=True, capture_output=True,
    )  # fmt: skip
    different = [
        path
        for path in _files(source)
        if path != Path(_CORE)  # has its own place written into it
        and subprocess.run(["cmp", "-s", source / path, work / path], check=False).returncode
    ]
    extra = set(_files(work)) - set(_files(source)) - {Path("boot.cat")}
    subprocess.run(["chmod", "-R", "u+w", work], check=True)
    subprocess.run(["rm", "-r", work], check=True)
    if different or extra:
        sys.exit(f"error: '{iso}' does not hold what it should: {different or extra}")


def _read(source: Path) -> Directory:
    root = Directory()
    for path in _files(source):
        size = (source / path).stat().st_size
        content = Packed(source / path, size, ((0, size, 0),))
        root.add(os.fspath(path), File(0o100644, content=content))
    return root


def _files(place: Path) -> Iterator[Path]:
    return (p.relative_to(place) for p in sorted(place.rglob("*")) if p.is_file())


def _fill(path: Path, size: int, chance: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            file.write(chance.randbytes(min(MIB, size - at)))


if __name__ == "__main__":
    ours(Path(sys.argv[1]), Path(sys.argv[2]))
