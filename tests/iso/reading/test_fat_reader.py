"""FAT images of others, read: compared with mtools, damaged in many ways."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.iso.reading import fatreader
from diskgen.units import MIB

from ...fixtures import vendor_iso
from ...fixtures.vendor_iso import noise, patched, run


@pytest.mark.parametrize("kind", [12, 16, 32])
def test_mtools_sees_the_same(kind: int, tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTX64.EFI": noise("boot", 100_000),
        "EFI/BOOT/A long name, with blanks and ümläuts.efi": noise("long"),
        "EFI/fedora/empty": b"",
        **{f"EFI/many/file number {number}.txt": noise(str(number), 700) for number in range(100)},
    }
    if kind == 32:
        files["A filler"] = bytes(33 * MIB)  # so that others have clusters above 65535
    kib, per = {12: (2048, 4), 16: (20_000, 2), 32: (40_000, 1)}[kind]
    data = vendor_iso.fat(tmp_path, files, kib=kib, options=("-F", str(kind), "-s", str(per)))
    path = tmp_path / "image"
    path.write_bytes(b"?" * 5120 + data)
    # Pieces of a file that lie apart.
    gone = (f"::/EFI/many/file number {number}.txt" for number in range(0, 90, 3))
    run("mdel", "-i", f"{path}@@5120", *gone)
    (tmp_path / "apart").write_bytes(noise("apart", 30_000))
    run("mcopy", "-i", f"{path}@@5120", tmp_path / "apart", "::/EFI/apart and long")
    out = tmp_path / "out"
    out.mkdir()
    run("mcopy", "-s", "-i", f"{path}@@5120", "::/EFI", out)
    expected = {
        file.relative_to(out).as_posix().upper(): file.read_bytes()
        for file in out.rglob("*") if file.is_file()
    }  # fmt: skip
    found = fatreader.fat_files(path, 5120)
    assert found.pop("A filler", None) == files.get("A filler")
    assert {name.upper(): content for name, content in found.items()} == expected
    assert len(found) == 74
    assert {"EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/A long name, with blanks and ümläuts.efi",
            "EFI/apart and long"} <= set(found)  # fmt: skip
    if kind == 32:  # four bits of each entry are reserved
        table = 5120 + 512 * struct.unpack_from("<H", data, 14)[0]
        raw = bytearray(path.read_bytes())
        for at in range(table + 3, table + 4 * 70_000, 4):
            raw[at] |= 0xA0
        path.write_bytes(raw)
        again = fatreader.fat_files(path, 5120)
        del again["A filler"]
        assert again == found


def test_a_long_name_of_another_file(tmp_path: Path) -> None:
    path = fat12(tmp_path, {"EFI/A long name.efi": b"1"})
    assert fatreader.fat_files(path, 0) == {"EFI/A long name.efi": b"1"}
    at = path.read_bytes().index(b"ALONGN~1EFI")
    patched(path, (at, b"BOOTX64 EFI"))  # as DOS would rename it
    assert fatreader.fat_files(path, 0) == {"EFI/BOOTX64.EFI": b"1"}


@pytest.mark.parametrize(("kind", "kib"), [(12, 512), (16, 20_000), (32, 40_000)])
def test_every_end_of_a_chain_is_one(kind: int, kib: int, tmp_path: Path) -> None:
    """There are eight of them; mtools takes them all."""
    data = bytearray(vendor_iso.fat(tmp_path, {"d/x": b"content"}, kib=kib,
                                    options=("-F", str(kind), "-s", "1")))  # fmt: skip
    table = 512 * struct.unpack_from("<H", data, 14)[0]
    (cluster,) = struct.unpack_from("<H", data, data.index(b"D          \x10") + 26)
    assert kind != 12 or not cluster % 2  # its lower byte is one of the table
    path = tmp_path / "image"
    for low in range(0xF8, 0x100):
        data[table + cluster * kind // 8] = low
        path.write_bytes(data)
        assert run("mtype", "-i", path, "::/d/x") == "content"
        assert fatreader.fat_files(path, 0) == {"D/X": b"content"}


def fat12(place: Path, files: dict[str, bytes]) -> Path:
    path = place / "small"
    path.write_bytes(vendor_iso.fat(place, files, kib=512))
    return path


def test_limits_of_an_efi_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fat12(tmp_path, {f"EFI/{number}": bytes(1000) for number in range(10)})
    assert len(fatreader.fat_files(path, 0)) == 10
    monkeypatch.setattr(fatreader, "_MAX_FILES", 10)  # and a directory
    with pytest.raises(SourceError, match="more files"):
        fatreader.fat_files(path, 0)
    monkeypatch.undo()
    monkeypatch.setattr(fatreader, "_MAX_DEPTH", 1)
    assert len(fatreader.fat_files(path, 0)) == 10
    monkeypatch.setattr(fatreader, "_MAX_DEPTH", 0)
    with pytest.raises(SourceError, match="more files"):
        fatreader.fat_files(path, 0)
    monkeypatch.undo()
    monkeypatch.setattr(fatreader, "_MAX_CONTENT", 9999)
    with pytest.raises(SourceError, match="holds more"):
        fatreader.fat_files(path, 0)


def test_efi_images_that_are_none(tmp_path: Path) -> None:
    path = fat12(tmp_path, {"EFI/BOOT/x": noise("x", 20_000)})
    whole = path.read_bytes()
    first, tables = whole[14] * 512, whole[16] * whole[22] * 512
    for damage, message in (
        (bytes(len(whole)), "no FAT"),
        (whole[:100_000], "outside of the file"),
        (whole[:400], "outside of the file"),
        (whole[:first] + bytes(tables) + whole[first + tables :], "chain of clusters"),
    ):
        path.write_bytes(damage)
        with pytest.raises(SourceError, match=message):
            fatreader.fat_files(path, 0)
    # A directory in itself: BOOT's entry names the cluster of EFI.
    at = whole.index(b"BOOT       \x10") + 26
    folder = whole.index(b"EFI        \x10") + 26
    path.write_bytes(whole[:at] + whole[folder : folder + 2] + whole[at + 2 :])
    with pytest.raises(SourceError, match="loop"):
        fatreader.fat_files(path, 0)
