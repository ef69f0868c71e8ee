"""What an image says to those who make disks of it: found, obeyed, or refused by name."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import SourceError
from diskgen.identifiers import DISK, filesystem_name, partition_name
from diskgen.layout import Role
from diskgen.ostree.disktable import MountOptions
from diskgen.ostree.embedded import read_embedded
from diskgen.tree import Directory, regular
from diskgen.units import GIB, MIB

NEW, OLD = "usr/lib/image-builder/bootc", "usr/lib/bootc-image-builder"
NAME = "[customizations]\nhostname = 'image'\n"
TABLE = """\
mount_configuration: none
partition_table:
  type: gpt
  size: 20 GiB
  uuid: D209C89E-EA5E-4FBD-B161-B461CCE297E0
  sector_size: 512
  policy: {ensure_xbootldr: true, grow_root_to_fill_disk: true}
  partitions:
    - size: 1 MiB
      bootable: true
      type: 21686148-6449-6E6F-744E-656564454649
      uuid: FAC7F1FB-3E8D-4137-A512-961DE09A5549
    - size: 600 MiB
      type: C12A7328-F81F-11D2-BA4B-00A0C93EC93B
      payload_type: filesystem
      payload:
        {type: vfat, uuid: 7B77-95E7, mountpoint: /boot/efi, label: EFI, fstab_options: "umask=077"}
    - size: 2 GiB
      payload: {type: ext4, mountpoint: /boot, uuid: 8D2B0E5C-3B0A-4B9B-9C55-0C6C9B2F3A11}
    - size: 5 GiB
      payload: {type: xfs, mountpoint: /, uuid: 6264D520-3FB9-423F-8AB8-7A0A8E3D3562}
