"""What is on an installer's medium: menus, overlays, mainframe files."""

from __future__ import annotations

import configparser
import hashlib
import lzma
import os
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import SourceError, UsageError
from diskgen.iso.assembly import medium, metadata, plan
from diskgen.iso.mastering import identity, mainframe
from diskgen.iso.menus import menu
from diskgen.iso.menus.menu import Choices, Entry, Submenu
from diskgen.iso.runtimes import overlay
from diskgen.tree import Directory, File, read, regular, symlink

from ...fixtures.oci import mainframe_kernel

CHOICES = Choices(
    product="Tiny Linux 42 (Testing)",
    label="Tiny-42_x86.64",
    unattended=(("image", "/dev/vda"), ("package", "/dev/vda")),
    kargs=("console=ttyS0,115200",),
)


def made(choices: Choices = CHOICES, *, bios: bool = True) -> menu.Menu:
    return menu.make(choices, kernel="/images/pxeboot/vmlinuz", initrd="/images/pxeboot/initrd.img",
                     bios=bios)  # fmt: skip


@pytest.mark.parametrize("bios", [True, False])
def test_grub_can_parse_the_menu(bios: bool, tmp_path: Path) -> None:
    path = tmp_path / "grub.cfg"
    path.write_text(menu.to_grub(made(bios=bios)))
    subprocess.run(["grub-script-check", path], check=True)
    # UEFI shows what GRUB writes on a serial line by itself.
    assert ("terminal_output console serial\n" in path.read_text()) == bios


def test_the_menu_erases_nothing_by_itself() -> None:
    found = made()
    first = found.entries[0]
    assert isinstance(first, Entry)
    assert "image mode (recommended)" in first.title
    assert found.timeout >= 30
    for item in found.entries:
        if isinstance(item, Entry):
            assert not any(word.startswith("inst.ks=") for word in item.arguments)
    (erasing,) = (item for item in found.entries
                  if isinstance(item, Submenu) and "Unattended" in item.title)  # fmt: skip
    assert erasing.title == "Unattended - ERASES /dev/vda"
    for entry in erasing.entries:
        assert "ERASE /dev/vda" in entry.title
        assert any(word.startswith("inst.ks=hd:LABEL=Tiny-42_x86.64:/diskgen/unattended-")
                   for word in entry.arguments)  # fmt: skip


def test_every_entry_finds_the_medium() -> None:
    entries = [e for item in made().entries
               for e in (item.entries if isinstance(item, Submenu) else (item,))]  # fmt: skip
    assert len(entries) == 10
    for entry in entries:
        if entry.command is None:
            assert entry.arguments[0] == "inst.stage2=hd:LABEL=Tiny-42_x86.64"
            assert entry.arguments[-1] == "console=ttyS0,115200"


def test_one_mode_alone_asks_nothing() -> None:
    text = menu.to_grub(made(replace(CHOICES, packages=False, unattended=())))
    assert "diskgen.mode=ask" not in text
    assert "traditional" not in text
    assert "Unattended" not in text
    with pytest.raises(UsageError):
        made(replace(CHOICES, packages=False, image=False))


def test_the_network_is_mentioned() -> None:
    title = "traditional, package by package"
    assert f"{title} (needs the network)" in menu.to_grub(made())
    offline = menu.to_grub(made(replace(CHOICES, packages_need_network=False)))
    assert f"{title}'" in offline


