"""Installers of vendors, told by what is on their media."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from diskgen.iso.reading import reader
from diskgen.iso.vendors import vendor, vendormenu
from diskgen.ostree.facts import UnfitError
from diskgen.tree import File, Packed, read
from diskgen.units import MIB

from ...fixtures import vendor_iso
from ...fixtures.vendor_iso import noise


@pytest.fixture(scope="module")
def isos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        maker.__name__: maker(tmp_path_factory.mktemp(maker.__name__))
        for maker in vendor_iso.MAKERS
    }


def examined(iso: Path) -> vendor.Vendor:
    return vendor.examine(reader.read(iso))


EXPECTED = {
    "lorax_x86_64": ("x86_64", "grub", "Fedora", "42", "F42", (), False),
    "el9_x86_64": ("x86_64", "isolinux", "CentOS Stream", "9", "RHEL9", ("fips=0",), False),
    "dvd_x86_64": ("x86_64", "isolinux", "AlmaLinux", "9.4", "RHEL9", ("fips=0",), True),
    "lorax_aarch64": ("aarch64", "efi", "Fedora", "42", "F42", ("ro",), False),
    "lorax_s390x": ("s390x", "mainframe", "Red Hat Enterprise Linux", "10.0", "RHEL10",
                    ("ro", "rd.znet=qeth"), False),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_published_layouts(name: str, isos: dict[str, Path]) -> None:
    iso = isos[name]
    image = reader.read(iso)
    found = vendor.examine(image)
    assert EXPECTED[name] == (
        found.machine.name, found.style, found.product, found.version, found.kickstart,
        found.arguments, found.packages,
    )  # fmt: skip
    assert found.stage2 == "images/install.img"
    folder = "images/" if name == "lorax_s390x" else "images/pxeboot/"
    kernel = "kernel.img" if name == "lorax_s390x" else "vmlinuz"
    assert (found.kernel, found.initrd) == (folder + kernel, f"{folder}initrd.img")
    if name == "lorax_x86_64":
        assert found.bios_core is image.root.get_file("images/eltorito.img") is not None
        assert found.bios_modules is image.root.get_dir("boot/grub2/i386-pc") is not None
        # All of GRUB's code but the place that xorriso wrote into it.
        code = vendor_iso.BOOT_HYBRID.read_bytes()
        assert found.mbr is not None
        assert found.mbr[:432] == code[:432]
        assert len(found.mbr) == 440
    else:
        assert (found.bios_core, found.bios_modules, found.mbr) == (None, None, None)
    efi = {path.upper(): data for path, data in found.esp.items()}
    medium = image.root.get_dir("EFI")
    assert efi == {
        f"EFI/{path.decode()}".upper(): read(node.content)
        for path, node in (medium.walk() if medium else ())
        if isinstance(node, File) and node.content is not None
    }
    assert bool(efi) == (name != "lorax_s390x")


def test_the_efi_image_is_found_as_content(isos: dict[str, Path]) -> None:
    image = reader.read(isos["lorax_x86_64"])
    (entry,) = (entry for entry in image.boot if entry.efi)
    part = reader.slice_of(image.path, entry.start, entry.load_size * 512)
    assert read(part)[510:512] == b"\x55\xaa"
    assert hashlib.sha256(read(part)).digest() == hashlib.sha256(
        (image.path.parent / "efiboot.img").read_bytes()).digest()  # fmt: skip


def test_no_boot_code_for_sticks(tmp_path: Path) -> None:
    iso = vendor_iso.lorax_x86_64(tmp_path)
    with iso.open("r+b") as file:
        file.write(bytes(440))
    found = examined(iso)
    assert (found.style, found.mbr) == ("grub", None)


def test_product_img_and_root_repository(tmp_path: Path) -> None:
    iso = vendor_iso.lorax_x86_64(tmp_path, {
        "images/product.img": b"070701", "repodata/repomd.xml": b"<repomd/>"})  # fmt: skip
    found = examined(iso)
    assert found.product_img is not None
    assert found.packages


def problems(iso: Path) -> list[str]:
    with pytest.raises(UnfitError) as caught:
        examined(iso)
    for problem in caught.value.problems:
        assert (problem.code, problem.setting) == ("installer", "installer")
        assert problem.hint
    return [problem.message for problem in caught.value.problems]


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    iso = vendor_iso.xorriso(tmp_path, {"README": b"not an installer"}, "-R", "-V", "X")
    said = problems(iso)
    assert len(said) == 4
    assert all(f"'{iso}'" in message for message in said)
    for part in ("for which architecture", "no kernel", "no initramfs", "no installer"):
        assert any(part in message for message in said), part


def test_a_mainframe_without_its_parts(tmp_path: Path) -> None:
    said = problems(vendor_iso.lorax_s390x(tmp_path, {
        "images/kernel.img": b"", "images/cdboot.img": noise("x")}))  # fmt: skip
    assert [message.rpartition("' has ")[2] for message in said] == [
        "no kernel: there is no 'images/kernel.img' on it"
    ]
    iso = vendor_iso.xorriso(tmp_path, {
        ".discinfo": vendor_iso.discinfo("Fedora 42", "s390x"), "images/kernel.img": b"k",
        "images/initrd.img": b"i", "images/install.img": b"r"}, "-R", name="bare")  # fmt: skip
    assert [message.rpartition("' has ")[2] for message in problems(iso)] == [
        "no 'images/cdboot.img'"
    ]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_efi_image(machine: str, tmp_path: Path) -> None:
    iso = vendor_iso.xorriso(tmp_path, {
        ".discinfo": vendor_iso.discinfo("Fedora 42", machine), "images/pxeboot/vmlinuz": b"k",
        "images/pxeboot/initrd.img": b"i", "LiveOS/squashfs.img": b"r"}, "-R")  # fmt: skip
    (said,) = problems(iso)
    assert f"no EFI image, by which {machine} starts" in said


def test_a_damaged_efi_image(tmp_path: Path) -> None:
    iso = vendor_iso.lorax_aarch64(tmp_path)
    start = next(entry.start for entry in reader.read(iso).boot)
    with iso.open("r+b") as file:
        file.seek(start + 11)
        file.write(bytes(2))
    (said,) = problems(iso)
    assert "no FAT filesystem" in said


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({".discinfo": b"1\nFedora 42\naarch64\n"}, "does not agree on its architecture"),
        ({".discinfo": b"1\nFedora 42\nvax\n"}, r"is for 'vax', as its '.discinfo' says"),
        ({".discinfo": b"1\nFedora 42\nppc64le\n", "EFI/BOOT/BOOTX64.EFI": None}, "agree"),
        ({".treeinfo": b"[general]\narch = s390x\n"}, "'.treeinfo': s390x"),
        ({"images/install.img": None}, "holds no installer"),
        ({"images/install.img": b""}, "holds no installer"),
        ({"boot/grub2/grub.cfg": bytes(MIB + 1)}, r"'boot/grub2/grub.cfg' of 1048577 bytes"),
    ],
)
def test_media_that_are_refused(extra: vendor_iso.Files, message: str, tmp_path: Path) -> None:
    assert re.search(message, "\n".join(problems(vendor_iso.lorax_x86_64(tmp_path, extra))))


def test_the_architecture_without_discinfo(tmp_path: Path) -> None:
    found = examined(vendor_iso.lorax_aarch64(tmp_path, {".discinfo": None}))
    assert (found.machine.name, found.product, found.version) == ("aarch64", "Fedora", "42")


def test_damaged_texts_are_passed_over(tmp_path: Path) -> None:
    found = examined(vendor_iso.lorax_x86_64(tmp_path, {
        ".treeinfo": b"\xff\0 no [section\n= =\n", ".discinfo": b"\x1b[31m\n\x1b]0;x\x07 7\n",
        "boot/grub2/grub.cfg": b"'\"\\"}))  # fmt: skip
    assert (found.machine.name, found.version) == ("x86_64", "7")
    assert found.product.isprintable()
    assert found.arguments == ()


@pytest.mark.parametrize(
    ("label", "release", "product", "version", "kickstart"),
    [
        ("Fedora-S-dvd-x86_64-43", "", "Fedora", "43", "F43"),
        ("RHEL-9-4-0-BaseOS-x86_64", "", "RHEL", "9.4.0", "RHEL9"),
        ("Rocky-10-0-x86_64-dvd", "", "Rocky", "10.0", "RHEL10"),
        ("CentOS-Stream-10-BaseOS-x86_64", "", "CentOS Stream", "10", "RHEL10"),
        ("Fedora-E-dvd-x86_64-rawh", "Fedora Rawhide", "Fedora rawh", "", None),
        ("X", "Rocky Linux 9.5 (Blue Onyx)", "Rocky Linux", "9.5", "RHEL9"),
        ("X", "Fedora 99", "Fedora", "99", None),
        ("X", "Anything 42", "Anything", "42", None),
        ("OL-9-4-0-BaseOS-x86_64", "Oracle Linux 9.4", "Oracle Linux", "9.4", "RHEL9"),
        ("OL-10-0-0-BaseOS-x86_64", "", "OL", "10.0.0", "RHEL10"),
    ],
)
def test_products(
    label: str, release: str, product: str, version: str, kickstart: str | None, tmp_path: Path
) -> None:
    found = examined(vendor_iso.lorax_x86_64(tmp_path, {
        ".discinfo": vendor_iso.discinfo(release, "x86_64")}, label=label))  # fmt: skip
    assert (found.product, found.version, found.kickstart) == (product, version, kickstart)


def test_treeinfo_names_all(tmp_path: Path) -> None:
    info = vendor_iso.treeinfo("Fedora", "44", "x86_64", {"Server": "."})
    extra = {".treeinfo": info.replace(b"images/install.img", b"other/runtime"),
             ".discinfo": None, "other/runtime": b"r"}  # fmt: skip
    found = examined(vendor_iso.lorax_x86_64(tmp_path, extra))
    assert (found.stage2, found.kickstart, found.packages) == ("other/runtime", "F44", False)
    again = examined(vendor_iso.lorax_x86_64(tmp_path, {**extra, "repodata/repomd.xml": b"<x/>"}))
    assert again.packages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("menuentry a {\n linux /v a b\n initrd /i\n}\nmenuentry b {\nlinux /w c\n}",
         ("v", "i", ("a", "b"))),
        ("menuentry a { linuxefi (cd0)/v a ; initrdefi (cd0)/i ; }", ("v", "i", ("a",))),
        ("menuentry a {\n linux /v a\n}\nmenuentry b {\n linux /w b\n initrd /i\n}",
         ("v", "", ("a",))),
        ("linux /early x\nmenuentry a {\n linux /v rhgb quiet last\n}", ("v", "", ("last",))),
        ("menuentry 'one' {\n true\n}\nsubmenu x {\nmenuentry b {\nlinux /v b\n}}",
         ("v", "", ("b",))),
        ("linux /v inst.stage2=hd:LABEL=X inst.repo=cdrom inst.ks=hd:x rd.live.check k",
         ("v", "", ("k",))),
        (r"""linux /v 'a b' "c \"d" e\x20f g=$h i#j # comment 'k""",
         ("v", "", ("a b", 'c "d', "ex20f", "i#j"))),
        ("linux /v a=\\\\x20 b\\\nc", ("v", "", (r"a=\x20", "bc"))),
        ("# linux /v\n### don't ###\nlinux /v 'open a", ("v", "", ("open", "a"))),
    ],
)  # fmt: skip
def test_grub_menus(text: str, expected: tuple[str, str, tuple[str, ...]]) -> None:
    found = vendormenu.grub(text)
    assert found is not None
    assert (found.kernel, found.initrd, found.arguments) == expected


