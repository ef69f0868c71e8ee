"""Images of others, read: compared with xorriso and isoinfo, damaged in many ways."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.iso.mastering.master import BootImage, Medium, master
from diskgen.iso.reading import bounded, fatreader, reader, rockridge
from diskgen.tree import Directory, File, Packed, pieces, read, regular, symlink
from diskgen.units import GIB, MIB

from ...fixtures import vendor_iso
from ...fixtures.vendor_iso import noise, patched, run

DEEP = "d/" * 11 + "at the bottom.txt"
LONG = "long " + "ö" * 120  # 245 bytes: NM with a continuation
SECTOR = 2048


@pytest.fixture(scope="module")
def isos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        maker.__name__: maker(tmp_path_factory.mktemp(maker.__name__))
        for maker in vendor_iso.MAKERS
    }


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with all that Rock Ridge is for; directories are relocated."""
    place = tmp_path_factory.mktemp("odd")
    tree = odd_tree(place)
    output = place / "odd.iso"
    run("xorriso", "-compliance", "deep_paths_off", "-rr_reloc_dir", "rr_moved", "-outdev", output,
        "-volid", "ODD", "-map", tree, "/")  # fmt: skip
    return output


def odd_tree(place: Path) -> Path:
    tree = place / "odd.d"
    for path in (DEEP, "d/" * 9 + "beside", LONG, f"{LONG}.d/{LONG}", "UPPER.lower", "two.dots.x"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(noise(path))
    (tree / "empty").write_bytes(b"")
    (tree / "none").mkdir()
    (tree / "run").write_bytes(b"#!/bin/sh\n")
    (tree / "run").chmod(0o751)
    for number in range(60):  # more than a sector of records
        (tree / f"many/file number {number}").parent.mkdir(exist_ok=True)
        (tree / f"many/file number {number}").write_bytes(bytes([number]) * number)
    for number, target in enumerate(
        ("run", "../run", "./a/../b", "/etc/passwd", "/", "..", "x" * 200 + "/" + "y" * 250,
         "/".join(["deep"] * 150))
    ):  # fmt: skip
        (tree / f"link{number}").symlink_to(target)
    os.mkfifo(tree / "fifo")
    for number, entry in enumerate(sorted(tree.rglob("*"), reverse=True)):
        os.utime(entry, (0, 1_600_000_000 + 7 * number), follow_symlinks=False)
    return tree


def compare(iso: Path, out: Path) -> dict[str, File | Directory]:
    """Compare all that the reader sees with what xorriso extracts; return what was seen."""
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", out)
    expected = {path.relative_to(out).as_posix(): path for path in out.rglob("*")}
    found = {path.decode(): node for path, node in reader.read(iso).root.walk()}
    moved = expected.pop("rr_moved", None)  # pycdlib's, in which nothing is shown
    assert moved is None or not list(moved.iterdir())
    expected.pop("boot.cat", None)
    found.pop("boot.cat", None)
    assert set(found) == set(expected)
    for name, node in found.items():
        path = expected[name]
        status = path.lstat()
        assert (node.uid, node.gid) == (status.st_uid, status.st_gid), name
        if path.is_symlink():  # of which xorriso restores neither mode nor time
            assert node.mode & 0o170000 == 0o120000, name
        else:
            assert node.mode == status.st_mode, name
            assert node.mtime_ns == status.st_mtime_ns, name
        if isinstance(node, Directory):
            continue
        if node.is_symlink:
            assert os.readlink(os.fsencode(path)) == node.target, name  # noqa: PTH115
        elif node.is_regular:
            assert node.size == status.st_size, name
            assert isinstance(node.content, Packed)
            assert node.content.pack == iso
            assert digest(node) == hashlib.sha256(path.read_bytes()).hexdigest(), name
    return found


def digest(file: File) -> str:
    assert file.content is not None
    return hashlib.sha256(b"".join(pieces(file.content))).hexdigest()


@pytest.mark.parametrize("maker", vendor_iso.MAKERS, ids=lambda maker: maker.__name__)
def test_xorriso_sees_the_same(
    maker: Callable[..., Path], isos: dict[str, Path], tmp_path: Path
) -> None:
    assert len(compare(isos[maker.__name__], tmp_path / "out")) > 10


def test_rock_ridge(odd: Path, tmp_path: Path) -> None:
    found = compare(odd, tmp_path / "out")
    assert {DEEP, LONG, f"{LONG}.d/{LONG}", "link6", "fifo", "many/file number 59"} <= set(found)
    # The tree needs what the test is about: continued names and targets, moved directories.
    raw = odd.read_bytes()
    assert b"CL\x0c\x01" in raw
    assert b"CE\x1c\x01" in raw
    assert re.search(rb"NM.\x01\x01", raw, re.DOTALL)
    assert re.search(rb"SL.\x01\x01", raw, re.DOTALL)


def test_devices_keep_their_numbers(tmp_path: Path) -> None:
    """xorriso splits a number as C libraries do; mkisofs of old put all of it into one half."""
    iso = tmp_path / "devices.iso"
    devices = {name: Path("/dev") / name for name in ("null", "urandom", "full")}
    maps = [word for name, path in devices.items() for word in ("-map", str(path), f"/{name}")]
    run("xorriso", "-outdev", iso, "-volid", "DEV", *maps)
    found = reader.read(iso).root
    for name, path in devices.items():
        node, status = found.entries[name.encode()], path.stat()
        assert isinstance(node, File)
        assert stat.S_ISCHR(node.mode)
        assert node.rdev == (os.major(status.st_rdev), os.minor(status.st_rdev)), name


def test_genisoimage_moves_directories_too(tmp_path: Path) -> None:
    tree = odd_tree(tmp_path)
    shutil.rmtree(tree / f"{LONG}.d")  # whose names it refuses
    (tree / LONG).unlink()
    (tree / "fifo").unlink()  # it would wait for a writer
    (tree / "link6").unlink()  # it writes a wrong length
    (tree / "link7").unlink()  # it would not come to an end
    iso = tmp_path / "made.iso"
    run("genisoimage", "-R", "-o", iso, tree)
    assert b"RE\x04\x01" in iso.read_bytes()
    image = reader.read(iso)
    expected = {path.relative_to(tree).as_posix() for path in tree.rglob("*")}
    assert {path.decode() for path, _ in image.root.walk()} == expected
    for path, node in image.root.walk():
        theirs = tree / path.decode()
        if isinstance(node, File) and node.is_symlink:
            assert os.readlink(os.fsencode(theirs)) == node.target, path  # noqa: PTH115
        elif isinstance(node, File) and node.is_regular:
            assert digest(node) == hashlib.sha256(theirs.read_bytes()).hexdigest()


@pytest.mark.parametrize("maker", vendor_iso.MAKERS, ids=lambda maker: maker.__name__)
def test_isoinfo_sees_the_same(maker: Callable[..., Path], isos: dict[str, Path]) -> None:
    iso = isos[maker.__name__]
    image = reader.read(iso)
    listed = set(run("isoinfo", "-R", "-f", "-i", iso).splitlines())
    assert {"/" + path.decode() for path, _ in image.root.walk()} == listed
    about = run("isoinfo", "-d", "-i", iso)
    assert f"Volume id: {image.label}\n" in about
    assert f"Volume size is: {image.size // SECTOR}\n" in about
    content = subprocess.run(["isoinfo", "-R", "-i", iso, "-x", "/images/install.img"], check=True,
                             capture_output=True).stdout  # fmt: skip
    file = image.root.get_file("images/install.img")
    assert file is not None
    assert file.content is not None
    assert read(file.content) == content
    assert image.system_area == iso.read_bytes()[: 16 * SECTOR]


@pytest.mark.parametrize("maker", vendor_iso.MAKERS, ids=lambda maker: maker.__name__)
def test_what_the_firmware_starts(maker: Callable[..., Path], isos: dict[str, Path]) -> None:
    iso = isos[maker.__name__]
    said = run("xorriso", "-indev", iso, "-report_el_torito", "plain")
    listed = re.findall(r"boot img : +\d+ +(BIOS|UEFI) +y +\S+ +\S+ +\S+ +(\d+) +(\d+)", said)
    assert listed
    assert [
        ("UEFI" if entry.efi else "BIOS", str(entry.load_size), str(entry.start // SECTOR))
        for entry in reader.read(iso).boot
    ] == listed


def test_without_rock_ridge(tmp_path: Path) -> None:
    tree = vendor_iso.write(tmp_path / "in", {"README": b"1", "dir.d/file.txt": b"2", "x.tgz": b""})
    iso = tmp_path / "plain.iso"
    run("genisoimage", "-o", iso, tree)
    root = reader.read(iso).root
    nodes = dict(root.walk())
    assert set(nodes) == {b"readme", b"dir.d", b"dir.d/file.txt", b"x.tgz"}
    assert digest(nodes[b"readme"]) == hashlib.sha256(b"1").hexdigest()  # type: ignore[arg-type]
    assert nodes[b"readme"].mode == 0o100644


def test_an_image_of_our_own(tmp_path: Path) -> None:
    root = Directory()
    root.add("images/efiboot.img", regular(noise("esp")))
    root.add("a/b/c/d/e/f/g/h/i/j/k/deep", regular(b"deep"))
    root.add("größe/Datei mit Leerzeichen.txt", regular(b"x", mode=0o600))
    root.add("link", symlink("/usr/../" + "x" * 240))
    root.add("empty", regular(b""))
    iso = tmp_path / "own.iso"
    made = master(iso, Medium(root=root, label="Own-1.0_x86_64-and-a-long-label", application="T",
                              timestamp=1_700_000_000,
                              boot=(BootImage(path="images/efiboot.img", efi=True),)))  # fmt: skip
    compare(iso, tmp_path / "out")
    image = reader.read(iso)
    expected = {path for path, _ in root.walk()} | {b"boot.cat"}
    assert {path for path, _ in image.root.walk()} == expected
    assert image.label == "Own-1.0_x86_64-and-a-long-label"
    assert [entry.start for entry in image.boot] == [made.places["images/efiboot.img"]]
    # And what was read can be written again, from where it lies.
    again = tmp_path / "again.iso"
    master(again, Medium(root=image.root, label=image.label, application="T", timestamp=1))
    for (path, ours), (other, theirs) in zip(
        image.root.walk(), reader.read(again).root.walk(), strict=True
    ):
        assert path == other
        if isinstance(ours, File) and ours.is_regular:
            assert digest(ours) == digest(theirs)  # type: ignore[arg-type]


def test_a_file_in_sections(tmp_path: Path) -> None:
    size = 4 * GIB + 3 * MIB + 5
    tree = vendor_iso.write(tmp_path / "in", {"before": b"1", "zafter": b"2"})
    with (tree / "big").open("wb") as file:
        file.write(b"begin")
        file.seek(size - 3)
        file.write(b"end")
    iso = tmp_path / "big.iso"
    with subprocess.Popen(
        ["xorriso", "-as", "mkisofs", "-iso-level", "3", "-R", "-o", "-", tree],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as made:  # fmt: skip
        subprocess.run(["dd", f"of={iso}", "bs=1M", "iflag=fullblock", "conv=sparse"],
                       stdin=made.stdout, stderr=subprocess.DEVNULL, check=True)  # fmt: skip
    said = run("xorriso", "-indev", iso, "-find", "/big", "-exec", "report_sections")
    sections = re.findall(r"File data lba: +(\d+) , +(\d+) , +(\d+) , +(\d+) , '/big'", said)
    assert len(sections) == 2
    image = reader.read(iso)
    big = image.root.get_file("big")
    assert big is not None
    start = int(sections[0][1]) * SECTOR
    assert big.content == Packed(iso, size, ((0, size, start),))  # the sections touch
    with iso.open("r+b") as file:
        file.seek(start)
        assert file.read(5) == b"begin"
        file.seek(start + size - 3)
        assert file.read(3) == b"end"
        # The same file in two places: its last section now begins a sector earlier.
        first = 0xFFFF_F800
        record = struct.pack("<I", start // SECTOR + first // SECTOR)
        file.seek(0)
        head = file.read(200 * SECTOR)
        at = head.index(record)
        file.seek(at)
        file.write(struct.pack("<I", start // SECTOR + first // SECTOR - 1))
    big = reader.read(iso).root.get_file("big")
    assert big is not None
    assert big.content == Packed(iso, size, (
        (0, first, start), (first, size - first, start + first - SECTOR)))  # fmt: skip
    assert {path for path, _ in image.root.walk()} == {b"before", b"big", b"zafter"}
    iso.unlink()


def test_a_slice_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(noise("slice", 9000))
    assert read(reader.slice_of(path, 4096, 4000)) == noise("slice", 9000)[4096:8096]
    assert reader.slice_of(path, 9000, 0) == Packed(path, 0, ())
    for start, size in ((9000, 1), (-1, 5), (5, -1), (8999, 2)):
        with pytest.raises(SourceError, match="outside of the file"):
            reader.slice_of(path, start, size)


@pytest.fixture
def small(isos: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    path = tmp_path / "small.iso"
    shutil.copyfile(isos["lorax_x86_64"], path)
    return path


def test_what_is_no_image(small: Path, tmp_path: Path) -> None:
    empty = tmp_path / "it is empty"
    empty.write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        (empty, "'.*it is empty' is no ISO 9660 image"),
        (Path("/bin/sh"), "'/bin/sh' is no ISO 9660 image"),
        (tmp_path, "is no file"),
        (tmp_path / "fifo", "is no file"),
        (tmp_path / "missing", "cannot be read: No such file"),
    ):
        with pytest.raises(SourceError, match=message) as caught:
            reader.read(path)
        assert caught.value.hint
    size = small.stat().st_size
    for left in (size - 1, size // 2, 20 * SECTOR):
        os.truncate(small, left)
        with pytest.raises(SourceError, match=f"truncated: it has {left} of {size} bytes"):
            reader.read(small)
    for left in (17 * SECTOR - 1, 16 * SECTOR + 7, 16 * SECTOR, 100):
        os.truncate(small, left)
        with pytest.raises(SourceError, match=r"small\.iso'"):
            reader.read(small)


def record_of(raw: bytes, name: bytes) -> int:
    """Return where the directory record is that has a Rock Ridge name."""
    at = raw.index(b"NM" + bytes([len(name) + 5, 1, 0]) + name)
    begin = max(at - 254, at // SECTOR * SECTOR)
    for start in range(begin, at):
        end = start + raw[start]
        if raw[start + 2 : start + 6] == raw[start + 6 : start + 10][::-1] and at < end <= at + 255:
            return start
    raise AssertionError(name)


def both(number: int) -> bytes:
    return struct.pack("<I", number) + struct.pack(">I", number)


def test_damage_has_a_name(small: Path) -> None:
    raw = small.read_bytes()
    boot, images = record_of(raw, b"boot"), record_of(raw, b"images")
    licence = record_of(raw, b"LICENSE")
    at_name = raw.index(b"NM\x0c\x01\x00LICENSE") + 5
    catalogue = struct.unpack_from("<I", raw, 17 * SECTOR + 71)[0] * SECTOR
    root = struct.unpack_from("<I", raw, 16 * SECTOR + 158)[0]
    for at, data, message in (
        (16 * SECTOR + 128, struct.pack("<H", 512), "blocks have 512 bytes"),
        (16 * SECTOR + 158, both(0x7FFF_FFFF), "outside of the file"),
        (16 * SECTOR + 158, both(1), "directory"),
        (16 * SECTOR, b"\3", "no primary volume descriptor"),
        (18 * SECTOR, b"\2nope.", "no end"),
        (catalogue, b"\0", "boot catalogue is none"),
        (catalogue + 32 + 8, b"\xff\xff\xff\x7f", "outside of the file"),
        (boot + 2, both(root), "in a loop"),
        (boot + 2, both(0x7FFF_FFFF), "'BOOT' would lie outside of the file"),
        (licence + 10, both(0x7FFF_FFFF), "'LICENSE.*' would lie outside of the file"),
        (licence + 26, b"\1", "interleaved"),
        (licence + 25, b"\x80", "section of a file is missing"),
        (licence + 32, b"\xf0", "does not fit its name"),
        (licence, b"\x20", "too short"),
        (at_name, b"../../x", "name '../../x'"),
        (at_name, b"L\0CENSE", r"name 'L\\x00CENSE'"),
        (at_name - 3, b"\xf0", "does not fit its directory record"),
        (images + 25, b"\0", "'/images' has the wrong type"),
    ):
        patched(small, (at, data))
        with pytest.raises(SourceError, match=message) as caught:
            reader.read(small)
        assert f"'{small}'" in caught.value.message
        assert caught.value.hint
        patched(small, (at, raw[at : at + len(data)]))
    assert reader.read(small).root.get_file("LICENSE") is not None


def test_what_records_may_say(small: Path) -> None:
    raw = small.read_bytes()
    licence = record_of(raw, b"LICENSE")
    sp = raw.index(b"SP\x07\x01\xbe\xef")
    catalogue = struct.unpack_from("<I", raw, 17 * SECTOR + 71)[0] * SECTOR

    def after(at: int, data: bytes) -> reader.Image:
        found = reader.read(patched(small, (at, data)))
        patched(small, (at, raw[at : at + len(data)]))
        return found

    whole = reader.read(small)
    file = whole.root.get_file("LICENSE")
    assert file is not None
    assert isinstance(file.content, Packed)
    assert after(licence + 25, b"\4").root.get("LICENSE") is None  # an associated file
    moved = after(licence + 1, b"\1").root.get_file("LICENSE")  # an extended attribute record
    assert moved is not None
    ((at, length, start),) = file.content.extents
    assert moved.content == Packed(small, file.size, ((at, length, start + SECTOR),))
    later = after(licence + 24, bytes([raw[licence + 24] + 8 & 0xFF])).root.get_file("LICENSE")
    assert later is not None
    assert later.mtime_ns == file.mtime_ns - 2 * 3600 * 10**9  # its zone is two hours to the east
    assert after(licence + 19, b"\x0d").root.get_file("LICENSE").mtime_ns == 0  # type: ignore[union-attr]
    assert b"license" in after(sp + 6, b"\xff").root.entries  # where Rock Ridge would begin
    # What follows the last section is none.
    more = bytes([0x90, 0, 1, 0]) + bytes(28) + raw[catalogue + 32 : catalogue + 64]
    assert after(catalogue + 128, more).boot == whole.boot
    not_last = b"\x90" + raw[catalogue + 65 : catalogue + 128]
    assert len(after(catalogue + 64, not_last + more).boot) == 3
    with pytest.raises(SourceError, match="boot catalogue is none"):
        after(catalogue + 4, b"x")


def test_attributes_that_are_too_long(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(100_000))
    link = b"SL" + bytes([255, 1, 0, 0, 248]) + b"x" * 248
    name = b"NM" + bytes([205, 1, 0]) + b"x" * 200
    area = b"CE\x1c\x01" + both(0) + both(0)
    with bounded.opened(path, 100_000) as source:
        assert len(rockridge.attributes(source, link * 16).target or b"") == 248 * 16 + 15
        for system_use, message in (
            (link * 17, "too long"),
            (name * 2, "too long"),
            (area + both(70_000), "continuation is too long"),
            (b"ZF\x10\x01" + bytes(12), "encoded in a way"),
            (b"PX\x08\x01" + bytes(4), "too short"),
        ):
            with pytest.raises(SourceError, match=message):
                rockridge.attributes(source, system_use)


def test_two_of_one_name(tmp_path: Path) -> None:
    iso = vendor_iso.xorriso(tmp_path, {"name1": b"1", "name2": b"2"}, "-R")
    at = iso.read_bytes().index(b"NM\x0a\x01\x00name2")
    patched(iso, (at + 9, b"1"))
    with pytest.raises(SourceError, match="'/name1' is there twice"):
        reader.read(iso)


def test_attributes_without_an_end(odd: Path, tmp_path: Path) -> None:
    path = tmp_path / "endless.iso"
    shutil.copyfile(odd, path)
    raw = path.read_bytes()
    at = raw.index(b"CE\x1c\x01", 19 * SECTOR)  # after the one of the root
    (block,), (offset,) = (struct.unpack_from("<I", raw, at + skip) for skip in (4, 12))
    target = block * SECTOR + offset
    # The continuation's first entry becomes one that continues there again.
    patched(path, (target, raw[at : at + 20] + both(28)))
    patched(path, (at + 20, both(28)))
    with pytest.raises(SourceError, match="have no end"):
        reader.read(path)


def test_limits_of_an_image(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, message in (
        ("_MAX_ENTRIES", 50, "more than 50 files"),
        ("_MAX_DEPTH", 10, "more than 10 directories in one another"),
        ("_BUDGET", 60_000, "more to read than any installer needs"),
        ("_MAX_DIRECTORY", 4096, "a directory is too large"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(reader, name, value)
            with pytest.raises(SourceError, match=message):
                reader.read(odd)
    reader.read(odd)


@pytest.mark.parametrize("which", ["lorax_x86_64", "dvd_x86_64", "odd"])
def test_random_damage(which: str, isos: dict[str, Path], odd: Path, tmp_path: Path) -> None:
    """Whatever happens to bytes, the answer is an error for users or a tree."""
    path = tmp_path / "fuzz.iso"
    shutil.copyfile(isos.get(which, odd), path)
    raw = path.read_bytes()
    image = reader.read(path)
    content = min(
        node.content.extents[0][2] for _, node in image.root.walk()
        if isinstance(node, File) and isinstance(node.content, Packed) and node.content.extents
    )  # fmt: skip
    spots = [at for at in range(16 * SECTOR, content) if raw[at]]
    efi = next((entry.start for entry in image.boot if entry.efi), None)
    if efi is not None:
        spots += [efi + at for at in range(16 * 1024) if raw[efi + at]]
    chance = random.Random(which)
    good = bad = 0
    for _ in range(400):
        changes = [
            (at, bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))]))
            for at in chance.sample(spots, chance.choice((1, 3, 20)))
        ]
        patched(path, *changes)
        try:
            image = reader.read(path)
            for _, node in image.root.walk():
                if isinstance(node, File) and node.content is not None:
                    assert len(read(node.content)) == node.size
            good += 1
            if efi is not None:
                fatreader.fat_files(path, efi)
        except SourceError:
            bad += 1
        patched(path, *((at, raw[at : at + 1]) for at, _ in changes))
    assert good > 20
    assert bad > 20
