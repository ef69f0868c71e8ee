"""What an image says of its own disks, beside a user's file and options: who is asked first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen import build, build_iso, medium_writer
from diskgen.blueprint.merge import merge
from diskgen.blueprint.model import Customizations
from diskgen.blueprint.read import read
from diskgen.config import IsoRequest, Request
from diskgen.errors import DiskgenError, SourceError, UsageError
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.layout import Role
from diskgen.plan import DiskPlan, to_json, to_text
from diskgen.reference import parse
from diskgen.tree import read as content_of
from diskgen.units import GIB, MIB

from ..fixtures import installers
from ..fixtures.oci import TarBuilder

PLACE = "usr/lib/image-builder/bootc"
CONFIG = b"""[customizations]
hostname = "image"
[customizations.timezone]
timezone = "Europe/Berlin"
[[customizations.filesystem]]
mountpoint = "/"
minsize = "7 GiB"
"""
TABLE = b"""partition_table:
  size: 14 GiB
  uuid: D209C89E-EA5E-4FBD-B161-B461CCE297E0
  partitions:
    - {size: 1 MiB, type: 21686148-6449-6E6F-744E-656564454649}
    - {size: 600 MiB, payload: {type: vfat, uuid: 7B77-95E7, mountpoint: /boot/efi}}
    - {size: 2 GiB, payload: {type: ext4, mountpoint: /boot}}
    - {uuid: 6264D520-3FB9-423F-8AB8-7A0A8E3D3562,
       payload: {type: xfs, mountpoint: /, uuid: 8D2B0E5C-3B0A-4B9B-9C55-0C6C9B2F3A11}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("completed")
    tar = TarBuilder()
    tar.file(f"{PLACE}/config.toml", CONFIG)
    tar.file(f"{PLACE}/disk.yaml", TABLE)
    installers.machine(place / "os", installers.bootupd(), tar.finish())
    programs = TarBuilder()
    for name in ("mkfs.xfs", "tar"):
        programs.file(f"usr/sbin/{name}", b"#!/bin/sh\n", mode=0o755)
    installers.machine(place / "own", installers.own_runtime(), programs.finish())
    installers.installer(place / "anaconda", installers.anaconda())
    return place


def planned(place: Path, **more: Any) -> DiskPlan:
    request = Request(
        format="raw", source=parse(f"oci:{place / 'os'}"), target=parse("registry.example/os:1"),
        arch="x86_64", cache=place / "cache", **more,
    )  # fmt: skip
    with Store(request.cache).session() as store:
        return build.prepare(request, store, discard).plan


def mine(text: str) -> Customizations:
    return read(text, "toml", "mine.toml")


def test_a_disk_is_what_its_image_says(place: Path) -> None:
    plan = planned(place)
    made = to_json(plan)
    assert made["machine"]["hostname"] == "image"
    assert made["machine"]["config"] == f"/{PLACE}/config.toml"
    assert made["disk"]["laid_out_by"] == [f"/{PLACE}/disk.yaml"]
    assert made["disk"]["guid"] == "d209c89e-ea5e-4fbd-b161-b461cce297e0"
    assert plan.layout.size == 14 * GIB
    assert plan.layout.partition(Role.ESP).size == 600 * MIB
    assert plan.layout.partition(Role.ESP).fs_uuid_text == "7B77-95E7"
    assert plan.layout.partition(Role.BOOT).size == 2 * GIB
    root = plan.layout.partition(Role.ROOT)
    assert (str(root.filesystem), str(root.uuid)) == ("xfs", "6264d520-3fb9-423f-8ab8-7a0a8e3d3562")
    assert "root=UUID=8d2b0e5c-3b0a-4b9b-9c55-0c6c9b2f3a11" in plan.kargs
    assert f"/{PLACE}/disk.yaml" in to_text(plan)


def test_a_users_file_counts_and_the_images_sizes(place: Path) -> None:
    plan = planned(place, customizations=mine("[customizations]\nhostname = 'mine'\n"))
    wanted = plan.request.customizations
    assert (wanted.hostname, wanted.timezone, wanted.source) == ("mine", None, "mine.toml")
    assert wanted.sizes == {"/": 7 * GIB}
    text = "[[customizations.filesystem]]\nmountpoint = '/'\nminsize = '5 GiB'\n"
    assert planned(place, customizations=mine(text)).request.customizations.sizes["/"] == 5 * GIB


def test_options_win_over_the_image(place: Path) -> None:
    plan = planned(
        place, customizations=Customizations(hostname="option"), root_filesystem="ext4",
        disk_size=11 * GIB, seed="x", sizes={"esp": 700 * MIB},
    )  # fmt: skip
    wanted = plan.request.customizations
    assert (wanted.hostname, wanted.timezone) == ("option", "Europe/Berlin")
    assert wanted.overridden == ("--hostname",)
    assert plan.layout.size == 11 * GIB
    assert plan.layout.partition(Role.ROOT).filesystem == "ext4"
    assert plan.layout.partition(Role.ESP).size == 700 * MIB
    assert str(plan.layout.disk_guid) != "d209c89e-ea5e-4fbd-b161-b461cce297e0"


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"sector_size": 4096}, SourceError, "asks for the partitions bios-boot"),
    ],
)
def test_what_cannot_be_together(
    place: Path, more: dict[str, Any], error: type[DiskgenError], message: str
) -> None:
    more = {"arch": "x86_64", **more}
    request = Request(format="raw", source=parse(f"oci:{place / 'os'}"),
                      cache=place / "cache", **more)  # fmt: skip
    with Store(request.cache).session() as store, pytest.raises(error, match=message):
        build.prepare(request, store, discard)