def test_menus_without_a_kernel() -> None:
    assert vendormenu.grub("") is None
    assert vendormenu.grub("menuentry 'x' {\n chainloader +1\n}") is None
    assert vendormenu.isolinux("append x\nlabel local\n localboot 0xffff\n") is None


def test_isolinux_menus() -> None:
    found = vendormenu.isolinux(
        "APPEND global\nLABEL local\n LOCALBOOT -1\n"
        "label l\n KERNEL /k\n append INITRD initrd=i a\n"
    )
    assert found is not None
    assert (found.kernel, found.initrd, found.arguments) == ("k", "isolinux/i", ("INITRD", "a"))


def test_a_huge_menu_takes_no_time() -> None:
    """A quotation mark without its other must not be sought again and again."""
    half = MIB // 2
    for text in ("'" * (MIB - 1), '"\\' * half, "a\\" * half, '"' + "'\\" * half):
        assert vendormenu.grub(text) is None


def test_random_damage(isos: dict[str, Path], tmp_path: Path) -> None:
    """Texts and EFI images full of nonsense: an error for users, or an answer."""
    path = tmp_path / "fuzz.iso"
    image = reader.read(isos["dvd_x86_64"])
    raw = bytearray(image.path.read_bytes())
    efi = next(entry.start for entry in image.boot if entry.efi)
    spots = [efi + at for at in range(16 * 1024) if raw[efi + at]]
    for name in (".treeinfo", ".discinfo", "isolinux/isolinux.cfg"):
        file = image.root.get_file(name)
        assert file is not None
        assert isinstance(file.content, Packed)
        spots += [file.content.extents[0][2] + at for at in range(file.size)]
    chance = random.Random(9)
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        damaged = raw.copy()
        for at in chance.sample(spots, chance.choice((1, 3, 20))):
            damaged[at] = chance.choice((0, 10, 34, 39, 61, 91, 92, 0x7F, 0xFF))
        path.write_bytes(damaged)
        try:
            found = examined(path)
            outcomes[True] += 1
            assert found.product.isprintable()
            assert all(word.isprintable() for word in found.arguments)
        except UnfitError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 10
