"""Media whose files are copied onto a FAT32 stick: all that they start by comes along."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ...fixtures import installers
from ...fixtures.program import Program

FAT_LABEL = "OS42"  # up to 11 characters, in capitals
FAT_SIZE = 128 * 1024 * 1024
FAT_FILE = (1 << 32) - 1  # bytes that a file has at most


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_a_copied_medium(kind: str, diskgen: Program, images: Path, tmp_path: Path) -> None:
    """Nothing that starts it needs ISO 9660; Anaconda's stick needs a label that both can have."""
    words: tuple[str, ...] = ()
    if kind == "own":
        layout = installers.machine(images / "os", installers.own_runtime())
    else:
        layout = installers.machine(images / "os", installers.bootupd())
        other = installers.installer(images / "anaconda", installers.anaconda())
        words = ("--installer", f"oci:{other}", "--label", FAT_LABEL)
    iso = diskgen.place / "os.iso"
    diskgen("iso", f"oci:{layout}", "--target-imgref", "quay.io/x/os:1", "--mode", "image", *words,
            "-o", iso)  # fmt: skip
    tree = tmp_path / "tree"
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree)
    assert not any(path.is_symlink() for path in tree.rglob("*"))  # FAT has none
    assert all(path.stat().st_size < FAT_FILE for path in tree.rglob("*"))
    stick = tmp_path / "stick"
    with stick.open("wb") as file:
        file.truncate(FAT_SIZE)
    label = FAT_LABEL if kind == "anaconda" else "RUFUS"
    run("mkfs.vfat", "-F", "32", "-n", label, stick)
    run("mcopy", "-s", "-Q", "-i", stick, *sorted(tree.iterdir()), "::/")
    run("fsck.fat", "-n", stick)
    back = tmp_path / "back"
    back.mkdir()
    run("mcopy", "-s", "-Q", "-n", "-i", stick, "::/*", back)
    assert run("diff", "-r", tree, back) == ""
    menu = (back / "EFI/BOOT/grub.cfg").read_text()
    # GRUB finds the files by one that no other medium has, whatever filesystem they are on.
    (mark,) = re.findall(r"^search .* --file (\S+)$", menu, re.MULTILINE)
    assert (back / mark.lstrip("/")).is_file()
    for path in re.findall(r"^\s*(?:linux|initrd) (\S+)", menu, re.MULTILINE):
        assert (back / path.lstrip("/")).is_file()
    if kind == "own":  # its initramfs looks for that file, too
        lines = re.findall(r"^\s*linux .*$", menu, re.MULTILINE)
        assert all(f"diskgen.id={mark.partition('id-')[2]} " in line for line in lines)
    else:  # its dracut module for the label: the stick has the medium's
        found = run("blkid", "-p", "-s", "LABEL", "-o", "value", stick).strip()
        assert f"inst.stage2=hd:LABEL={found} " in menu
