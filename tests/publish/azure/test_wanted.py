"""What Azure would not take is told before it is asked; and which requests there will be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from diskgen.errors import UsageError
from diskgen.publish.azure.destination import Azure
from diskgen.publish.azure.wanted import Wanted, check_disk, name_of, region_of
from diskgen.publish.publication import DiskFile
from diskgen.units import GIB, MIB

from ...fixtures import azure_stand_in
from ...fixtures.azure_runs import SIZE, VERSION, WANTED, published
from ...fixtures.azure_stand_in import ACCOUNT, HOME


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": "raw"}, r"of the format raw.*fixed VHD"),
        ({"format": "qcow2"}, r"of the format qcow2"),
        ({"size": SIZE + 512}, "whole MiB"),
        ({"arch": None}, "does not say which machines"),
        ({"arch": "s390x"}, "no machines of s390x"),
        ({"arch": "aarch64"}, "a managed image is of x86_64 alone"),
        ({"sector_size": 4096}, "sectors of 4096 bytes"),
        ({"size": 4096 * GIB}, "larger than the 4095 GiB"),
        ({"size": 19 * MIB}, "smaller than the 20 MiB"),
    ],
)
def test_disks_that_azure_does_not_take_are_refused_by_name(
    disk: DiskFile, changed: dict[str, Any], words: str
) -> None:
    check_disk(disk, WANTED)
    other = replace(disk, **changed)
    with pytest.raises(UsageError, match=words):
        check_disk(other, WANTED)
    with pytest.raises(UsageError, match=words):
        published(other)
    with pytest.raises(UsageError, match=words):
        Azure(WANTED).calls(other)


@pytest.mark.parametrize(
    ("wanted", "changed", "words"),
    [
        (replace(WANTED, generation="V1"), {"firmware": frozenset({"uefi"})}, "start by BIOS"),
        (replace(WANTED, generation="V2"), {"firmware": frozenset({"bios"})}, "start by UEFI"),
        (replace(VERSION, generation="V1"), {"arch": "aarch64"}, "aarch64 are of generation V2"),
        (replace(WANTED, generation="V1"), {"size": 2049 * GIB}, "larger than the 2 TiB"),
    ],
)
def test_generations_that_a_disk_is_not_for_are_refused(
    disk: DiskFile, wanted: Wanted, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_disk(replace(disk, **changed), wanted)
    assert caught.value.setting == "generation"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "-x"}, "no name of an image"),
        ({"name": "a" * 81}, "no name of an image"),
        ({"group": "ends."}, "no name of a resource group"),
        ({"subscription": "mine"}, "no identifier of a subscription"),
        ({"location": "West Europe"}, "no name of a region"),
        ({"gallery": "with-dash", "version": "1.0.0"}, "no name of a gallery"),
        ({"gallery": "ours"}, "no version of 'os-1' is named"),
        ({"gallery": "ours", "version": "1.0"}, "no name of a version"),
        ({"gallery": "ours", "version": "1.0.9999999999"}, "no name of a version"),
        ({"gallery": "ours", "version": "1.0.0", "identifier": "a:b"}, "no name of an identifier"),
        ({"gallery": "ours", "version": "1.0.0", "replicas": 101}, "no number of replicas"),
        ({"gallery": "ours", "version": "1.0.0", "location": "eastus", "copy_to": ("eastus",)},
         "gets the version itself"),
        ({"version": "1.0.0"}, "--image-version is of a version in a gallery"),
        ({"copy_to": ("eastus",)}, "--copy-to is of a version"),
        ({"replicas": 2}, "--replicas is of a version"),
        ({"storage_account": "Big"}, "no name of a storage account"),
        ({"container": "a--b"}, "no name of a container"),
        ({"container": "ab"}, "no name of a container"),
        ({"tags": (("a", "1"), ("A", "2"))}, "given twice"),
        ({"tags": (("a/b", "1"),)}, "'a/b=1' is no tag"),
        ({"tags": (("Microsoft.x", "1"),)}, "is no tag"),
        ({"tags": tuple((str(n), "") for n in range(51))}, "takes 50 tags"),
    ],
)  # fmt: skip
def test_what_azure_would_not_take_is_no_wish(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(WANTED, **changed)


@pytest.mark.parametrize(
    ("text", "name"),
    [("os", "os"), ("my disk (1)", "my-disk-1"), ("a" * 99, "a" * 80), ("_x.", "x"),
     ("a" * 79 + "-b", "a" * 79), ("...", "")],
)  # fmt: skip
def test_names_are_made_of_files(text: str, name: str) -> None:
    assert name_of(text) == name
    if name:
        replace(WANTED, name=name)


def test_regions_are_known_as_people_write_them() -> None:
    assert region_of("West Europe") == "westeurope"


WRITTEN_ZEROS = 1  # a part of the disk: that it has nothing but zeros is seen when it is read
SHOWN = {
    "PUT blob": "blob PUT", "PUT page": "blob PUT",
    "PUT disks": "compute PUT disks", "PUT images": "compute PUT images",
    "PUT definitions": "compute PUT galleries/images",
    "PUT versions": "compute PUT galleries/images/versions",
    "POST beginGetAccess": "compute POST disks/beginGetAccess",
    "POST endGetAccess": "compute POST disks/endGetAccess",
    "DELETE disks": "compute DELETE disks", "DELETE blob": "blob DELETE",
}  # fmt: skip


@pytest.mark.parametrize("blob", [False, True])
@pytest.mark.parametrize("wanted", [WANTED, VERSION])
def test_the_requests_that_are_shown_are_those_that_are_made(
    account: azure_stand_in.Azure, disk: DiskFile, wanted: Wanted, blob: bool
) -> None:
    account.add_gallery()
    wanted = replace(wanted, storage_account=ACCOUNT if blob else None, location=HOME)
    shown = Azure(wanted).calls(disk)
    published(disk, wanted)
    changes = [one for one in account.asked
               if one.method not in ("GET", "HEAD") and one.operation != "token"]  # fmt: skip
    made = [SHOWN[one.operation] for one in changes]
    assert list(dict.fromkeys(made)) == list(dict.fromkeys(one.name for one in shown))
    least = made.count("blob PUT")
    assert sum(one.times for one in shown if one.name == "blob PUT") - least == WRITTEN_ZEROS
    bodies = [json.loads(one.body) for one in changes if SHOWN[one.operation].startswith("compute")
              and one.body]  # fmt: skip
    said = [one.says for one in shown if one.name.startswith("compute") and one.says]
    for one, other in zip(said, bodies, strict=True):
        assert_filled_in(one, other)


def assert_filled_in(shown: Any, made: Any) -> None:
    """Hold what is made to what was shown, but for what stands in angle brackets."""
    if isinstance(shown, dict):
        assert sorted(shown) == sorted(made)
        for key, value in shown.items():
            assert_filled_in(value, made[key])
    elif isinstance(shown, list):
        for one, other in zip(shown, made, strict=True):
            assert_filled_in(one, other)
    elif not (isinstance(shown, str) and shown.startswith("<")):
        assert shown == made
