"""ISO images, read by independent programs: xorriso, isoinfo, checkisomd5, sgdisk, mtools."""

from __future__ import annotations

import hashlib
import random
import re
import struct
import subprocess
from pathlib import Path

import pytest

from diskgen.errors import UsageError, VerifyError
from diskgen.iso.mastering import hybrid, mediacheck
from diskgen.iso.mastering.hybrid import Bios, Esp
from diskgen.iso.mastering.master import SECTOR, BootImage, Mastered, Medium, master
from diskgen.iso.mastering.names import check_label, iso_names, joliet_names
from diskgen.tree import BLOCK, Directory, File, Packed, read, regular, symlink
from diskgen.units import GIB, MIB

WHEN = 1_790_000_000
LABEL = "Tiny-Linux-1.0-x86_64-installer"
CORE = Path("/usr/lib/grub/i386-pc")


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=True, capture_output=True)
    return (done.stdout + done.stderr).decode(errors="replace")


def fat(place: Path) -> bytes:
    """Return a small FAT image with one file."""
    path = place / "efi.img"
    path.unlink(missing_ok=True)
    run("mkfs.vfat", "-C", "-n", "ANACONDA", "-i", "12345678", "--invariant", path, "2048")
    (place / "BOOTX64.EFI").write_bytes(b"MZ not much of a loader")
    run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", path, place / "BOOTX64.EFI", "::/EFI/BOOT/BOOTX64.EFI")
    return path.read_bytes()


def core_image(place: Path) -> bytes:
    """Return GRUB's El Torito image."""
    output = place / "eltorito.img"
    run("grub-mkimage", "-O", "i386-pc-eltorito", "-d", CORE, "-p", "/boot/grub2", "-o", output,
        "iso9660", "biosdisk", "normal")  # fmt: skip
    return output.read_bytes()


def sample(place: Path) -> Directory:
    pack = place / "pack"
    pack.write_bytes(random.Random(5).randbytes(3 * BLOCK))
    root = Directory()
    root.add("images/eltorito.img", regular(core_image(place)))
    root.add("images/efiboot.img", regular(fat(place)))
    for number in range(3):  # as the blobs of an OCI layout are called
        name = hashlib.sha256(bytes([number])).hexdigest()
        root.add(f"diskgen/container/blobs/sha256/{name}", regular(name.encode()))
    root.add("a/b/c/d/e/f/g/h/i/j/deep", regular(b"deep"))
    root.add("größe/Datei mit Leerzeichen.txt", regular(b"x"))
    root.add("same-name.TXT", regular(b"1"))
    root.add("same_name.txt", regular(b"2"))
    root.add("run", regular(b"#!/bin/sh\n", mode=0o755))
    root.add("link", symlink("images/../run"))
    root.add("sparse", File(mode=0o100644, content=Packed(pack, 8 * BLOCK, (
        (BLOCK, BLOCK, 0), (5 * BLOCK, BLOCK + 9, BLOCK)))))  # fmt: skip
    root.add("empty", regular(b""))
    return root


BOOT = (
    BootImage(path="images/eltorito.img", efi=False, load_size=4, info_table=True),
    BootImage(path="images/efiboot.img", efi=True),
)


def make(place: Path, root: Directory, name: str = "made.iso") -> tuple[Path, Mastered]:
    """Master, make it start from a stick, and sum it up: all that a build does."""
    iso = place / name
    made = master(iso, Medium(root=root, label=LABEL, timestamp=WHEN, application="DISKGEN",
                              boot=BOOT))  # fmt: skip
    core, esp = (root.get_file(image.path) for image in BOOT)
    assert core is not None
    assert esp is not None
    hybrid.make(
        iso, seed="seed",
        bios=Bios(mbr=(CORE / "boot_hybrid.img").read_bytes(),
                  core=made.places[BOOT[0].path], core_size=core.size),
        esp=Esp(start=made.places[BOOT[1].path], size=esp.size),
    )  # fmt: skip
    mediacheck.implant(iso)
    return iso, made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("iso")


