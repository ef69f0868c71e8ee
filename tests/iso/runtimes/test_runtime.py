"""An installer's container: what it must hold, and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import PreflightError
from diskgen.iso.runtimes import own
from diskgen.iso.runtimes.runtime import examine
from diskgen.tree import Directory, regular, symlink

from ...fixtures.initramfs import packed
from ...fixtures.installers import ANACONDA

RELEASE = "6.12.1-300.fc44.x86_64"


def installer(*without: str, newer: bool = False) -> Directory:
    """Return an installer's root, as Fedora has it; ``newer`` keeps EFI programs in /usr."""
    efi = "usr/lib/efi/shim/16.1/EFI/fedora" if newer else "boot/efi/EFI/fedora"
    paths = [
        "usr/bin/anaconda", f"usr/lib/modules/{RELEASE}/vmlinuz",
        f"usr/lib/modules/{RELEASE}/initramfs.img", f"{efi}/shimx64.efi", f"{efi}/mmx64.efi",
        f"{efi}/gcdx64.efi", "usr/lib/grub/i386-pc/boot_hybrid.img",
        "usr/lib/grub/i386-pc/cdboot.img", "usr/lib/grub/i386-pc/iso9660.mod",
        "usr/share/grub/unicode.pf2", *ANACONDA,
    ]  # fmt: skip
    root = Directory()
    root.make_dirs("proc")
    root.add("usr/sbin", symlink("bin"))
    for path in paths:
        if not any(word in path for word in without):
            root.add(path, regular(path.encode()))
    if "proc" in without:
        del root.entries[b"proc"]
    return root


@pytest.mark.parametrize("newer", [False, True])
def test_everything_is_found(newer: bool) -> None:
    found = examine(installer(newer=newer), MACHINES["x86_64"])
    assert found.release == RELEASE
    for file, name in (
        (found.kernel, "vmlinuz"), (found.initrd, "initramfs.img"), (found.font, "unicode.pf2"),
        (found.efi["BOOTX64.EFI"], "shimx64.efi"), (found.efi["mmx64.efi"], "mmx64.efi"),
        (found.efi["grubx64.efi"], "gcdx64.efi"),
    ):  # fmt: skip
        assert file is not None
        assert file.content == regular_content(name, newer=newer)
    assert found.bios is not None


def regular_content(name: str, *, newer: bool) -> object:
    for path, node in installer(newer=newer).walk():
        if path.endswith(f"/{name}".encode()) and not isinstance(node, Directory):
            return node.content
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("without", "words", "hint"),
    [
        ("proc", "no directory '/proc'", "mkdir -p /proc"),
        ("vmlinuz", "this one has none", "one kernel"),
        ("initramfs", "has no initramfs beside it", "--add 'anaconda fips'"),
        ("shimx64", "no 'shimx64.efi' below '/boot/efi/EFI' or '/usr/lib/efi'", "shim-x64"),
        ("lib/systemd/systemd", "it lacks '/usr/lib/systemd/systemd' (systemd)", "anaconda"),
        ("-generator", "system-generators/anaconda-generator' (anaconda-core)", "anaconda, "),
        ("anaconda.target", "'/usr/lib/systemd/system/anaconda.target' (anaconda-core)", "-deps"),
        ("tmux", "it lacks 'tmux' (anaconda-install-img-deps)", "grub2-efi-x64-cdboot, shim-x64"),
        ("gcdx64", "no 'gcdx64.efi'", "grub2-efi-x64-cdboot"),
        ("cdboot.img", "no '/usr/lib/grub/i386-pc/cdboot.img'", "grub2-pc-modules"),
    ],
)
def test_what_is_missing_is_said(without: str, words: str, hint: str) -> None:
    with pytest.raises(PreflightError) as caught:
        examine(installer(without), MACHINES["x86_64"])
    (problem,) = caught.value.problems
    assert words in problem.message
    assert hint in (problem.hint or "")
    assert (problem.code, problem.setting) == ("installer", "installer")


@pytest.mark.parametrize("name", ["ostree", "skopeo"])
def test_what_installs_packages_alone_needs_no_program_for_images(name: str) -> None:
    root = installer(f"usr/bin/{name}")
    assert examine(root, MACHINES["x86_64"], images=False).anaconda
    with pytest.raises(PreflightError, match=f"it lacks '{name}'"):
        examine(root, MACHINES["x86_64"])


def test_all_is_said_at_once() -> None:
    with pytest.raises(PreflightError) as caught:
        examine(Directory(), MACHINES["x86_64"])
    assert len(caught.value.problems) == 4
    assert "diskgen's own installer cannot run in it" in caught.value.problems[0].message


def test_two_kernels() -> None:
    root = installer()
    root.add("usr/lib/modules/7.0.0/vmlinuz", regular(b""))
    with pytest.raises(PreflightError, match=f"this one has '{RELEASE}', '7.0.0'"):
        examine(root, MACHINES["x86_64"])


def test_a_mainframe_needs_no_boot_loader() -> None:
    found = examine(installer("efi", "grub"), MACHINES["s390x"])
    assert not found.efi
    assert found.bios is None


def test_an_initramfs_without_anaconda(tmp_path: Path) -> None:
    root = installer()
    place = f"usr/lib/modules/{RELEASE}/initramfs.img"
    root.add(place, regular(packed(tmp_path / "good", "anaconda", ["zstd"])))
    assert examine(root, MACHINES["x86_64"]).anaconda
    root.add(place, regular(packed(tmp_path / "bad", "ostree", ["zstd"])))
    with pytest.raises(PreflightError) as caught:
        examine(root, MACHINES["x86_64"])
    (problem,) = caught.value.problems
    assert "without dracut's module 'anaconda'" in problem.message
    assert "dracut --force --no-hostonly --add 'anaconda fips'" in str(problem.hint)


def test_our_installer_is_added_whole() -> None:
    root = installer("proc")
    own.add_to(root)
    place = "usr/lib/diskgen/python"
    for path in ("diskgen/__init__.py", "diskgen/install/__main__.py", "pykickstart/parser.py",
                 "passlib/__init__.py", "yaml/__init__.py"):  # fmt: skip
        assert root.get_file(f"{place}/{path}"), path
    folder = root.get_dir(place)
    assert folder is not None
    assert folder.entries.keys() == {b"diskgen", b"pykickstart", b"passlib", b"yaml"}
    modes = {name: root.get_dir(name) for name in ("proc", "sys", "dev", "run", "mnt", "tmp")}
    assert {name: found.mode & 0o7777 for name, found in modes.items() if found} == {
        "proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "mnt": 0o755, "tmp": 0o1777,
    }  # fmt: skip
