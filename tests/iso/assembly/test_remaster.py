"""Vendors' media made into ours, and read by independent programs."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diskgen import build_iso
from diskgen.arch import MACHINES
from diskgen.config import IsoRequest
from diskgen.errors import DiskgenError
from diskgen.events import discard
from diskgen.iso.assembly import remaster
from diskgen.iso.mastering.master import Medium, master
from diskgen.iso.reading import reader
from diskgen.iso.runtimes import overlay
from diskgen.iso.vendors import vendor
from diskgen.reference import parse
from diskgen.tree import Directory, read, regular

from ...fixtures import vendor_iso
from ...fixtures.oci import EPOCH
from ...fixtures.program import Program
from ...fixtures.remaster import Maker, detected, extracted, payload, run

OWN = os.environ.get("DISKGEN_ANACONDA_ISO")
NAMES = [maker.__name__ for maker in vendor_iso.MAKERS] + (["yours"] if OWN else [])
KSVALIDATOR = Path(sys.executable).with_name("ksvalidator")


@dataclass(frozen=True)
class Case:
    """A vendor's medium, what became of it, and the files of both as xorriso extracts them."""

    vendor_iso: Path
    vendor: vendor.Vendor
    label: str
    iso: Path
    old: Path
    new: Path

    def text(self, path: str) -> str:
        return (self.new / path).read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("remaster")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def make(shared: Path) -> Maker:
    return Maker(shared)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, shared: Path, make: Maker) -> Iterator[Case]:
    place = shared / request.param
    place.mkdir()
    if request.param == "yours":
        assert OWN is not None
        source = Path(OWN)
    else:
        source = getattr(vendor_iso, request.param)(place)
    image = reader.read(source)
    found = vendor.examine(image)
    iso = make(source, place / "made.iso", "--arch", found.machine.name, "--unattended", "vda")
    yield Case(
        vendor_iso=source, vendor=found, label=image.label, iso=iso,
        old=extracted(source, place / "old"), new=extracted(iso, place / "new"),
    )  # fmt: skip
    shutil.rmtree(place)


