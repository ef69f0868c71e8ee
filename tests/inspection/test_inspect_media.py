"""``diskgen inspect`` of media: what their menus start, and what that erases."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import SourceError
from diskgen.inspection import menus, of_file
from diskgen.inspection.medium import EVERY_DISK
from diskgen.inspection.text import to_text
from diskgen.iso.assembly.medium import PRODUCT_IMAGE
from diskgen.iso.kickstarts.kickstart import Settings, Unattended, unattended
from diskgen.iso.menus import menu, syslinux

GRUB = """\
set timeout=60
menuentry 'Install Fedora Linux 44' --class fedora --class os {
\tlinux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=F quiet
\tinitrd /images/pxeboot/initrd.img
}
submenu 'Unattended -->' {
\tmenuentry "Erase it's disk" {
\t\tlinuxefi /images/pxeboot/vmlinuz inst.ks=hd:LABEL=F:/ks/{NAME}.ks
\t}
}
menuentry 'Firmware' {
\tfwsetup
}
"""
KICKSTARTS: dict[str, tuple[str, list[str] | None]] = {
    "one": ("ignoredisk --only-use=vda\nclearpart --all --initlabel\nautopart\n", ["vda"]),
    "two": ("clearpart --all --drives=sda,sdb\n", ["sda", "sdb"]),
    "parts": ("clearpart --list=sda2,sda3\n", ["sda2", "sda3"]),
    "all": ("zerombr\nclearpart --all\n", [EVERY_DISK]),
    "none": ("clearpart --none\nautopart\n", []),
    "nothing": ("lang de_DE\n", []),
    "broken": ("nonsense\n", None),
    "absent": ("", None),
}


def foreign(place: Path, files: dict[str, str], label: str = "FOREIGN") -> Path:
    """Return an ISO image by xorriso."""
    tree = place / "tree"
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    iso = place / "medium.iso"
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", label, "-o", iso, tree],
                   check=True, capture_output=True)  # fmt: skip
    return iso


def test_what_each_entry_erases(tmp_path: Path) -> None:
    files = {f"ks/{name}.ks": text for name, (text, _) in KICKSTARTS.items() if text}
    files["boot/grub2/grub.cfg"] = "".join(GRUB.replace("{NAME}", name) for name in KICKSTARTS)
    facts = of_file(foreign(tmp_path, files))
    found = iter(facts["entries"])
    for name, (_text, erases) in KICKSTARTS.items():
        install, unattended, firmware = next(found), next(found), next(found)
        assert (install["title"], install["erases"]) == ("Install Fedora Linux 44", [])
        assert install["arguments"] == ["inst.stage2=hd:LABEL=F", "quiet"]
        assert (unattended["submenu"], unattended["title"]) == ("Unattended -->", "Erase it's disk")
        assert unattended["erases"] == erases
        assert (firmware["submenu"], firmware["arguments"]) == (None, None)
        assert any(f"{name}.ks" in note for note in facts["notes"]) == (erases is None)
    said = to_text(facts)
    assert "erases sda, sdb without a question" in said
    assert said.count("may erase disks") == 2


@pytest.mark.parametrize("anaconda", [True, False])
@pytest.mark.parametrize(("disk", "erases"), [("only", "the only disk"), ("vdb", "vdb")])
def test_what_our_own_kickstarts_erase(
    anaconda: bool, disk: str, erases: str, tmp_path: Path
) -> None:
    settings = Settings(reference="r.example/os:1", digest="sha256:" + "1" * 64, anaconda=anaconda)
    text = unattended(settings, Unattended(disk=disk), "F44", mode="image", offline=True)
    files = {"diskgen/medium.json": "{}", "ks/own.ks": text}
    files["boot/grub2/grub.cfg"] = GRUB.replace("{NAME}", "own")
    if anaconda:
        files[PRODUCT_IMAGE] = "overlay"
    facts = of_file(foreign(tmp_path, files))
    assert [entry["erases"] for entry in facts["entries"] if entry["erases"]] == [[erases]]
    assert facts["notes"] == []


def test_a_vendors_medium(tmp_path: Path) -> None:
    facts = of_file(
        foreign(
            tmp_path,
            {
                ".treeinfo": "[general]\nname = Fedora 44\n", ".discinfo": "1.0\nF\nx86_64\n",
                "images/install.img": "runtime",
                "isolinux/isolinux.cfg": "default x\nlabel linux\n  menu label ^Install\n"
                "  kernel vmlinuz\n  append initrd=initrd.img inst.stage2=hd:LABEL=F\n",
            },
        )
    )  # fmt: skip
    wanted: dict[str, Any] = {
        "version": 2, "kind": "medium", "label": "FOREIGN", "product": "Fedora 44",
        "installer": "Anaconda", "architecture": "x86_64", "reference": None, "notes": [],
    }  # fmt: skip
    assert {key: facts[key] for key in wanted} == wanted
    assert [(e["title"], e["arguments"]) for e in facts["entries"]] == [
        ("^Install", ["inst.stage2=hd:LABEL=F"])
    ]


def test_our_menus_are_read_as_they_were_written() -> None:
    choices = menu.Choices(product="My OS", label="L", unattended=(("image", "vda"),))
    made = menu.make(choices, kernel="/vmlinuz", initrd="/initrd.img", bios=True)
    wanted = []
    for item in made.entries:
        for entry in item.entries if isinstance(item, menu.Submenu) else (item,):
            title = item.title if isinstance(item, menu.Submenu) else None
            wanted.append((title, entry.title, entry.arguments if not entry.command else None))
    for parse, text in (
        (menus.grub, menu.to_grub(made)),
        (menus.isolinux, syslinux.to_isolinux(made, "vesamenu.c32")),
    ):
        found = parse(text, lambda _path: None)
        assert [(item.submenu, item.title, item.arguments) for item in found] == wanted


def test_hostile_media_get_an_answer(tmp_path: Path) -> None:
    files = {
        "diskgen/medium.json": json.dumps(
            {"product": ["x"], "origin": 5, "modes": {"a": 1}, "kickstart_version": None}
        ),
        "diskgen/container/index.json": '{"manifests": [[]]}',
        "boot/grub2/grub.cfg": "menuentry 'a\n}}}}\nsubmenu\nmenuentry x {\nlinux\n" * 500,
    }
    iso = foreign(tmp_path, files)
    facts = of_file(iso)
    assert (facts["reference"], facts["modes"], facts["product"]) == (None, [], None)
    assert len(facts["entries"]) <= 200
    assert to_text(facts)
    (tmp_path / "tree/diskgen/medium.json").write_text("[" * 100000)
    assert "cannot be read" in of_file(foreign(tmp_path, {}))["notes"][0]
    data = iso.read_bytes()
    iso.write_bytes(data[:40000])
    with pytest.raises(SourceError):
        of_file(iso)