@pytest.fixture(scope="module")
def root(place: Path) -> Directory:
    return sample(place)


@pytest.fixture(scope="module")
def iso(place: Path, root: Directory) -> Path:
    return make(place, root)[0]


def test_xorriso_extracts_the_same_tree(iso: Path, root: Directory, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", out)
    found = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    # Directories deeper than ISO 9660 allows are kept in a place of their own, and shown here.
    expected = {path.decode() for path, _ in root.walk()} | {"boot.cat", "rr_moved"}
    assert found == expected
    for raw, node in root.walk():
        path = out / raw.decode()
        if isinstance(node, Directory):
            continue
        if node.is_symlink:
            assert path.readlink() == Path("images/../run")
            continue
        if raw != b"images/eltorito.img":  # is patched
            assert node.content is not None
            assert path.read_bytes() == read(node.content), raw
            assert path.stat().st_mode & 0o111 == node.mode & 0o111
        assert path.lstat().st_mtime == WHEN


def test_isoinfo_reads_it(iso: Path) -> None:
    about = run("isoinfo", "-d", "-i", iso)
    assert f"Volume id: {LABEL}" in about
    assert "Joliet with UCS level 3 found" in about
    assert "Rock Ridge signatures version 1 found" in about
    assert "Application id: DISKGEN" in about
    joliet = run("isoinfo", "-J", "-f", "-i", iso)
    assert re.search(r"/diskgen/container/blobs/sha256/[0-9a-f]{64}$", joliet, re.MULTILINE)
    assert "/same-name.TXT" in joliet
    assert f'LABEL="{LABEL}"' in run("blkid", "-p", iso)


def test_the_ways_to_start(iso: Path) -> None:
    said = run("xorriso", "-indev", iso, "-report_el_torito", "plain", "-report_system_area",
               "plain")  # fmt: skip
    images = re.findall(r"El Torito boot img : +(\d) +(\S+) +y +none +\S+ +\S+ +(\d+)", said)
    assert [(kind, size) for _, kind, size in images] == [("BIOS", "4"), ("UEFI", "4096")]
    assert "/images/eltorito.img" in said
    assert "boot-info-table" in said or "grub2-boot-info" in said
    assert re.search(r"GPT partition path.*/images/efiboot\.img", said)
    assert "protective-msdos-label" in said
    assert "grub2-mbr" in said
    assert "No problems found" in run("sgdisk", "-v", iso)
    run("sfdisk", "--verify", iso)


def test_the_esp_in_the_image(iso: Path) -> None:
    start = int(re.search(r"^ *1 +(\d+)", run("sgdisk", "-p", iso), re.MULTILINE)[1]) * 512  # type: ignore[index]
    assert "BOOTX64" in run("mdir", "-i", f"{iso}@@{start}", "::/EFI/BOOT")


def test_the_medium_checks_itself(iso: Path, tmp_path: Path) -> None:
    said = subprocess.run(["checkisomd5", "--verbose", iso], check=False, capture_output=True,
                          text=True)  # fmt: skip
    assert said.returncode == 0, said.stdout
    assert "PASS" in said.stderr
    damaged = tmp_path / "damaged.iso"
    for sector in (100, last_of_files(iso)):
        data = bytearray(iso.read_bytes())
        data[sector * SECTOR] ^= 1
        damaged.write_bytes(data)
        failed = subprocess.run(["checkisomd5", damaged], check=False, capture_output=True)
        assert failed.returncode == 1, sector


def last_of_files(iso: Path) -> int:
    """Return the last sector that any file has."""
    said = run("xorriso", "-indev", iso, "-find", "/", "-type", "f", "-exec", "report_lba")
    found = re.findall(r"File data lba: +\d+ , +(\d+) , +(\d+) ,", said)
    return max(int(begin) + int(count) for begin, count in found) - 1


def test_the_checksum_is_implantisomd5s(iso: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.iso"
    theirs.write_bytes(iso.read_bytes())
    run("implantisomd5", "--force", theirs)
    assert theirs.read_bytes() == iso.read_bytes()


def test_the_same_tree_gives_the_same_bytes(
    iso: Path, place: Path, root: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    again, _ = make(place, root, "again.iso")
    assert again.read_bytes() == iso.read_bytes()


def test_a_file_of_more_than_4_gib(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.write_bytes(b"begin".ljust(BLOCK) + b"end".ljust(BLOCK))
    size = 4 * GIB + MIB
    big = Packed(pack, size, ((0, BLOCK, 0), (size - BLOCK, BLOCK, BLOCK)))
    root = Directory()
    root.add("big", File(mode=0o100644, content=big))
    iso = tmp_path / "big.iso"
    master(iso, Medium(root=root, label="BIG", timestamp=WHEN, application="T"))
    listed = run("xorriso", "-indev", iso, "-find", "/", "-exec", "lsdl")
    assert re.search(rf"{size} .*'/big'", listed)
    with iso.open("rb") as file:
        data = file.read(4 * MIB)
        begin = data.index(b"begin".ljust(BLOCK))
        file.seek(begin + size - BLOCK)
        assert file.read(3) == b"end"
    iso.unlink()


def test_an_image_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "no.iso").write_bytes(bytes(100_000))
    with pytest.raises(VerifyError, match="no ISO 9660 image"):
        mediacheck.implant(tmp_path / "no.iso")


@pytest.mark.parametrize("label", ["", "with blank", "x" * 33, "größe", "a/b", "a\udcff"])
def test_labels_that_nothing_would_find(label: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_label(label)
    assert caught.value.setting == "label"


def test_names_are_distinct() -> None:
    names = ["a.b", "A.B", "a_b", "a-b", ".hidden", "x" * 70, "x" * 71, "y.tar.gz", "folder.d"]
    short = iso_names(names, directories=frozenset({"folder.d"}))
    assert len({name.upper() for name in short.values()}) == len(names)
    for name, made in short.items():
        assert re.fullmatch(r"[A-Z0-9_]{1,31}" if name == "folder.d" else
                            r"(?=.{1,33}$)[A-Z0-9_]*\.[A-Z0-9_]*;1", made), made  # fmt: skip
    # Who knows nothing of Rock Ridge tells kinds of files by their ends.
    plain = iso_names(["README.txt", "Makefile", ".hidden"], directories=frozenset())
    assert plain == {"README.txt": "README.TXT;1", "Makefile": "MAKEFILE.;1",
                     ".hidden": "_HIDDEN.;1"}  # fmt: skip
    wide = joliet_names(names)
    assert len({name.lower() for name in wide.values()}) == len(names)
    assert all(len(name) <= 64 for name in wide.values())


def test_grub_finds_itself(place: Path, root: Directory) -> None:
    """The places that GRUB reads instead of a filesystem."""
    iso, made = make(place, root, "places.iso")
    core = made.places["images/eltorito.img"]
    with iso.open("rb") as file:
        mbr = file.read(512)
        file.seek(core)
        image = file.read(len(core_image(place)))
    assert struct.unpack_from("<Q", mbr, 0x1B0) == (core // 512 + 4,)
    # One partition over all that follows, UEFI 2.10, 5.2.3.
    assert struct.unpack_from("<II", mbr, 446 + 8) == (1, iso.stat().st_size // 512 - 1)
    assert struct.unpack_from("<Q", image, 2548) == (core // 512 + 5,)
    descriptor, own, size, total = struct.unpack_from("<4I", image, 8)
    assert (descriptor, own, size) == (16, core // 2048, len(image))
    padded = image[64:] + bytes(-len(image) % 4)
    assert total == sum(struct.unpack(f"<{len(padded) // 4}I", padded)) & 0xFFFF_FFFF
