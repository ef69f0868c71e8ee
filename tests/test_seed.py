"""Identifiers of disks: their own by ``--seed``, and those that a first boot replaces."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

from diskgen.build import plan_only
from diskgen.config import Request
from diskgen.events import discard
from diskgen.identifiers import identity_seed
from diskgen.iso.mastering import hybrid
from diskgen.layout import Filesystem, Role
from diskgen.ostree import firstboot
from diskgen.reference import parse
from diskgen.tree import Directory, regular

from .fixtures.oci import Layout, TarBuilder, bootable, bootable_tar
from .fixtures.program import Program, fingerprint

GUID = "00000000-0000-4000-a000-000000000001"
ROOT = "910678ff-f77e-4a7d-8d53-86f2ac47a823"
MODULES = "usr/lib/dracut/modules.d"
RENEWING = {
    f"{MODULES}/35coreos-ignition/coreos-gpt-setup.sh": f"UNINITIALIZED_GUID='{GUID}'\n",
    f"{MODULES}/40ignition-ostree/ignition-ostree-firstboot-uuid": f"r={ROOT}\n",
}


def said(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def identifiers(disk: Path) -> list[str]:
    """Return all identifiers of a disk, as sfdisk, blkid and dumpe2fs name them."""
    table = json.loads(said("sfdisk", "--json", disk))["partitiontable"]
    found = [table["id"].lower()]
    for part in table["partitions"]:
        found.append(part["uuid"].lower())
        offset, size = part["start"] * 512, part["size"] * 512
        probed = subprocess.run(
            ["blkid", "--probe", "-o", "export", f"--offset={offset}", f"--size={size}", disk],
            check=False, capture_output=True, text=True,
        ).stdout  # fmt: skip
        values = dict(line.split("=", 1) for line in probed.splitlines() if "=" in line)
        found += [values["UUID"]] if "UUID" in values else []
        if values.get("TYPE") == "ext4":
            shown = said("dumpe2fs", "-h", f"{disk}?offset={offset}")
            found += [line.split()[-1] for line in shown.splitlines() if "Hash Seed" in line]
    return found


def test_disks_with_seeds_have_no_identifier_in_common(diskgen: Program, images: Path) -> None:
    source = f"oci:{bootable(images / 'os')}"
    seeds = {"none": (), "one": ("--seed", "one"), "again": ("--seed", "one"),
             "two": ("--seed", "two")}  # fmt: skip
    found = {}
    for name, words in seeds.items():
        diskgen("raw", source, "-o", f"{name}.raw", *words)
        found[name] = identifiers(diskgen.place / f"{name}.raw")
    # The table, four partitions, three filesystems, two hash seeds.
    assert [len(set(ids)) for ids in found.values()] == [10] * 4
    assert found["one"] == found["again"]
    prints = {name: fingerprint(diskgen.place / f"{name}.raw") for name in seeds}
    assert prints["one"] == prints["again"] != prints["two"]
    assert len({*found["none"], *found["one"], *found["two"]}) == 30
    plan = json.loads(diskgen("plan", "raw", source, "--seed", "one", "--json"))
    assert plan["disk"]["seed"] == "one"
    assert {plan["disk"]["guid"]} < set(found["one"])
    assert f"root=UUID={found['one'][8]}" in plan["deployment"]["kargs"]
    assert "identifiers of the digest and 'one'" in diskgen("plan", "raw", source, "--seed", "one")


def test_a_seed_is_a_text_on_one_line(diskgen: Program) -> None:
    for text in ("", "a\x1bb"):
        done = diskgen.run("plan", "raw", "oci:nowhere", "--seed", text)
        assert done.returncode == 2
        assert "--seed" in done.stderr


def coreos(images: Path, programs: dict[str, str], config: str = "") -> str:
    tar = TarBuilder()
    tar.directory(f"{MODULES}/30ignition")
    for path, text in programs.items():
        tar.file(path, text.encode(), mode=0o755)
    tar.file("usr/lib/bootc/install/00-coreos.toml", f"[install]\n{config}".encode())
    layout = Layout(images / f"coreos-{len(programs)}{len(config)}")
    layers = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
    return f"oci:{layout.finish(layout.image(layers))}"


def test_what_the_first_boot_replaces_is_as_it_expects(diskgen: Program, images: Path) -> None:
    """As root= names its filesystem, the table's identifier alone may change."""
    source = coreos(images, RENEWING)
    diskgen("raw", source, "-o", "os.raw")
    table = json.loads(said("sfdisk", "--json", diskgen.place / "os.raw"))["partitiontable"]
    assert table["id"].lower() == GUID
    text = diskgen("plan", "raw", source, "--rootfs", "ext4")
    assert "identifiers that the first boot replaces: disk\n" in text
    seeded = json.loads(diskgen("plan", "raw", source, "--seed", "x", "--json"))
    assert seeded["disk"]["guid"] != GUID
    assert seeded["disk"]["renewed_at_first_boot"] == []
    plain = json.loads(diskgen("plan", "raw", coreos(images, {}), "--json"))
    assert plain["disk"]["guid"] != GUID