def medium(place: Path, kind: str, wanted: Customizations) -> medium_writer.Prepared:
    request = IsoRequest(
        source=parse(f"oci:{place / 'os'}"), target=parse("registry.example/os:1"), arch="x86_64",
        installer=parse(f"oci:{place / kind}"), modes=("image",), cache=place / "cache",
        customizations=wanted, unattended="vda",
    )  # fmt: skip
    with Store(request.cache).session() as store:
        return build_iso.prepare(request, store, discard)


def test_media_say_what_the_image_says(place: Path) -> None:
    made = medium(place, "anaconda", Customizations())
    file = made.ours.get_file("unattended-image.ks")
    assert file is not None
    assert file.content is not None
    text = content_of(file.content).decode()
    assert "--hostname=image" in text
    assert "--fstype=xfs" in text
    assert [w for w in made.plan.warnings if "which Anaconda does by itself" in w]


def test_a_machine_of_our_medium_is_asked_no_second_time(place: Path) -> None:
    wanted = mine("[customizations]\nfips = false\n")
    made = medium(place, "own", wanted)
    file = made.ours.get_file("machine.json")
    assert file is not None
    assert file.content is not None
    from diskgen.blueprint import portable

    carried = portable.of_json(json.loads(content_of(file.content)))
    assert carried.source == "mine.toml"
    again = merge(carried, Customizations(keyboard="de"))
    assert planned(place, customizations=again).request.customizations.hostname is None
    assert replace(carried, source=None) == Customizations()


def test_sectors_of_a_disk_that_is_there_are_what_they_are(place: Path) -> None:
    """No option of an installer makes others; the table is for a BIOS that starts from none."""
    plan = planned(place, sector_size=4096, installed=True)
    assert plan.layout.sector_size == 4096
    assert not plan.layout.has(Role.BIOS_BOOT)
    assert plan.layout.partition(Role.BOOT).size == 2 * GIB


def test_a_table_for_other_sectors_is_a_warning_on_a_disk_that_is_there() -> None:
    from diskgen.decision.completed import _laid_out
    from diskgen.decision.unmet import of_sectors
    from diskgen.ostree.disktable import DiskTable
    from diskgen.ostree.embedded import Embedded

    found = Embedded(table=DiskTable(sector_size=4096), table_path="/x")
    request = Request(format="raw", source=parse("quay.io/a/b:1"), arch="x86_64")
    there = replace(request, installed=True)
    assert _laid_out(there, found).sector_size == 512
    for asked, said in ((there, 1), (request, 0), (replace(there, sector_size=4096), 0)):
        warnings = [*of_sectors(found, asked)]
        assert len(warnings) == said
    assert "sectors of 4096 bytes, and the disk has 512" in next(of_sectors(found, there))


def test_of_the_sector_an_option_is_named() -> None:
    from diskgen.decision.completed import _laid_out
    from diskgen.ostree.disktable import DiskTable
    from diskgen.ostree.embedded import Embedded

    request = Request(format="raw", source=parse("quay.io/a/b:1"), arch="x86_64")
    with pytest.raises(UsageError, match="sectors of 4096 bytes") as caught:
        _laid_out(request, Embedded(table=DiskTable(sector_size=4096), table_path="/x"))
    assert caught.value.setting == "sector-size"
