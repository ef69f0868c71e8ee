"""What an image's disk.yaml says of mounts: files of the machine, as other programs read them."""

from __future__ import annotations

import configparser
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from diskgen import build
from diskgen.arch import MACHINES
from diskgen.blueprint.model import AddedFile, Customizations, Services
from diskgen.config import Request
from diskgen.decision import Route, decide, mounting, unmet, wishes
from diskgen.disk_writer import Prepared
from diskgen.errors import SourceError
from diskgen.events import discard
from diskgen.identifiers import filesystem_name
from diskgen.image.store import Store
from diskgen.layout import Role
from diskgen.ostree.disktable import DiskTable, Mounted, MountOptions
from diskgen.ostree.embedded import Embedded, read_embedded
from diskgen.ostree.prepare_root import Composefs
from diskgen.plan import Identity
from diskgen.reference import parse
from diskgen.tree import Directory, File, read, regular

from ..fixtures import installers
from ..fixtures.oci import TarBuilder

PLACE = "usr/lib/image-builder/bootc"
GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")
TABLE = """mount_configuration: {}
partition_table:
  partitions:
    - {{size: 1 MiB, type: 21686148-6449-6E6F-744E-656564454649}}
    - {{size: 600 MiB, payload: {{type: vfat, uuid: 7B77-95E7, mountpoint: /boot/efi}}}}
    - size: 2 GiB
      payload: {{type: ext4, mountpoint: /boot, fstab_options: "ro,nosuid", fstab_passno: 2}}
    - payload: {{type: {root}, mountpoint: /, uuid: 8D2B0E5C-3B0A-4B9B-9C55-0C6C9B2F3A11}}
"""
COMPOSEFS = b"[composefs]\nenabled = maybe\n"


def prepared(place: Path, said: str, *, root: str = "ext4", composefs: bool = False) -> Prepared:
    tar = TarBuilder()
    text = TABLE.format(said, root=root) if said else "partition_table: {}\n"
    tar.file(f"{PLACE}/disk.yaml", text.encode())
    if composefs:
        tar.file("usr/lib/ostree/prepare-root.conf", COMPOSEFS)
    installers.machine(place / "os", installers.bootupd(), tar.finish())
    request = Request(
        format="raw", source=parse(f"oci:{place / 'os'}"), target=parse("registry.example/os:1"),
        arch="x86_64", cache=place / "cache",
    )  # fmt: skip
    with Store(request.cache).session() as store:
        return build.prepare(request, store, discard)


def etc_of(made: Prepared) -> Directory:
    plan = made.plan
    place = f"ostree/deploy/{plan.image.stateroot}/deploy/{plan.commit}.0/etc"
    found = made.root.get_dir(place)
    assert found is not None
    return found


def text(etc: Directory, path: str) -> str:
    node = etc.get(path)
    assert isinstance(node, File)
    assert node.content is not None
    return read(node.content).decode()


def boot_of(made: Prepared) -> str:
    return str(made.plan.layout.partition(Role.BOOT).fs_uuid)


def test_nothing_is_said(tmp_path: Path) -> None:
    made = prepared(tmp_path, "")
    assert text(etc_of(made), "fstab") == f"UUID={boot_of(made)} /boot auto ro 0 0\n"


def test_no_file_names_a_mount(tmp_path: Path) -> None:
    made = prepared(tmp_path, "none")
    etc = etc_of(made)
    assert etc.get("fstab") is None
    units = etc.get_dir("systemd/system")
    assert units is None or not [name for name in units.entries if name.endswith(b".mount")]
    assert sum("not started by UEFI" in warning for warning in made.plan.warnings) == 1


@pytest.mark.parametrize(("arch", "said"), [("x86_64", 1), ("aarch64", 0), ("s390x", 1)])
def test_where_nothing_finds_boot(arch: str, said: int) -> None:
    for mounted, count in ((Mounted.NONE, said), (Mounted.UNITS, 0), (None, 0)):
        found = Embedded(table=DiskTable(mounted=mounted), table_path="/x")
        assert len([*unmet.of_mounts(found, MACHINES[arch])]) == count


ROOTS = [
    ("ext4", False, "defaults"), ("btrfs", False, "subvol=root"), ("xfs", True, "ro"),
    ("btrfs", True, "ro"),
]  # fmt: skip


@pytest.mark.parametrize(("root", "composefs", "options"), ROOTS)
def test_fstab_names_each(root: str, composefs: bool, options: str, tmp_path: Path) -> None:
    made = prepared(tmp_path, "fstab", root=root, composefs=composefs)
    path = tmp_path / "fstab"
    path.write_text(text(etc_of(made), "fstab"))
    words = [
        "findmnt",
        "-F",
        str(path),
        "-n",
        "-r",
        "-o",
        "SOURCE,TARGET,FSTYPE,OPTIONS,FREQ,PASSNO",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"UUID=8d2b0e5c-3b0a-4b9b-9c55-0c6c9b2f3a11 / {root} {options} 0 0",
        f"UUID={boot_of(made)} /boot ext4 ro,nosuid 0 2",
        "UUID=7B77-95E7 /boot/efi vfat umask=0077,shortname=winnt 0 2",
    ]
    assert not any("fstab_options" in warning for warning in made.plan.warnings)