@pytest.mark.parametrize("product", ["it's", "a{b", 'say "x"', "a\nb", "$x"])
def test_titles_that_grub_would_misread(product: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a boot menu"):
        made(replace(CHOICES, product=product))


def test_labels_are_escaped_as_udev_does(tmp_path: Path) -> None:
    """The kernel argument names the link that udev makes: blkid tells."""
    image = tmp_path / "ext4"
    label = "A b+C&D'ü"
    subprocess.run(["mke2fs", "-q", "-L", label, image, "2M"], check=True)
    said = subprocess.run(["blkid", "-p", "-o", "udev", image], check=True, capture_output=True,
                          text=True).stdout  # fmt: skip
    escaped = menu.escape_device(label)
    assert f"ID_FS_LABEL_ENC={escaped}" in said.splitlines()
    # And GRUB takes a pair of backslashes for one.
    text = menu.to_grub(made(replace(CHOICES, label=label)))
    assert f" inst.stage2=hd:LABEL={escaped} ".replace("\\", "\\\\") in text


def tree() -> Directory:
    root = Directory()
    root.add("usr/share/anaconda/interactive-defaults.ks", regular(b"%pre\n%end\n"))
    root.add("usr/bin/tool", regular(b"#!/bin/sh\n", mode=0o755))
    root.add("etc/link", symlink("../usr/bin/tool"))
    root.add(".buildstamp", regular(b"[Main]\n"))
    return root


def test_cpio_unpacks_the_overlay(tmp_path: Path) -> None:
    packed = overlay.compressed(tree(), 1_790_000_000)
    assert packed == overlay.compressed(tree(), 1_790_000_000)
    data = lzma.decompress(packed)
    assert len(data) % 512 == 0
    subprocess.run(["cpio", "-idm", "--no-absolute-filenames"], input=data, cwd=tmp_path,
                   check=True, capture_output=True)  # fmt: skip
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {path.decode() for path, _ in tree().walk()}
    assert (tmp_path / "usr/bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "usr/bin/tool", os.X_OK)
    assert (tmp_path / "etc/link").readlink() == Path("../usr/bin/tool")
    assert (tmp_path / ".buildstamp").stat().st_mtime == 1_790_000_000


@pytest.mark.parametrize("compress", [["cat"], ["gzip"], ["xz", "--check=crc32"], ["zstd"]])
def test_an_overlay_is_read_however_it_is_compressed(compress: list[str]) -> None:
    data = overlay.archive(tree(), 0)
    packed = subprocess.run(compress, input=data, check=True, capture_output=True).stdout
    found = overlay.unpacked(regular(packed))
    assert [path for path, _ in found.walk()] == [path for path, _ in tree().walk()]


def test_an_overlay_holds_no_devices() -> None:
    root = Directory()
    root.add("dev/null", File(mode=0o020666, rdev=(1, 3)))
    with pytest.raises(SourceError, match="'dev/null' cannot be in an overlay"):
        overlay.archive(root, 0)


def loadable(room: int = 4096) -> bytes:
    kernel = bytearray(mainframe_kernel(room=room))
    kernel[8:24] = bytes.fromhex("02000018600000500200006860000050")
    return bytes(kernel)


def test_the_mainframe_image() -> None:
    initrd = b"initrd" * 1000
    kernel = loadable()
    image = mainframe.boot_image(kernel, initrd, "ro diskgen.mode=ask")
    at, size = struct.unpack_from(">QQ", image, 66568)
    assert at == -(-len(kernel) // 4096) * 4096
    assert image[at : at + size] == initrd
    assert image[66688 : 66688 + 4096] == b"ro diskgen.mode=ask\n".ljust(4096, b"\0")
    assert image[:66568] == kernel[:66568]
    assert image[66688 + 4096 : len(kernel)] == kernel[66688 + 4096 :]
    assert mainframe.addresses(5) == struct.pack(">4I", 0, 0x02000000, 0, 5)


def test_what_is_no_mainframe_kernel() -> None:
    with pytest.raises(SourceError, match="no bootable image for s390x"):
        mainframe.boot_image(mainframe_kernel(), b"", "x")
    with pytest.raises(SourceError, match="no bootable image for s390x"):
        mainframe.boot_image(loadable()[:5000], b"", "x")
    with pytest.raises(UsageError, match="'101' bytes, the kernel takes '99'"):
        mainframe.boot_image(loadable(100), b"", "x" * 100)


@pytest.mark.parametrize("name", [*plan._LABELS, "a-name-that-is-longer-than-any-other"])
def test_default_labels_leave_room_on_a_card(name: str) -> None:
    """For the longest word that any parameter file holds; where there are no cards, all of it."""
    release = {"ID": name, "VERSION_ID": "10.12"}
    machine = MACHINES["s390x"]
    label = identity.labelled(plan.default_label(release, machine), "0123456789abcdef",
                              medium.label_room(machine))  # fmt: skip
    assert label.endswith("-012345")
    choices = replace(CHOICES, label=label, identity="0123456789abcdef")
    lines = medium.mainframe_lines(choices, own=False)
    assert {"unattended-image", "unattended-package"} < lines.keys()
    for _title, line in lines.values():
        assert all(len(text) < 80 for text in mainframe.parameters(line).splitlines())
    if len(label) == medium.label_room(machine):
        with pytest.raises(UsageError, match="has 80 characters"):
            mainframe.parameters(
                menu.unattended_words(replace(choices, label=f"{label}x"), "package")[0]
            )
    assert medium.label_room(MACHINES["aarch64"]) == 32


def test_files_for_the_service_element() -> None:
    text = mainframe.instructions("Tiny Linux", "images/image.prm")
    assert text.splitlines() == [
        "* Tiny Linux", "images/kernel.img 0x00000000", "images/initrd.img 0x02000000",
        "images/image.prm 0x00010480", "images/initrd.addrsize 0x00010408",
    ]  # fmt: skip
    words = [f"rd.znet=qeth,0.0.{number:04},0.0.0001" for number in range(9)]
    card = mainframe.parameters(" ".join(words))
    assert all(len(line) < 80 for line in card.splitlines())
    assert card.split() == words


@pytest.mark.parametrize("own", [True, False])
def test_a_mainframes_menu(own: bool) -> None:
    """A service element lists .ins files; what erases says so, and is not what starts by itself."""
    empty = regular(b"runtime")
    choices = replace(CHOICES, unattended=(("image", "vda"),))
    root, boot = medium.tree(
        medium.Parts(
            machine=MACHINES["s390x"], choices=choices, product="Tiny", version="1", timestamp=1,
            kernel=regular(bytes(loadable())), initrd=regular(b"initrd"), stage2=empty, own=own,
        ),
        None,
    )  # fmt: skip
    assert [image.path for image in boot] == ["images/cdboot.img"]
    texts = {
        name: read(node.content).decode()
        for name in ("generic", "image", "package", "unattended-image")
        if (node := root.get_file(f"{name}.ins")) and node.content
    }
    assert texts["unattended-image"].startswith("* ERASE vda and install in image mode")
    for name, text in texts.items():
        place = re.findall(r"^(images/\S+\.prm) 0x00010480$", text, re.MULTILINE)[0]
        file = root.get_file(place)
        assert file is not None
        assert file.content is not None
        line = read(file.content).decode()
        assert max(map(len, line.splitlines())) <= 80
        assert ("inst.ks=" in line) == (name == "unattended-image")
        # Ours frees no devices by itself.
        assert ("cio_ignore" in line) == (not own)


PARTS = medium.Parts(
    machine=MACHINES["x86_64"],
    choices=CHOICES,
    product="Tiny Linux",
    version="42",
    timestamp=1_790_000_000,
    kernel=regular(b"kernel"),
    initrd=regular(b"initramfs"),
    stage2=regular(b"stage2"),
    efi={"EFI/BOOT/BOOTX64.EFI": regular(b"shim")},
    menus=("EFI/BOOT/grub.cfg",),
    bios=medium.BiosLoader(kind="grub", path="images/eltorito.img", image=regular(b"core")),
)


def test_where_things_lie_on_a_medium_of_ours() -> None:
    """By the names that Anaconda, virt-install and servers for the network know."""
    root, boot = medium.tree(PARTS, regular(b"esp"))
    contents = {
        "images/pxeboot/vmlinuz": b"kernel", "images/pxeboot/initrd.img": b"initramfs",
        "images/install.img": b"stage2", "images/efiboot.img": b"esp",
        "images/eltorito.img": b"core", "EFI/BOOT/BOOTX64.EFI": b"shim",
    }  # fmt: skip
    for path, data in contents.items():
        file = root.get_file(path)
        assert file is not None, path
        assert file.content is not None
        assert read(file.content) == data
    info = configparser.ConfigParser()
    treeinfo = root.get_file(".treeinfo")
    assert treeinfo is not None
    assert treeinfo.content is not None
    info.read_string(read(treeinfo.content).decode())
    assert dict(info["tree"]) == {
        "arch": "x86_64", "build_timestamp": "1790000000", "platforms": "x86_64", "variants": "",
    }  # fmt: skip
    assert (info["general"]["variants"], info["stage2"]["mainimage"]) == ("", "images/install.img")
    assert [(image.path, image.efi, image.info_table) for image in boot] == [
        ("images/eltorito.img", False, True), ("images/efiboot.img", True, False),
    ]  # fmt: skip


def test_what_changes_on_a_medium_is_summed_up_again() -> None:
    """And nothing else of its .treeinfo: what else that says is the vendor's."""
    same, changed, gone = b"same", b"new", b"gone"
    info = "[checksums]\n" + "".join(
        f"{path} = sha256:{hashlib.sha256(data).hexdigest()}\n"
        for path, data in (("a/same", same), ("a/changed", b"old"), ("a/gone", gone))
    )
    base = Directory()
    for path, data in (("a/same", same), ("a/changed", b"old"), ("a/gone", gone)):
        base.add(path, regular(data))
    base.add(".treeinfo", regular((info + "[other]\nof = theirs\n").encode()))
    before = metadata.listed(base)
    assert before.keys() == {"a/same", "a/changed", "a/gone"}
    base.add("a/changed", regular(changed))
    metadata.update(base, before, unknown=frozenset({"a/gone"}))
    file = base.get_file(".treeinfo")
    assert file is not None
    assert file.content is not None
    assert read(file.content).decode().splitlines() == [
        "[checksums]",
        f"a/same = sha256:{hashlib.sha256(same).hexdigest()}",
        f"a/changed = sha256:{hashlib.sha256(changed).hexdigest()}",
        "[other]", "of = theirs",
    ]  # fmt: skip