"""


def image(**files: str) -> Directory:
    root = Directory()
    for path, text in files.items():
        root.add(path, regular(text.encode()))
    return root


def table(text: str, name: str = "disk.yaml") -> Any:
    return read_embedded(image(**{f"{NEW}/{name}": text}), "x86_64").table


def test_a_whole_table() -> None:
    found = table(TABLE)
    assert (found.size, found.root_filesystem, found.root_size) == (20 * GIB, "xfs", 5 * GIB)
    assert found.sizes == {Role.ESP: 600 * MIB, Role.BOOT: 2 * GIB}
    assert found.roles == (Role.BIOS_BOOT, Role.ESP, Role.BOOT, Role.ROOT)
    assert found.identifiers == {
        DISK: UUID("d209c89e-ea5e-4fbd-b161-b461cce297e0"),
        partition_name(Role.BIOS_BOOT): UUID("fac7f1fb-3e8d-4137-a512-961de09a5549"),
        filesystem_name(Role.ESP): UUID("7b7795e7-0000-0000-0000-000000000000"),
        filesystem_name(Role.BOOT): UUID("8d2b0e5c-3b0a-4b9b-9c55-0c6c9b2f3a11"),
        filesystem_name(Role.ROOT): UUID("6264d520-3fb9-423f-8ab8-7a0a8e3d3562"),
    }
    assert [text.partition(" ")[0] for text in found.warnings] == [
        "'partition_table.partitions[1].payload.label'",
        "'partition_table.partitions[1].payload.fstab_options'",
    ]


def test_how_the_root_is_mounted() -> None:
    text = TABLE.replace("mount_configuration: none", "mount_configuration: fstab")
    for given, expected in (
        ("fstab_freq: 0, fstab_passno: 0", None),
        ("fstab_passno: 1", MountOptions(passno=1)),
        ("fstab_options: noatime, fstab_freq: 1", MountOptions(options="noatime", freq=1)),
    ):
        found = table(text.replace("mountpoint: /,", f"mountpoint: /, {given},"))
        assert found.mounts.get(Role.ROOT) == expected
    with pytest.raises(SourceError, match="fstab_passno"):
        table(text.replace("mountpoint: /,", "mountpoint: /, fstab_passno: -1,"))


def test_warnings_name_the_images_file() -> None:
    found = read_embedded(image(**{f"{NEW}/disk.yaml": TABLE}), "x86_64")
    assert found.warnings
    assert all(text.startswith(f"'/{NEW}/disk.yaml' of the image: '") for text in found.warnings)
    assert read_embedded(Directory(), "x86_64").warnings == ()


@pytest.mark.parametrize("word", ["vfat", "fat", "fat32"])
def test_the_names_of_fat(word: str) -> None:
    found = table(TABLE.replace("{type: vfat,", f"{{type: {word},"))
    assert found.roles == (Role.BIOS_BOOT, Role.ESP, Role.BOOT, Role.ROOT)


def test_the_first_place_that_has_it_counts() -> None:
    both = {f"{NEW}/disk.yaml": "mount_configuration: none\n", f"{OLD}/disk.yaml": "]["}
    assert read_embedded(image(**both), "x86_64").table_path == f"/{NEW}/disk.yaml"
    both = {f"{NEW}/disk.yaml": "][", f"{NEW}/x86_64.yaml": TABLE}
    assert read_embedded(image(**both), "x86_64").table_path == f"/{NEW}/x86_64.yaml"
    named = '{"customizations": {"hostname": "image"}}'
    for place, form, text in ((NEW, "toml", NAME), (OLD, "toml", NAME), (OLD, "json", named)):
        found = read_embedded(image(**{f"{place}/config.{form}": text}), "x86_64").described
        assert found is not None
        assert (found.hostname, found.source) == ("image", f"/{place}/config.{form}")
    assert read_embedded(Directory(), "x86_64").described is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: gpt", "type: dos", "'partition_table.type' asks for what"),
        ("type: xfs", "type: zfs", "partitions[3].payload.type"),
        ("type: ext4", "type: xfs", "partitions[2].payload.type"),
        ("mountpoint: /,", "mountpoint: /home,", "a partition for '/home'"),
        ("mountpoint: /boot,", "mountpoint: /,", "two partitions for 'root'"),
        ("payload_type: filesystem", "payload_type: luks", "a partition of 'luks'"),
        ("payload_type: filesystem", "payload_type: lvm", "a partition of 'lvm'"),
        ("grow_root_to_fill_disk: true", "grow_root_to_fill_disk: false", "leaves room"),
        ("sector_size: 512", "sector_size: 512\n  grain_size: 4 MiB", "grain_size"),
        ("size: 20 GiB", "size: 20 gigs", "'partition_table.size' is no size"),
        ("size: 20 GiB", "sise: 20 GiB", "'partition_table.sise' is not known"),
        ("uuid: 7B77-95E7", "uuid: 7B77-95E", "payload.uuid' is no identifier"),
        ("uuid: 6264D520", "uuid: x6264D520", "payload.uuid' is no identifier"),
        ("uuid: 8D2B0E5C-3B0A-4B9B-9C55-0C6C9B2F3A11",
         "uuid: 6264D520-3FB9-423F-8AB8-7A0A8E3D3562", "twice"),
        ("policy: {", "policy: [{", "no YAML"),
        ("policy: {ensure_xbootldr: true, grow_root_to_fill_disk: true}", "policy: []", "no table"),
        ("mount_configuration: none", "mount_configuration: autofs", "known are"),
        ("mount_configuration: none", "mount_configuration: true", "not what it has to be"),
        ("mount_configuration: none", "x: &a [1]\ny: *a", "alias"),
        ("mount_configuration: none", "mount_configuration: none\nmount_configuration: none",
         "twice"),
        ("mount_configuration: none", "x: !!python/object/apply:os.system [id]", "has a tag"),
        ("mount_configuration: none", "x: " + "[" * 100, "document-depth"),
        ("mount_configuration: none", "x: " + "1" * 200, "document-digits"),
        ("mount_configuration: none", "x: '" + "y" * 140_000 + "'", "yaml-bytes"),
        ("mount_configuration: none", "---\na: 1\n---\nb: 2", "no YAML"),
        ("mount_configuration: none", "x: 2024-13-45", "no YAML"),
    ],
)  # fmt: skip
def test_what_no_disk_gets_is_refused_by_name(old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(SourceError) as caught:
        table(TABLE.replace(old, new, 1))
    assert message in str(caught.value)
    assert f"'/{NEW}/disk.yaml' of the image" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "x", "- a", "1: 2"])
def test_documents_that_are_no_table(text: str) -> None:
    with pytest.raises(SourceError):
        table(text)


def test_bombs_of_aliases_take_no_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(SourceError, match="alias"):
        table("\n".join(lines))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"{NEW}/config.toml": "x = ["}, "cannot be read"),
        ({f"{NEW}/config.toml": "[customizations]\nhostnam = 'a'\n"}, "did you mean 'hostname'"),
        ({f"{NEW}/config.toml": NAME, f"{NEW}/config.json": "{}"}, "is there as well"),
        ({f"{NEW}/config.toml": "[customizations.disk]\ntype='gpt'\n"}, "cannot be done"),
    ],
)
def test_configurations_that_cannot_be(files: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_embedded(image(**files), "x86_64")
    assert message in f"{caught.value} {caught.value.hint}"
    assert NEW in str(caught.value)


def test_every_architecture_has_a_name_for_its_own() -> None:
    for machine in MACHINES:
        found = read_embedded(image(**{f"{NEW}/{machine}.yaml": "{}"}), machine)
        assert found.table_path == f"/{NEW}/{machine}.yaml"


@pytest.mark.parametrize("argument", ["ostree=/x", 'quiet "ostree=/x y"'])
def test_an_argument_that_chooses_a_deployment_is_the_images_fault(argument: str) -> None:
    text = f"[customizations.kernel]\nappend = '{argument}'\n"
    with pytest.raises(SourceError, match="selects the deployment") as caught:
        read_embedded(image(**{f"{OLD}/config.toml": text}), "x86_64")
    assert f"/{OLD}/config.toml" in caught.value.message
    said = f"{caught.value.message} {caught.value.hint} {caught.value.setting}"
    assert "config'" not in said
    assert "--config" not in said
    assert caught.value.setting is None