def sums(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def esp_files(case: Case, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of the EFI image, by names in lower case."""
    run("mcopy", "-s", "-i", case.new / "images/efiboot.img", "::/EFI", tmp_path)
    return {
        path.relative_to(tmp_path).as_posix().lower(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }


def test_the_medium_checks_itself(case: Case) -> None:
    run("checkisomd5", case.iso)
    assert f"Volume id: {case.label}" in run("isoinfo", "-d", "-i", case.iso)


def test_it_is_recognised_as_the_vendors_is(case: Case) -> None:
    ours, theirs = detected(case.iso), detected(case.vendor_iso)
    assert theirs in (None, ours)  # xorriso names no system by itself, vendors do
    if case.label in (vendor_iso.FEDORA, vendor_iso.CENTOS):
        assert ours is not None


def test_what_is_the_vendors_stays(case: Case) -> None:
    """Kernels, programs, runtime, packages; all but what has to name the new things."""
    before, after = sums(case.old), sums(case.new)
    made = re.compile(
        r"(.*/)?(grub\.cfg|boot\.conf|isolinux\.cfg|boot\.cat(alog)?|efiboot\.img|eltorito\.img"
        r"|isolinux\.bin|product\.img|initrd\.addrsize|cdboot\.img|[a-z-]+\.prm|[a-z-]+\.ins)",
        re.IGNORECASE,
    )
    for path, digest in before.items():
        if path != ".treeinfo" and not made.fullmatch(path):
            assert after.get(path) == digest, path
    for path in after.keys() - before.keys():
        assert path.startswith("diskgen/") or made.fullmatch(path), path


def test_the_ways_to_start(case: Case) -> None:
    said = run("xorriso", "-indev", case.iso, "-report_el_torito", "plain",
               "-report_system_area", "plain")  # fmt: skip
    kinds = re.findall(r"El Torito boot img : +\d +(\S+) +y ", said)
    expected = {"grub": ["BIOS", "UEFI"], "isolinux": ["BIOS", "UEFI"], "efi": ["UEFI"],
                "mainframe": ["BIOS"]}  # fmt: skip
    assert kinds == expected[case.vendor.style]
    if case.vendor.style in ("grub", "isolinux"):
        assert "boot-info-table" in said or "grub2-boot-info" in said
    if case.vendor.style == "grub":
        assert "grub2-mbr" in said
    if case.vendor.style != "mainframe":
        assert "No problems found" in run("sgdisk", "-v", case.iso)
        assert re.search(r"GPT partition path.*/images/efiboot\.img", said)


def test_the_efi_image(case: Case, tmp_path: Path) -> None:
    if case.vendor.style == "mainframe":
        pytest.skip("there is none")
    found = esp_files(case, tmp_path)
    for path, data in case.vendor.esp.items():
        if not path.lower().endswith((".cfg", ".conf")):
            assert found[path.lower()] == data
    menus = {data for path, data in found.items() if path.endswith((".cfg", ".conf"))}
    assert menus == {(case.new / "EFI/BOOT/grub.cfg").read_bytes()}
    run("fsck.vfat", "-n", case.new / "images/efiboot.img")


def test_every_menu_starts_the_vendors_kernel(case: Case) -> None:
    stage2 = f"inst.stage2=hd:LABEL={case.label} "
    paths = [path for path in case.new.rglob("*") if path.name in ("grub.cfg", "BOOT.conf")]
    for path in paths:
        run("grub-script-check", path)
        text = path.read_text()
        assert "search --no-floppy --set=root --file /diskgen/id-" in text
        lines = re.findall(r"linux(?:efi)? (\S+) (.*)", text)
        assert len(lines) > 5
        assert {kernel for kernel, _ in lines} == {f"/{case.vendor.kernel}"}
        assert all(words.startswith(stage2) for _, words in lines)
        assert all(word in f" {words} " for _, words in lines for word in case.vendor.arguments)
    places = {path.relative_to(case.new).as_posix() for path in paths}
    assert ("boot/grub2/grub.cfg" in places) == (case.vendor.style == "grub")
    assert ("EFI/BOOT/grub.cfg" in places) == (case.vendor.style != "mainframe")
    if case.vendor.style == "isolinux":
        text = case.text("isolinux/isolinux.cfg")
        lines = re.findall(r"append initrd=(\S+) (.*)", text)
        assert {initrd for initrd, _ in lines} == {f"/{case.vendor.initrd}"}
        assert all(words.startswith(stage2) for _, words in lines)
        old = any(b"linuxefi" in data for data in case.vendor.esp.values() if len(data) < 50_000)
        assert ("linuxefi" in case.text("EFI/BOOT/grub.cfg")) == old
    if case.vendor.style == "mainframe":
        for name in ("cdboot", "generic", "genericdvd", "image", "package"):
            lines_ = case.text(f"images/{name}.prm").splitlines()
            assert all(len(line) <= 80 for line in lines_)
            assert stage2 in f"{' '.join(lines_)} "
            assert set(case.vendor.arguments) <= set(" ".join(lines_).split())
        image = (case.new / "images/cdboot.img").read_bytes()
        line = case.text("images/cdboot.prm").replace("\n", " ").strip()
        assert image[0x10480:].startswith(line.encode())


def test_the_overlay(case: Case, tmp_path: Path) -> None:
    data = lzma.decompress((case.new / "images/product.img").read_bytes())
    subprocess.run(["cpio", "-idm", "--quiet"], input=data, cwd=tmp_path, check=True)
    chooser = (tmp_path / "usr/share/anaconda/interactive-defaults.ks").read_text()
    assert "%include /tmp/diskgen-payload.ks" in chooser
    assert (tmp_path / "usr/share/diskgen/image-remote.ks").is_file()
    run(KSVALIDATOR, "-v", case.vendor.kickstart or "F44",
        tmp_path / "usr/share/anaconda/interactive-defaults.ks")  # fmt: skip


def test_the_kickstarts(case: Case, tmp_path: Path) -> None:
    found = sorted((case.new / "diskgen").glob("*.ks"))
    assert {"image-offline.ks", "image-remote.ks", "unattended-image.ks"} <= {
        path.name for path in found
    }
    for path in found:
        text = path.read_text().replace("@@REF@@", "registry.example/os:1")
        if not text:  # the choice is whoever's who installs
            continue
        (tmp_path / path.name).write_text(text)
        run(KSVALIDATOR, "-v", case.vendor.kickstart or "F44", tmp_path / path.name)


def test_the_image_on_it(case: Case) -> None:
    about = json.loads(run("skopeo", "inspect", f"oci:{case.new}/diskgen/container"))
    assert about["Digest"] == json.loads(case.text("diskgen/medium.json"))["digest"]


def test_packages_come_from_a_dvd(case: Case) -> None:
    menus = [*case.new.rglob("grub.cfg"), *case.new.rglob("isolinux.cfg")]
    for path in menus:
        text = path.read_text()
        assert "traditional, package by package" in text
        assert ("needs the network" in text) != case.vendor.packages
        assert ("unattended-package.ks" in text) == case.vendor.packages
    if case.vendor.packages:
        text = case.text("diskgen/unattended-package.ks")
        assert 'url --url="file:///run/install/repo"' in text
        assert "@core" in text
        interactive = case.new / "diskgen/package.ks"  # Anaconda finds them and asks which
        assert not interactive.exists() or "url" not in interactive.read_text()


def test_the_same_input_gives_the_same_bytes(case: Case, make: Maker, tmp_path: Path) -> None:
    if case.vendor_iso == Path(OWN or "/"):
        pytest.skip("takes long")
    again = make(case.vendor_iso, tmp_path / "again.iso", "--arch", case.vendor.machine.name,
                 "--unattended", "vda")  # fmt: skip
    assert again.read_bytes() == case.iso.read_bytes()


@pytest.mark.parametrize("name", ["lorax_x86_64", "dvd_x86_64", "lorax_s390x"])
def test_another_label(name: str, make: Maker, tmp_path: Path) -> None:
    label = {"lorax_x86_64": vendor_iso.FEDORA, "dvd_x86_64": "AlmaLinux-9-4-x86_64-dvd",
             "lorax_s390x": "RHEL-10-0-0-BaseOS-s390x"}[name]  # fmt: skip
    extra = {
        "other/menu.cfg": f"x inst.stage2=hd:LABEL={label} y\nsearch -l '{label}'\n".encode(),
        "README": f"This is {label}.\n".encode(),
    }
    source = getattr(vendor_iso, name)(tmp_path, extra)
    arch = "s390x" if name == "lorax_s390x" else "x86_64"
    iso = make(source, tmp_path / "made.iso", "--arch", arch, "--label", "MINE-1")
    new = extracted(iso, tmp_path / "new")
    run("checkisomd5", iso)
    assert "Volume id: MINE-1" in run("isoinfo", "-d", "-i", iso)
    holding = subprocess.run(["grep", "-rlF", label, new], check=False, capture_output=True,
                             text=True).stdout.split()  # fmt: skip
    assert holding == [f"{new}/README"]
    assert (new / "other/menu.cfg").read_text() == (
        "x inst.stage2=hd:LABEL=MINE-1 y\nsearch -l 'MINE-1'\n"
    )
    assert label.encode() not in iso.read_bytes().replace(b"This is " + label.encode(), b"")


def test_a_label_in_a_place_that_is_not_known(make: Maker, tmp_path: Path) -> None:
    extra = {"other/menu.cfg": f"volume {vendor_iso.FEDORA}\n".encode()}
    source = vendor_iso.lorax_x86_64(tmp_path, extra)
    said = make.refusal(source, tmp_path / "made.iso", "--label", "MINE", status=3)
    assert "'other/menu.cfg'" in said
    assert f"names the label '{vendor_iso.FEDORA}'" in said
    make(source, tmp_path / "made.iso")  # kept, it is right


def test_treeinfo_sums_what_changed(make: Maker, tmp_path: Path) -> None:
    info = vendor_iso.treeinfo("Fedora", "42", "x86_64", {})
    kept = hashlib.sha1(vendor_iso.noise("kernel", 9000)).hexdigest()
    info += (
        "\n[checksums]\nimages/efiboot.img = sha256:00ff\nimages/product.img = sha256:11\n"
        f"images/pxeboot/vmlinuz = sha1:{kept}\nimages/eltorito.img = sha256:22\n"
        "images/boot.iso = sha256:33\n"
    ).encode()
    place = tmp_path / "v"
    place.mkdir()
    (place / "efi").mkdir()
    efi = vendor_iso.fat(place / "efi", vendor_iso.efi_files(b"", "x64"))
    product = gzip.compress(overlay.archive(Directory(), 0))
    source = vendor_iso.lorax_x86_64(
        place, {".treeinfo": info, "images/efiboot.img": efi, "images/product.img": product}
    )
    new = extracted(make(source, tmp_path / "made.iso"), tmp_path / "new")
    parsed = configparser.ConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string((new / ".treeinfo").read_text())
    assert parsed["general"]["family"] == "Fedora"
    assert dict(parsed["checksums"]) == {
        "images/efiboot.img": "sha256:" + sums(new)["images/efiboot.img"],
        "images/product.img": "sha256:" + sums(new)["images/product.img"],
        "images/pxeboot/vmlinuz": f"sha1:{kept}",
        "images/boot.iso": "sha256:33",
    }


@pytest.mark.parametrize("how", ["gzip", "xz", "none"])
def test_ours_is_on_top_of_the_vendors_overlay(how: str, make: Maker, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    vendor_iso.write(tree, {
        "usr/share/anaconda/interactive-defaults.ks": b"vendor's\n",
        "usr/share/anaconda/pixmaps/logo.png": b"logo", "run/a": b"linked"})  # fmt: skip
    (tree / "run/b").hardlink_to(tree / "run/a")
    (tree / "run/c").symlink_to("a")
    data = subprocess.run(["sh", "-c", "find . | cpio -o -H newc --quiet"], cwd=tree, check=True,
                          capture_output=True).stdout  # fmt: skip
    packed = {"gzip": gzip.compress(data), "xz": lzma.compress(data), "none": data}[how]
    source = vendor_iso.lorax_x86_64(tmp_path, {"images/product.img": packed})
    iso = make(source, tmp_path / "made.iso")
    file = reader.read(iso).root.get_file("images/product.img")
    assert file is not None
    assert file.content is not None
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=lzma.decompress(read(file.content)),
                   cwd=out, check=True)  # fmt: skip
    assert (out / "usr/share/anaconda/pixmaps/logo.png").read_bytes() == b"logo"
    assert (out / "run/a").read_bytes() == (out / "run/b").read_bytes() == b"linked"
    assert (out / "run/c").readlink() == Path("a")
    chooser = (out / "usr/share/anaconda/interactive-defaults.ks").read_text()
    assert "diskgen" in chooser
    assert "vendor" not in chooser


def cpio(*entries: tuple[str, bytes]) -> bytes:
    root = Directory()
    for path, data in entries:
        root.add(path, regular(data))
    return overlay.archive(root, 0)


@pytest.mark.parametrize(
    ("extra", "words", "status", "message"),
    [
        ({}, ["--arch", "aarch64"], 3, "is for x86_64, the medium is to be for aarch64"),
        ({".discinfo": vendor_iso.discinfo("Fedora 37", "x86_64")}, [], 3,
         "Anaconda of 'Fedora 37' cannot install images"),
        ({".discinfo": vendor_iso.discinfo("AlmaLinux 9.3", "x86_64")}, [], 3,
         "use a medium of RHEL 9.4"),
        ({"boot/grub2/grub.cfg": vendor_iso.grub_menu("X", arguments="rd.live.image")}, [], 3,
         "is a live medium"),
        ({"images/install.img": None}, [], 3, "holds no installer"),
        ({}, ["--label", "with blank"], 2, "the label 'with blank' has ' '"),
        ({}, ["--label", "x" * 33], 2, "has 33 characters"),
        ({}, ["--max-size", "100k"], 2, "the medium needs at least"),
        ({"images/product.img": b"\0" * 1000}, [], 3, "'product.img' cannot be used"),
        ({"images/product.img": gzip.compress(b"070701" * 100)}, [], 3, "cannot be used"),
        ({"images/product.img": gzip.compress(bytes(10**6))[:-90]}, [], 3, "is damaged"),
        ({"images/product.img": cpio(("usr", b"x"))}, [], 3, "has a file where Anaconda's"),
        ({"images/eltorito.img": bytes(3000)}, [], 3, "'images/eltorito.img' of 3000 bytes"),
        ({"isolinux": b"no directory"}, [], 3, "has 'isolinux', which is no directory"),
        ({b"\xff.txt".decode("utf-8", "surrogateescape"): b"x"}, [], 3, "medium cannot have"),
    ],
)  # fmt: skip
def test_media_that_are_refused(
    extra: vendor_iso.Files, words: list[str], status: int, message: str,
    make: Maker, tmp_path: Path,
) -> None:  # fmt: skip
    source = vendor_iso.lorax_x86_64(tmp_path, extra)
    said = make.refusal(source, tmp_path / "made.iso", *words, status=status)
    assert message in said


def test_files_that_are_refused(make: Maker, tmp_path: Path) -> None:
    source = vendor_iso.lorax_x86_64(tmp_path)
    whole = source.read_bytes()
    output = tmp_path / "made.iso"
    assert "does not exist" in make.refusal(tmp_path / "absent.iso", output, status=4)
    cut = tmp_path / "cut.iso"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "is truncated: it has" in make.refusal(cut, output, status=3)
    cut.write_bytes(bytes(100_000))
    assert "is no ISO 9660 image" in make.refusal(cut, output, status=3)
    run("implantisomd5", "--force", source)
    damaged = bytearray(source.read_bytes())
    at = damaged.index(vendor_iso.noise("runtime", 30_000))
    damaged[at + 5] ^= 1
    cut.write_bytes(damaged)
    assert "it is not what the checksum on it says" in make.refusal(cut, output, status=3)
    make(source, output)


def test_the_output_is_not_the_input(make: Maker, tmp_path: Path) -> None:
    source = vendor_iso.lorax_x86_64(tmp_path)
    before = source.read_bytes()
    assert "is the output too" in make.refusal(source, source, "--force", status=4)
    assert source.read_bytes() == before


def test_a_vendors_label_that_nothing_would_find(make: Maker, tmp_path: Path) -> None:
    source = vendor_iso.lorax_x86_64(tmp_path, label="Fedora 42 x86")
    said = make.refusal(source, tmp_path / "made.iso", status=3)
    assert "the label 'Fedora 42 x86' has ' '; it is that of" in said
    make(source, tmp_path / "made.iso", "--label", "Fedora-42")


def test_the_plan_says_what_is_taken(tmp_path: Path) -> None:
    source = vendor_iso.dvd_x86_64(tmp_path)
    wish = IsoRequest(
        source=parse(f"oci:{payload(tmp_path / 'os', 'x86_64')}"),
        target=parse("registry.example/os:1"),
        arch="x86_64",
        installer=source,
        cache=tmp_path / "cache",
    )
    made = build_iso.plan_only(wish, discard)
    assert made.installer == "Anaconda of AlmaLinux 9.4, 'vendor.iso'"
    assert made.kernel == "/images/pxeboot/vmlinuz"
    assert (made.label, made.kickstart_version) == ("AlmaLinux-9-4-x86_64-dvd", "RHEL9")
    tree = extracted(source, tmp_path / "old")
    held = [path for path in tree.rglob("*") if path.is_file() and path.name != "boot.cat"]
    assert made.base_bytes == sum(path.stat().st_size for path in held)
    assert made.runtime_bytes == 0
    assert "starts by UEFI alone" in "\n".join(made.warnings)


def text_of(iso: Path, path: str) -> str:
    file = reader.read(iso).root.get_file(path)
    assert file is not None
    assert file.content is not None
    return read(file.content).decode()


def test_a_kickstart_of_ones_own_on_a_dvd(make: Maker, tmp_path: Path) -> None:
    source = vendor_iso.dvd_x86_64(tmp_path)
    for packages, added in (("", True), ("%packages\nvim\n%end\n", False)):
        own = tmp_path / "own.ks"
        own.write_text(f"autopart\nrootpw --lock\n{packages}")
        iso = make(source, tmp_path / f"{added}.iso", "--kickstart", own, "--mode", "package")
        text = text_of(iso, "diskgen/unattended-package.ks")
        assert text.count("%packages") == 1
        assert ("@core" in text) == added


def test_arguments_of_the_vendors_menu(make: Maker, tmp_path: Path) -> None:
    """What names the medium follows its label; what GRUB would misread is left out, and said."""
    label = vendor_iso.FEDORA
    words = f"inst.dd=hd:LABEL={label}:/dd a;b net.ifnames=0 quiet"
    source = vendor_iso.lorax_x86_64(
        tmp_path, menu=vendor_iso.grub_menu(label, arguments=words.replace(";", "\\;"))
    )
    iso = make(source, tmp_path / "made.iso", "--label", "NEW")
    text = text_of(iso, "boot/grub2/grub.cfg")
    assert " quiet inst.dd=hd:LABEL=NEW:/dd net.ifnames=0\n" in text
    assert "a;b" not in text


def test_packages_of_a_dvd_by_name(make: Maker, tmp_path: Path) -> None:
    source = vendor_iso.dvd_x86_64(tmp_path)
    iso = make(source, tmp_path / "made.iso", "--package", "@^minimal", "--mode", "package")
    text = text_of(iso, "diskgen/package.ks")
    assert 'url --url="file:///run/install/repo"' in text
    assert "@^minimal" in text


def test_what_lies_in_two_places_takes_room_once(make: Maker, tmp_path: Path) -> None:
    """As isolinux's kernel and initramfs do."""
    big = vendor_iso.noise("big", 3_000_000)
    source = vendor_iso.el9_x86_64(
        tmp_path, {"isolinux/initrd.img": big, "images/pxeboot/initrd.img": big, "z": big + b"z"}
    )
    tree = tmp_path / "vendor.d"
    (tree / "isolinux/initrd.img").unlink()
    (tree / "isolinux/initrd.img").hardlink_to(tree / "images/pxeboot/initrd.img")
    run("xorriso", "-as", "mkisofs", "-o", source, "-R", "-J", "-V", vendor_iso.CENTOS, "-b",
        "isolinux/isolinux.bin", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
        "-eltorito-alt-boot", "-e", "images/efiboot.img", "-no-emul-boot", tree)  # fmt: skip
    iso = make(source, tmp_path / "made.iso")
    said = run("xorriso", "-indev", iso, "-find", "/", "-name", "initrd.img", "-exec",
               "report_lba")  # fmt: skip
    blocks = re.findall(r"File data lba: +\d+ , +(\d+) ", said)
    assert len(blocks) == 2
    assert len(set(blocks)) == 1
    new = extracted(iso, tmp_path / "new")
    for path in ("isolinux/initrd.img", "images/pxeboot/initrd.img"):
        assert (new / path).read_bytes() == big
        assert (new / path).stat().st_mode & 0o777 == 0o644


def test_more_files_than_may_be_open(make: Maker, tmp_path: Path) -> None:
    extra = {f"Packages/{n % 7}/p{n}.rpm": b"%d" % n for n in range(700)}
    source = vendor_iso.lorax_x86_64(tmp_path, extra)
    run("prlimit", f"--pid={os.getpid()}", "--nofile=200:")
    try:
        new = extracted(make(source, tmp_path / "made.iso"), tmp_path / "new")
    finally:
        run("prlimit", f"--pid={os.getpid()}", "--nofile=1024:")
    for path, data in extra.items():
        assert (new / path).read_bytes() == data


def test_ours_can_be_remastered_again(make: Maker, tmp_path: Path) -> None:
    first = make(vendor_iso.dvd_x86_64(tmp_path), tmp_path / "first.iso")
    second = make(first, tmp_path / "second.iso")
    assert abs(second.stat().st_size - first.stat().st_size) < 2 * 1024 * 1024
    run("checkisomd5", second)


def test_an_older_language_and_an_unknown_product(make: Maker, tmp_path: Path) -> None:
    for release, expected in (("Fedora 39", "F41"), ("Fedora 99", "F45"), ("Other 3", "F45")):
        place = tmp_path / release
        place.mkdir()
        source = vendor_iso.lorax_x86_64(
            place, {".discinfo": vendor_iso.discinfo(release, "x86_64")}, label="OTHER"
        )
        iso = make(source, place / "made.iso")
        facts = json.loads(text_of(iso, "diskgen/medium.json"))
        assert facts["kickstart_version"] == expected


def test_an_ordinary_user_can(diskgen: Program, images: Path) -> None:
    source = vendor_iso.lorax_x86_64(images)
    source.chmod(0o644)
    image = payload(images / "os", "x86_64")
    assert diskgen("iso", f"oci:{image}", "--target-imgref", "registry.example/os:1",
                   "--installer", source, "-o", "made.iso") == "made.iso\n"  # fmt: skip
    assert diskgen.left_behind() == ["made.iso"]
    run("checkisomd5", diskgen.place / "made.iso")


@pytest.mark.parametrize("name", ["lorax_x86_64", "lorax_s390x"])
def test_random_damage(name: str, tmp_path: Path) -> None:
    """Directories full of nonsense: an error for users, or a medium that can be read."""
    source = getattr(vendor_iso, name)(tmp_path)
    machine = MACHINES["s390x" if name == "lorax_s390x" else "x86_64"]
    raw = bytearray(source.read_bytes())
    sectors = [
        at for at in range(16 * 2048, len(raw), 2048)
        if at < 18 * 2048 or (raw[at] > 33 and raw[at + 32 : at + 34] == b"\1\0")
    ]  # fmt: skip
    spots = [at + n for at in sectors for n in range(2048) if raw[at + n]]
    chance = random.Random(11)
    outcomes = {True: 0, False: 0}
    for _ in range(80):
        damaged = raw.copy()
        for at in chance.sample(spots, chance.choice((1, 4, 12))):
            damaged[at] = chance.choice((0, 1, 2, 47, 59, 0x7F, 0xFF, damaged[at] ^ 32))
        source.write_bytes(damaged)
        label = chance.choice((None, "NEW"))
        wish = IsoRequest(
            source=parse("registry.example/os:1"), arch=machine.name, installer=source, label=label
        )
        try:
            found = remaster.read(wish, machine, discard)
            assert found.installer.label is not None
            output = tmp_path / "made.iso"
            master(output, Medium(root=found.root, label=found.installer.label, timestamp=EPOCH,
                                  application="T"))  # fmt: skip
            reader.read(output)
            outcomes[True] += 1
        except DiskgenError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 5