def generated(fstab: str, place: Path) -> dict[str, dict[str, str]]:
    """Return the units that systemd makes of an fstab, by name, what they say of the mount."""
    path = place / "fstab"
    path.write_text(fstab)
    folders = [place / name for name in ("normal", "early", "late")]
    for folder in folders:
        folder.mkdir()
    subprocess.run([GENERATOR, *folders], check=True, capture_output=True,
                   env={"PATH": os.environ["PATH"], "SYSTEMD_FSTAB": str(path),
                        "SYSTEMD_PROC_CMDLINE": "quiet"})  # fmt: skip
    return {unit.name: section(unit.read_text()) for unit in folders[0].glob("*.mount")}


def section(unit: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit)
    return dict(parser["Mount"])


@pytest.mark.parametrize(("root", "composefs", "options"), ROOTS)
def test_units_are_what_systemd_makes_of_the_same_fstab(
    root: str, composefs: bool, options: str, tmp_path: Path
) -> None:
    made = prepared(tmp_path, "units", root=root, composefs=composefs)
    etc = etc_of(made)
    assert etc.get("fstab") is None
    names = [name.decode() for name in etc.get_dir("systemd/system").entries  # type: ignore[union-attr]
             if name.endswith(b".mount")]  # fmt: skip
    places = ["/", "/boot", "/boot/efi"]
    escaped = subprocess.run(["systemd-escape", "-p", "--suffix=mount", *places],
                             capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    assert sorted(names) == sorted(escaped)
    ours = {name: section(text(etc, f"systemd/system/{name}")) for name in names}
    assert ours["-.mount"]["Options"] == options
    other = tmp_path / "other"
    other.mkdir()
    line = "".join(
        f"{one['What']} {one['Where']} {one['Type']} {one['Options']} 0 0\n"
        for one in ours.values()
    )
    theirs = generated(line, other)
    for name, said in theirs.items():
        for key in ("What", "Where", "Type"):
            assert ours[name].get(key) == said.get(key, "auto"), (name, key)
        assert said.get("Options", "defaults") == ours[name]["Options"]
    wanted = etc.get_dir("systemd/system/local-fs.target.requires")
    assert wanted is not None
    assert sorted(name.decode() for name in wanted.entries) == sorted(names)


def test_what_a_description_says_of_such_a_unit_counts() -> None:
    found = [
        mounting.Mount(spec="LABEL=x", place=place, filesystem="ext4", how=MountOptions())
        for place in ("/", "/boot", "/boot/efi", "/var")
    ]
    mine = AddedFile(path="/etc/systemd/system/boot.mount", data=b"mine")
    services = Services(disabled=("var.mount",), masked=("boot-efi.mount",))
    wanted = Customizations(files=(mine,), services=services)
    made = mounting.with_mounts(wanted, Mounted.UNITS, found)
    assert mine in made.files
    assert [file.path.rpartition("/")[2] for file in made.files] == [
        "boot.mount", "-.mount", "var.mount",
    ]  # fmt: skip
    assert made.services == replace(services, enabled=("-.mount",))


@pytest.mark.parametrize(
    ("line", "message"),
    [('fstab_options: "ro, x"', "the options"), ("fstab_passno: -1", "'-1'"),
     ('fstab_options: "x\\ny"', "the options"), ("fstab_freq: 10", "'10'"),
     ("fstab_options: 7", "not what it has to be")],
)  # fmt: skip
@pytest.mark.parametrize("said", ["fstab", "units"])
def test_options_that_cannot_be(said: str, line: str, message: str) -> None:
    table = TABLE.format(said, root="ext4").replace(
        'fstab_options: "ro,nosuid", fstab_passno: 2', line
    )
    tree = Directory()
    tree.add(f"{PLACE}/disk.yaml", regular(table.encode()))
    with pytest.raises(SourceError, match=message):
        read_embedded(tree, "x86_64")


@pytest.mark.parametrize("role", [Role.ROOT, Role.BOOT, Role.ESP])
def test_a_label_stands_for_an_identifier_that_the_first_boot_replaces(role: Role) -> None:
    machine = MACHINES["x86_64"]
    wish = wishes(Request(format="raw", source=parse("quay.io/a/b:1"), arch="x86_64"),
                  Route.DISKGEN)  # fmt: skip
    decided = decide(wish, None, machine, Route.DISKGEN)
    identity = Identity(seed="x", renewed={filesystem_name(role): UUID(int=7)})
    found = mounting.mounts(DiskTable(), decided, identity, machine, Composefs.NO)
    named = [one.place for one in found if one.spec.startswith("LABEL=")]
    assert named == [{"root": "/", "boot": "/boot", "esp": "/boot/efi"}[role]]


@pytest.mark.parametrize(("key", "place"), [("root_spec", "/"), ("boot_spec", "/boot")])
def test_the_install_configuration_says_the_names(key: str, place: str) -> None:
    machine = MACHINES["x86_64"]
    wish = wishes(Request(format="raw", source=parse("quay.io/a/b:1"), arch="x86_64"),
                  Route.DISKGEN)  # fmt: skip
    decided = decide(wish, None, machine, Route.DISKGEN)
    for spec, places in (("LABEL=x", 3), ("", 2)):
        changed: Any = {key: spec}
        made = replace(decided, **changed)
        identity = Identity(seed="x")
        found = [*mounting.mounts(DiskTable(), made, identity, machine, Composefs.NO)]
        assert len(found) == places
        assert [one.spec for one in found if one.place == place] == [spec] * bool(spec)
