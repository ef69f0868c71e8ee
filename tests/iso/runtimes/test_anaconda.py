"""Anaconda in a container: what makes a runtime of it that starts by itself, and says its end."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.iso.kickstarts.kickstart import Packages, Settings, fragments
from diskgen.iso.menus import menu
from diskgen.iso.menus.menu import Choices
from diskgen.iso.runtimes import anaconda
from diskgen.tree import Directory, File, read, regular, symlink

from ...fixtures import installers
from ...fixtures.program import ROOT, Program

DONE = re.compile(r"^%post --interpreter=/bin/sh --nochroot\n(.*?)^%end", re.MULTILINE | re.DOTALL)


def container() -> Directory:
    """Return a container's root as Fedora's bootable base has it: /root and /mnt lead into /var."""
    root = Directory()
    for path in installers.ANACONDA:
        root.add(path, regular(b""))
    for name, target in (("root", "var/roothome"), ("mnt", "/var/mnt"), ("lib", "usr/lib")):
        root.add(name, symlink(target))
    root.add("etc/passwd", regular(b"root:x:0:0:root:/root:/bin/bash\nbin:x:1:1::/:/bin/sh"))
    root.add("etc/shadow", regular(b"root:!locked::0:99999:7:::\nbin:*::0:99999:7:::", mode=0))
    root.add("etc/yum.repos.d/fedora.repo", regular(b"[fedora]\n"))
    return root


def unpacked(root: Directory, place: Path) -> Path:
    for raw, node in root.walk():
        path = place / os.fsdecode(raw)
        if isinstance(node, Directory):
            path.mkdir(parents=True)
        elif node.is_symlink:
            path.symlink_to(os.fsdecode(node.target))
        elif node.content is not None:
            path.write_bytes(read(node.content))
    return place


def test_systemd_starts_anaconda(tmp_path: Path) -> None:
    root = container()
    anaconda.add_to(root)
    place = unpacked(root, tmp_path / "root")
    said = subprocess.run(["systemctl", f"--root={place}", "get-default"], check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert said.stdout == "anaconda.target\n"
    for name in ("systemd-gpt-auto-generator", "lvm2-activation-generator"):
        link = place / "etc/systemd/system-generators" / name
        assert str(link.readlink()) == "/dev/null"
    shells = place / "etc/systemd/system/autovt@.service"
    assert str(shells.readlink()) == "/usr/lib/systemd/system/anaconda-shell@.service"
    assert "ReserveVT=2" in (place / "etc/systemd/logind.conf.d/anaconda-shell.conf").read_text()


def test_what_lorax_leaves(tmp_path: Path) -> None:
    root = container()
    anaconda.add_to(root)
    place = unpacked(root, tmp_path / "root")
    accounts = (place / "etc/passwd").read_text().splitlines()
    assert accounts[0].startswith("root:x:0:0:")
    assert accounts[-1] == "install:x:0:0:root:/root:/usr/libexec/anaconda/run-anaconda"
    shadow = dict(line.split(":")[:2] for line in (place / "etc/shadow").read_text().splitlines())
    assert shadow == {"root": "", "bin": "*", "install": ""}
    stub = root.get("usr/bin/list-harddrives")
    assert isinstance(stub, File)
    assert stub.mode & 0o777 == 0o755
    assert root.get("usr/share/anaconda/list-harddrives-stub") is None
    assert (place / "etc/anaconda.repos.d/fedora.repo").is_file()
    assert not (place / "etc/yum.repos.d").exists()
    assert (place / "var/roothome").is_dir()
    assert (place / "var/mnt").is_dir()
    allowed = place / "etc/systemd/user/pipewire.service.d/allowroot.conf"
    assert allowed.read_text() == "[Unit]\nConditionUser=\n"


def test_what_is_done_already_stays() -> None:
    root = container()
    anaconda.add_to(root)
    once = {path: node.mode for path, node in root.walk()}
    first = read(root.get_file("etc/passwd").content)  # type: ignore[union-attr,arg-type]
    anaconda.add_to(root)
    assert {path: node.mode for path, node in root.walk()} == once
    assert read(root.get_file("etc/passwd").content) == first  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("policy", "labelled", "words"),
    [(False, False, ()), (True, False, ("enforcing=0",)), (True, True, ())],
)
def test_no_policy_is_enforced_without_labels(
    policy: bool, labelled: bool, words: tuple[str, ...]
) -> None:
    root = container()
    if policy:
        root.add("etc/selinux/config", regular(b"SELINUX=enforcing\n"))
    if labelled:
        label = ((b"security.selinux", b"system_u:object_r:bin_t:s0\0"),)
        root.add("usr/bin/sh", regular(b"", xattrs=label))
    assert anaconda.arguments(root) == words


def test_a_whole_medium(diskgen: Program, images: Path, tmp_path: Path) -> None:
    """The runtime on it starts Anaconda, in every entry of its menu, and it knows its name."""
    place = installers.machine(images / "os", installers.bootupd())
    other = installers.installer(images / "anaconda", installers.anaconda())
    iso = diskgen.place / "os.iso"
    diskgen("iso", f"oci:{place}", "--target-imgref", "quay.io/tiny/os:1", "--installer",
            f"oci:{other}", "--mode", "image", "-o", iso)  # fmt: skip
    tree = tmp_path / "tree"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree],
                   check=True, capture_output=True)  # fmt: skip
    root = tmp_path / "root"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", root, tree / "images/install.img"],
                   check=True, capture_output=True)  # fmt: skip
    said = subprocess.run(["systemctl", f"--root={root}", "get-default"], check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert said.stdout == "anaconda.target\n"
    assert "\ninstall:" in (root / "etc/passwd").read_text()
    lines = re.findall(r"^\s*linux .*$", (tree / "EFI/BOOT/grub.cfg").read_text(), re.MULTILINE)
    assert len(lines) == 7
    assert all(" enforcing=0" in line for line in lines)
    assert sum(" fips=1 " in line for line in lines) == 1
    overlay = subprocess.run(["xz", "-dc", tree / "images/product.img"], check=True,
                             capture_output=True).stdout  # fmt: skip
    stamp = subprocess.run(["cpio", "-i", "--quiet", "--to-stdout", ".buildstamp"], input=overlay,
                           check=True, capture_output=True).stdout.decode()  # fmt: skip
    assert "Product=Tiny Linux 1\n" in stamp
    assert "IsFinal=True\n" in stamp


@pytest.mark.parametrize(("fips", "count"), [(True, 1), (False, 0)])
def test_fips_is_offered_where_it_works(fips: bool, count: int) -> None:
    choices = Choices(product="X", label="X", fips=fips)
    text = menu.to_grub(menu.make(choices, kernel="/k", initrd="/i", bios=False))
    assert text.count("fips=1") == text.count("FIPS mode") == count


@pytest.mark.parametrize("name", ["image-offline.ks", "image-remote.ks", "package.ks"])
@pytest.mark.parametrize("own", [False, True])
def test_the_end_is_said_on_the_serial_line(name: str, own: bool, tmp_path: Path) -> None:
    """Anaconda's last script says it; diskgen's own installer is not done when it runs."""
    settings = Settings(
        reference="quay.io/a/os:1", digest="sha256:" + "0" * 64,
        packages=Packages(url="https://mirror.invalid/"),
    )  # fmt: skip
    text = fragments(settings, "F44")[name]
    (script,) = DONE.findall(text)
    assert text.rstrip().endswith(script.rstrip() + "\n%end")  # nothing comes behind it
    ours, theirs = os.openpty()
    (tmp_path / "ttyS0").symlink_to(os.ttyname(theirs))
    (tmp_path / "ttyAMA0").write_text("")  # no device, so nothing is written to it
    if own:
        (tmp_path / "diskgen").mkdir()
    script = script.replace("/dev/$line", f"{tmp_path}/$line")
    script = script.replace("/run/diskgen", f"{tmp_path}/diskgen")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    os.write(theirs, b".")
    assert os.read(ours, 100).startswith(b"." if own else b"DISKGEN-INSTALL done")
    assert (tmp_path / "ttyAMA0").read_text() == ""
    os.close(ours)
    os.close(theirs)


def test_the_readme_lists_all_packages() -> None:
    text = (ROOT / "README.md").read_text()
    for package in anaconda.packages(MACHINES["x86_64"]):
        assert f"`{package}`" in text, package
