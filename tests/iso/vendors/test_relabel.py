"""A new label in the texts of a medium, and in nothing that only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskgen.iso.vendors import relabel
from diskgen.ostree.facts import UnfitError
from diskgen.tree import Directory, read, regular

TEXT = "linux /vmlinuz inst.stage2=hd:LABEL=OLD quiet\n"


def changed(name: str, text: str = TEXT) -> str:
    root = Directory()
    root.add(name, regular(text.encode()))
    relabel.change(Path("os.iso"), root, "OLD", "NEW", ())
    node = root.get_file(name)
    assert node is not None
    assert node.content is not None
    return read(node.content).decode()


@pytest.mark.parametrize("name", ["EFI/BOOT/grub.cfg", "boot.conf", "a.txt", "images/cd.prm"])
def test_texts_name_the_new_label(name: str) -> None:
    assert changed(name) == TEXT.replace("OLD", "NEW")


@pytest.mark.parametrize("suffix", ["rpm", "mod", "efi", "img", "gz", "xz", "c32"])
def test_what_is_no_text_stays(suffix: str) -> None:
    """Some of it is signed, and checksums of most of it stand elsewhere on the medium."""
    assert changed(f"images/file.{suffix}") == TEXT


@pytest.mark.parametrize("suffix", ["cfg", "conf", "prm", "ins", "ks", "parm", "lst"])
def test_a_configuration_that_names_it_in_its_own_way(suffix: str) -> None:
    with pytest.raises(UnfitError) as caught:
        changed(f"my.{suffix}", "the medium is called OLD\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.setting) == ("label", "label")
    assert f"'my.{suffix}' of 'os.iso' names the label 'OLD'" in problem.message


def test_another_text_may_name_it() -> None:
    assert changed("notes.txt", "the medium is called OLD\n") == "the medium is called OLD\n"
