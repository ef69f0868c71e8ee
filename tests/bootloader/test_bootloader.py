"""What a boot loader gets on the disk: texts before GRUB's own parser, bytes before rules."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.bootloader import grub, grub_bios, grub_config, grub_loader
from diskgen.bootloader.grub_config import Menu
from diskgen.errors import SourceError
from diskgen.layout import Content, Role, make_layout
from diskgen.tree import Directory, read, regular
from diskgen.units import MIB

from ..fixtures.loaders import for_disk, signed

X86 = MACHINES["x86_64"]
KINDS: tuple[dict[str, Menu], ...] = (
    {"efi": Menu.SCRIPT, "pc": Menu.SCRIPT},
    {"efi": Menu.BLSCFG, "pc": Menu.SCRIPT},
    {"efi": Menu.BLSUKI},
    {"pc": Menu.BLSCFG},
)


def debian(grub_binary: bytes, *, shim: bytes | None) -> Directory:
    root = Directory()
    root.add("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", regular(grub_binary))
    if shim is not None:
        root.add("usr/lib/shim/shimx64.efi.signed", regular(shim))
        root.add("usr/lib/shim/mmx64.efi.signed", regular(b"mok"))
    return root


def ways(facts: grub.GrubFacts) -> dict[str, bool]:
    return {way.name: way.works for way in facts.ways}


@pytest.mark.parametrize("menus", KINDS)
def test_grub_accepts_the_configuration(menus: dict[str, Menu], tmp_path: Path) -> None:
    path = tmp_path / "grub.cfg"
    path.write_text(grub_config.main(title="Test 1", menus=menus, serial="serial --unit=0"))
    subprocess.run(["grub-script-check", path], check=True)
    path.write_text(grub_config.stub("0000-11", "grub"))
    subprocess.run(["grub-script-check", path], check=True)


@pytest.mark.parametrize("menu", [Menu.SCRIPT, Menu.BLSCFG])
def test_a_first_boot_of_ignition(menu: Menu, tmp_path: Path) -> None:
    text = grub_config.main(title="T", menus={"efi": menu}, serial=None, ignition=True)
    path = tmp_path / "grub.cfg"
    path.write_text(text)
    subprocess.run(["grub-script-check", path], check=True)
    assert text.index("source ($boot)/ignition.firstboot") < text.index("grub_platform")
    boot = Directory()
    facts = grub.inspect(debian(signed(b"regexp"), shim=None), X86)
    grub.add_to_boot(boot, facts, X86, replace(for_disk(), ignition=True))
    stamp = boot.get_file("ignition.firstboot")
    assert stamp is not None
    assert stamp.size == 0
    grub.check_menu(facts, "T", "rw $ignition_firstboot ignition.platform.id=qemu")


def test_grub_reads_the_environment_block(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    path.write_bytes(grub_config.environment_block())
    assert path.stat().st_size == 1024
    subprocess.run(["grub-editenv", path, "set", "a=b"], check=True)
    listed = subprocess.run(["grub-editenv", path, "list"], check=True, capture_output=True)
    assert listed.stdout == b"a=b\n"


def test_the_script_menu_counts_down() -> None:
    text = grub_config.main(title="T", menus={"efi": Menu.SCRIPT}, serial=None)
    assert "for bls_number in 24 23 " in text
    assert text.index("for bls_number") > text.index("function boot_entry")


def test_debians_packages() -> None:
    root = debian(signed(b"regexp", b"/EFI/debian"), shim=signed())
    facts = grub.inspect(root, X86)
    assert ways(facts) == {"uefi": True, "secureboot": True, "bios": False}
    assert facts.vendor == "debian"
    assert facts.directory == "grub"
    files = grub.esp_files(facts, "1234")
    assert sorted(files) == [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grubx64.efi",
        "EFI/BOOT/mmx64.efi",
        "EFI/debian/grub.cfg",
        "EFI/debian/grubx64.efi",
        "EFI/debian/mmx64.efi",
        "EFI/debian/shimx64.efi",
    ]
    assert files["EFI/BOOT/BOOTX64.EFI"] == signed()
    assert b"--fs-uuid --set=root 1234" in files["EFI/debian/grub.cfg"]


def test_without_signatures_secure_boot_is_left_out() -> None:
    facts = grub.inspect(debian(b"MZ" + bytes(2000) + b"\0blscfg\0", shim=signed()), X86)
    assert ways(facts) == {"uefi": True, "secureboot": False, "bios": False}
    reasons = {way.name: way.reason for way in facts.ways}
    assert reasons["secureboot"] == "the image brings no signed GRUB"
    assert facts.menus == {"efi": Menu.BLSCFG}
    facts = grub.inspect(debian(signed(b"regexp"), shim=None), X86)
    assert {way.name: way.reason for way in facts.ways}["secureboot"].endswith("no signed shim")
    assert grub.esp_files(facts, "1")["EFI/BOOT/BOOTX64.EFI"] == signed(b"regexp")


def test_a_grub_that_cannot_follow_updates_is_refused() -> None:
    with pytest.raises(SourceError, match="brings no boot loader"):
        grub.inspect(debian(signed(b"normal"), shim=signed()), X86)
    with pytest.raises(SourceError, match="brings no boot loader"):
        grub.inspect(Directory(), X86)


@pytest.mark.parametrize("place", ["usr/lib/bootupd/updates/EFI", "usr/lib/efi/shim/1/EFI"])
def test_bootupd_payloads(place: str) -> None:
    root = Directory()
    root.add(f"{place}/BOOT/BOOTX64.EFI", regular(signed()))
    root.add(f"{place}/fedora/shimx64.efi", regular(signed()))
    other = place.replace("shim/1", "grub2/2")
    root.add(f"{other}/fedora/grubx64.efi", regular(signed(b"blscfg")))
    facts = grub.inspect(root, X86)
    assert facts.vendor == "fedora"
    assert ways(facts) == {"uefi": True, "secureboot": True, "bios": False}
    assert "EFI/fedora/grub.cfg" in grub.esp_files(facts, "1")


@pytest.mark.parametrize("text", ['say "hi"', "a;b", "$HOME", "a|b", "{x}", "it's"])
def test_texts_the_script_cannot_carry_are_refused(text: str) -> None:
    facts = grub.inspect(debian(signed(b"regexp"), shim=None), X86)
    with pytest.raises(SourceError, match="cannot be booted by this image's GRUB"):
        grub.check_menu(facts, text, "quiet")
    with pytest.raises(SourceError, match="kernel arguments"):
        grub.check_menu(facts, "Debian", text)
    grub.check_menu(facts, "Debian GNU/Linux 13 (trixie)", "root=UUID=1 console=ttyS0,115200n8")
    blscfg = grub.inspect(debian(signed(b"blscfg"), shim=None), X86)
    grub.check_menu(blscfg, text, text)


def test_bios_code_is_embedded(tmp_path: Path) -> None:
    """The boot sector keeps table and signature; it and the core image say where to go on."""
    root = debian(signed(b"regexp"), shim=None)
    modules = "usr/lib/grub/i386-pc"
    for name in ("kernel.img", "diskboot.img", "lzma_decompress.img", "moddep.lst", "regexp.mod"):
        root.add(f"{modules}/{name}", regular(name.encode()))
    root.add(f"{modules}/boot.img", regular(b"\xeb" * 512))
    facts = grub.inspect(root, X86)
    assert ways(facts)["bios"]
    layout = make_layout(X86, seed="sha256:" + "0" * 64, content=Content(root=MIB), disk_size=None)
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(layout.size)
        file.write(bytes(446) + b"\xaa" * 64 + b"\x55\xaa")
    core = bytes(range(256)) * 400
    grub_bios.embed(disk, layout, facts, core)
    part = layout.partition(Role.BIOS_BOOT)
    with disk.open("rb") as file:
        sector = file.read(512)
        file.seek(part.start)
        written = file.read(len(core))
    assert sector[440:446] == bytes(6)
    assert sector[446:] == b"\xaa" * 64 + b"\x55\xaa"
    assert struct.unpack_from("<Q", sector, 0x5C)[0] == part.start // 512
    assert sector[0x64] == 0xFF
    assert sector[0x66:0x68] == b"\x90\x90"
    blocks = struct.unpack_from("<QHH", written, 0x1F4)
    assert blocks == (part.start // 512 + 1, -(-len(core) // 512) - 1, 0x820)
    assert written[0x200:] == core[0x200:]


def test_boot_gets_modules_and_configuration() -> None:
    root = debian(signed(b"regexp"), shim=None)
    for name in ("kernel.img", "boot.img", "diskboot.img", "lzma_decompress.img", "moddep.lst"):
        root.add(f"usr/lib/grub/i386-pc/{name}", regular(b"x"))
    root.add("usr/lib/grub/i386-pc/regexp.mod", regular(b"module"))
    root.add("usr/sbin/grub2-mkconfig", regular(b""))
    loader = grub_loader.inspect(root, X86, 512)
    boot = Directory()
    loader.add_to_boot(boot, for_disk())
    assert loader.facts.directory == "grub2"
    module = boot.get_file("grub2/i386-pc/regexp.mod")
    assert module is not None
    assert module.content is not None
    assert read(module.content) == b"module"
    assert boot.get("grub2/i386-pc/kernel.img") is None
    place = boot.get_dir("grub2")
    assert place is not None
    assert place.mode == 0o40700  # as bootupd has it, with or without its static configuration
    assert [place.entries[name].mode for name in (b"grub.cfg", b"grubenv")] == [0o100600] * 2
