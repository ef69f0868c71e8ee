"""Two media of one version of a system are two: by command line, file and label."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from diskgen import resources
from diskgen.iso.mastering import identity
from diskgen.iso.mastering.names import MAX_LABEL, check_label
from diskgen.tree import Directory, regular

from ...fixtures import installers
from ...fixtures.program import Program

TARGET = ("--target-imgref", "quay.io/tiny/os:1")


def room(**files: bytes) -> Directory:
    root = Directory()
    for name, data in files.items():
        root.add(name.replace("__", "/"), regular(data))
    return root


def test_it_comes_from_what_is_there() -> None:
    words = {"installer": "x", "menu": ("a", "b")}
    one = identity.derive(room(a=b"1", b__c=b"2"), words)
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert one == identity.derive(room(b__c=b"2", a=b"1"), dict(reversed(words.items())))
    others = [
        identity.derive(room(a=b"1", b__c=b"3"), words), identity.derive(room(a=b"1"), words),
        identity.derive(room(a=b"1", b__d=b"2"), words),
        identity.derive(room(a=b"1", b__c=b"2"), {**words, "installer": "y"}),
    ]  # fmt: skip
    assert len({one, *others}) == 5


@pytest.mark.parametrize(
    "label",
    ["X", "Fedora-S-dvd-x86_64-44", "CentOS-Stream-10-BaseOS-aarch64", "x" * 32, "a" * 24 + "-b"],
)
def test_labels_differ_within_their_length(label: str) -> None:
    one, other = (identity.labelled(label, digits * 16) for digits in "12")
    for made in (one, other):
        check_label(made)
        assert made.startswith(label[:16])
        assert "--" not in made
    assert one != other
    assert len(one) <= MAX_LABEL


def label_of(iso: Path) -> str:
    said = subprocess.run(["blkid", "-p", "-s", "LABEL", "-o", "value", iso], check=True,
                          capture_output=True, text=True)  # fmt: skip
    return said.stdout.strip()


def file_of(iso: Path, path: str) -> str:
    return subprocess.run(["isoinfo", "-R", "-i", iso, "-x", path], check=True,
                          capture_output=True, text=True).stdout  # fmt: skip


def test_two_builds_of_one_version(diskgen: Program, images: Path) -> None:
    """Every entry says which of them it is of, and GRUB looks for that one's file."""
    other = installers.installer(images / "anaconda", installers.anaconda())
    layout = installers.machine(images / "os", installers.bootupd())
    made = []
    for name, words in (("a", ()), ("again", ()), ("b", ("--hostname", "b"))):
        iso = diskgen.place / f"{name}.iso"
        diskgen("iso", f"oci:{layout}", *TARGET, "--installer", f"oci:{other}", *words,
                "--unattended", "vda", "-o", iso)  # fmt: skip
        made.append(iso)
    first, again, second = made
    assert first.read_bytes() == again.read_bytes()
    labels = [label_of(iso) for iso in (first, second)]
    assert labels[0] != labels[1]
    assert all(re.fullmatch("Tiny-x86_64-[0-9a-f]{6}", label) for label in labels)
    seen = set()
    for iso, label in zip((first, second), labels, strict=True):
        text = file_of(iso, "/EFI/BOOT/grub.cfg")
        assert text == file_of(iso, "/boot/grub2/grub.cfg").replace(
            "serial --unit=0 --speed=115200\nterminal_input console serial\n"
            "terminal_output console serial\n", "",
        ).replace("Start from the first disk' {\n    chainloader (hd0)+1",
                  "Firmware settings' {\n    fwsetup")  # fmt: skip
        lines = re.findall(r"^\s*linux .*$", text, re.MULTILINE)
        (found,) = {word for line in lines for word in re.findall(r"diskgen\.id=(\w+)", line)}
        assert all(f"diskgen.id={found} " in line for line in lines)
        assert all(f"inst.stage2=hd:LABEL={label} " in line for line in lines)
        assert f"search --no-floppy --set=root --file /diskgen/id-{found}\n" in text
        listed = subprocess.run(["isoinfo", "-R", "-f", "-i", iso], check=True,
                                capture_output=True, text=True).stdout.split()  # fmt: skip
        assert f"/diskgen/id-{found}" in listed
        assert "diskgen.id" not in file_of(iso, "/diskgen/boot.ipxe")
        seen.add(found)
    assert len(seen) == 2


FUNCTION = re.compile(r"^is_medium\(\) \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("kind", "files", "wish", "label", "taken"),
    [
        ("iso9660", ["id-1"], "1", "X", True),
        ("iso9660", ["id-2"], "1", "X", False),  # of the same label, but not the one started
        ("iso9660", [], "1", "X", False),
        ("iso9660", ["id-1"], "1", "OTHER", True),
        ("vfat", ["id-1"], "1", "OTHER", True),  # files that were copied
        ("vfat", [], "1", "X", False),
        ("iso9660", [], "", "X", True),  # started by hand, by the label alone
        ("iso9660", [], "", "OTHER", False),
        ("vfat", [], "", "X", False),
        ("ext4", ["id-1"], "1", "X", False),
    ],
)
def test_our_initramfs_takes_the_medium_that_was_started(
    kind: str, files: list[str], wish: str, label: str, taken: bool, tmp_path: Path
) -> None:
    (function,) = FUNCTION.findall(resources.text("installer", "init"))
    tools = tmp_path / "bin"
    tools.mkdir()
    device, repo = tmp_path / "device", tmp_path / "repo"
    (device / "diskgen").mkdir(parents=True)
    repo.mkdir()
    for name in files:
        (device / "diskgen" / name).touch()
    for name, body in (
        ("blkid", f"case $3 in TYPE) echo {kind} ;; LABEL) echo {label} ;; esac"),
        ("mount", 'cp -r "$5/." "$6/"'), ("umount", 'rm -r "$1/diskgen"'),
    ):  # fmt: skip
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    script = f"repo={repo}\nid={wish}\nlabel=X\n{function}\nis_medium {device}"
    shell = shutil.which("dash") or "sh"
    done = subprocess.run([shell, "-c", script], check=False, capture_output=True, text=True,
                          env={"PATH": f"{tools}:/usr/bin:/bin"})  # fmt: skip
    assert (done.returncode == 0) == taken, done.stderr
    assert (repo / "diskgen").exists() == taken