def test_a_root_that_nothing_names_is_replaced_too(images: Path, tmp_path: Path) -> None:
    def planned(config: str) -> tuple[str, tuple[str, ...], list[str]]:
        source = parse(coreos(images, RENEWING, config))
        made = plan_only(
            Request(format="raw", source=source, arch="x86_64", cache=tmp_path), discard
        )
        part = made.layout.partition(Role.ROOT)
        return str(part.fs_uuid), made.kargs, sorted(made.identity.renewed)

    xfs = 'filesystem.root.type = "xfs"\n'
    uuid, kargs, renewed = planned(f'{xfs}root-mount-spec = ""\nboot-mount-spec = ""\n')
    assert (uuid, renewed) == (ROOT, ["disk", "filesystem root"])
    assert not [karg for karg in kargs if karg.startswith(("root=", "boot="))]
    uuid, kargs, renewed = planned(xfs)
    assert renewed == ["disk"]
    assert f"root=UUID={uuid}" in kargs
    assert uuid != ROOT
    assert planned('root-mount-spec = ""\n')[2] == ["disk"]  # of ext4 it makes none
    uuid, kargs, renewed = planned(f'{xfs}root-mount-spec = "LABEL=root"\n')
    assert (uuid, renewed) == (ROOT, ["disk", "filesystem root"])
    assert "root=LABEL=root" in kargs


def test_a_disk_of_fedora_coreos(images: Path, tmp_path: Path) -> None:
    """As its image asks for it; the root's kind it tells other tools alone."""
    config = (
        'root-mount-spec = ""\nboot-mount-spec = ""\nenforce-container-sigpolicy = true\n'
        "bootupd.skip-boot-uuid = true\n"
    )
    files = {"etc/containers/policy.json": '{"default": [{"type": "reject"}]}'}
    request = Request(
        format="qcow2", source=parse(coreos(images, RENEWING | files, config)), arch="x86_64",
        target=parse("registry.example/os:1"), root_filesystem="xfs", cache=tmp_path,
    )  # fmt: skip
    made = plan_only(request, discard)
    assert made.warnings == ()
    assert made.origin == "ostree-image-signed:docker://registry.example/os:1"
    assert made.kargs == (
        "rw", "$ignition_firstboot", "ignition.platform.id=qemu", "console=tty0",
        "console=ttyS0,115200n8",
    )  # fmt: skip
    table = made.layout
    assert [str(part.label) for part in table.partitions[-2:]] == ["boot", "root"]
    assert str(table.disk_guid) == GUID
    assert str(table.partition(Role.ROOT).fs_uuid) == ROOT
    assert table.partition(Role.BOOT).fs_uuid == made.identity.boot_uuid  # ours: GRUB looks for it
    again = plan_only(replace(request, seed="x"), discard)
    assert str(again.layout.partition(Role.ROOT).fs_uuid) != ROOT


def test_a_first_boot_that_replaces_nothing_is_told_from_one_that_does() -> None:
    def renewed(texts: dict[str, str], root: Filesystem = Filesystem.XFS) -> set[str]:
        tree = Directory()
        for path, text in texts.items():
            tree.add(path, regular(text.encode()))
        return set(firstboot.renewed(tree, root))

    assert renewed(RENEWING) == {"disk", "filesystem root"}
    assert renewed(RENEWING, Filesystem.EXT4) == {"disk"}
    assert renewed({}) == set()
    assert renewed(dict.fromkeys(RENEWING, "other identifiers")) == set()


def test_media_with_seeds_have_another_table(tmp_path: Path) -> None:
    """What a medium's table and its ESP are named by follows the seed."""
    found = []
    for text in (None, "one", "two"):
        iso = tmp_path / f"{text}.iso"
        iso.write_bytes(bytes(4 * 1024**2))
        esp = hybrid.Esp(start=1024**2, size=1024**2)
        hybrid.make(iso, seed=identity_seed("sha256:1 LABEL x86_64", text), bios=None, esp=esp)
        table = json.loads(said("sfdisk", "--json", iso))["partitiontable"]
        found += [table["id"], table["partitions"][0]["uuid"]]
    assert len(set(found)) == 6
