"""GRUB of an image that is none: refused by the file's name, and no file of the host is opened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from diskgen.bootloader.grub_bios import make_image, medium_image
from diskgen.errors import SourceError
from diskgen.tree import Directory, regular

GRUB = Path("/usr/lib/grub/i386-pc")
NAMES = ("biosdisk", "part_gpt", "fat", "normal")


def modules(**changed: bytes) -> Directory:
    """Return the host's own GRUB with some files exchanged (``_mod`` is ``.mod``)."""
    root = Directory()
    for path in sorted(GRUB.iterdir()):
        if path.suffix in (".mod", ".img", ".lst"):
            root.add(path.name, regular(path.read_bytes()))
    for name, data in changed.items():
        root.add(name, regular(data))
    return root


def make(root: Directory, scratch: Path) -> bytes:
    return make_image(root, "i386-pc", prefix="/grub", wanted=NAMES, scratch=scratch)


def test_a_sound_one(tmp_path: Path) -> None:
    assert len(make(modules(), tmp_path)) > 20_000


def test_a_sound_one_for_cds(tmp_path: Path) -> None:
    """It begins with the sector that firmware loads of a CD."""
    made = medium_image(modules(), "i386-pc", "/boot/grub", tmp_path)
    assert made.startswith((GRUB / "cdboot.img").read_bytes()[:8])
    assert len(made) > 2048 + 20_000


def _garbage(how: str, data: bytes) -> bytes:
    rand = random.Random(how)
    return {
        "random": rand.randbytes(5000), "empty": b"", "cut": data[:100], "text": b"x" * 600,
        "tables": data[:16] + data[16:24] + rand.randbytes(len(data) - 24),
    }[how]  # fmt: skip


@pytest.mark.parametrize("how", ["random", "empty", "cut", "text", "tables"])
@pytest.mark.parametrize("name", ["normal.mod", "boot.img", "diskboot.img", "extcmd.mod"])
def test_garbage(name: str, how: str, tmp_path: Path) -> None:
    data = _garbage(how, (GRUB / name).read_bytes())
    if name == "diskboot.img" and how == "tables":
        return  # any 512 bytes are code
    if name == "boot.img" and how == "tables":
        data = data[:-2] + b"xx"
    with pytest.raises(SourceError) as caught:
        make(modules(**{name: data}), tmp_path)
    assert f"/usr/lib/grub/i386-pc/{name}" in caught.value.message or how == "tables"
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("word", ["../../../etc/passwd", "/etc/passwd", "a/b", "..", "a\x1bb"])
def test_no_module_is_looked_for_elsewhere(word: str, tmp_path: Path) -> None:
    lines = (GRUB / "moddep.lst").read_text().replace("normal:", f"normal: {word}", 1)
    with pytest.raises(SourceError, match=r"moddep\.lst") as caught:
        make(modules(**{"moddep.lst": lines.encode()}), tmp_path)
    assert word in caught.value.message


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    lines = (GRUB / "moddep.lst").read_text().replace("normal:", "normal: nosuch", 1)
    with pytest.raises(SourceError, match="nosuch"):
        make(modules(**{"moddep.lst": lines.encode()}), tmp_path)
