"""Media as libosinfo recognises them, which virt-install and GNOME Boxes ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.iso.assembly.plan import default_label
from diskgen.iso.mastering.master import BootImage, Medium, master
from diskgen.iso.mastering.names import check_label
from diskgen.tree import Directory, regular

from ...fixtures.remaster import detected, run


def made(output: Path, label: str) -> Path:
    """Return a medium that UEFI would try to start, with nothing else on it."""
    root = Directory()
    root.add("images/efiboot.img", regular(bytes(4096)))
    boot = (BootImage(path="images/efiboot.img", efi=True),)
    master(output, Medium(root=root, label=label, timestamp=1_790_000_000, application="DISKGEN",
                          boot=boot))  # fmt: skip
    return output


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "s390x"])
@pytest.mark.parametrize(
    ("name", "version", "system"),
    [
        ("fedora", "37", "Fedora"),
        ("centos", "9", "CentOS Stream 9"),
        ("rhel", "8.7", "Red Hat Enterprise Linux 8"),
        ("rhel", "9.1", "Red Hat Enterprise Linux 9.1"),
        ("rhel", "9.6", "Red Hat Enterprise Linux 9"),
        ("rhel", "10.0", "Red Hat Enterprise Linux"),
        ("almalinux", "9.6", "AlmaLinux 9"),
        ("rocky", "9.6", "Rocky Linux 9"),
    ],
)
def test_media_are_what_they_install(
    name: str, version: str, system: str, arch: str, tmp_path: Path
) -> None:
    label = default_label({"ID": name, "VERSION_ID": version}, MACHINES[arch])
    found = detected(made(tmp_path / "made.iso", label))
    assert found is not None
    assert found.startswith(system)
    assert found.endswith(f"({arch})")


@pytest.mark.parametrize(
    ("release", "label"),
    [
        ({"ID": "fedora", "VERSION_ID": "44"}, "Fedora-S-dvd-x86_64-44"),
        ({"ID": "centos", "VERSION_ID": "10"}, "CentOS-Stream-10-BaseOS-x86_64"),
        ({"ID": "almalinux", "VERSION_ID": "10.1"}, "AlmaLinux-10-1-x86_64-dvd"),
        ({"ID": "debian", "VERSION_ID": "13"}, "Debian-13-x86_64"),
        ({"ID": "fedora"}, "Fedora-x86_64"),
        ({}, "Diskgen-x86_64"),
    ],
)
def test_media_of_systems_that_it_may_not_know(
    release: dict[str, str], label: str, tmp_path: Path
) -> None:
    assert default_label(release, MACHINES["x86_64"]) == label
    found = detected(made(tmp_path / "made.iso", label))
    known = {"fedora": "Fedora", "centos": "CentOS", "almalinux": "AlmaLinux"}
    assert found is None or found.startswith(known.get(release.get("ID", ""), "?"))


@pytest.mark.parametrize("arch", list(MACHINES))
@pytest.mark.parametrize("name", ["fedora", "centos", "rhel", "almalinux", "rocky", "debian"])
def test_labels_are_whole(name: str, arch: str) -> None:
    version = "10" if name == "centos" else "10.11"
    label = default_label({"ID": name, "VERSION_ID": version}, MACHINES[arch])
    check_label(label)
    assert arch in label


def test_what_else_tells_a_medium(tmp_path: Path) -> None:
    said = run("isoinfo", "-d", "-i", made(tmp_path / "made.iso", "Tiny-1-x86_64"))
    found = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert found["System id"] == "LINUX"
    assert found["Volume id"] == "Tiny-1-x86_64"
    assert found["Application id"] == "DISKGEN"
    assert not found["Publisher id"].strip()
