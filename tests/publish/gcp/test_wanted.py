"""What an image is to be: refused before anything is asked where Google would not take it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import UsageError
from diskgen.publish.gcp.wanted import Wanted, check_disk, name_of
from diskgen.publish.publication import DiskFile
from diskgen.units import GIB

WANTED = Wanted(name="os-1", bucket="images")


@pytest.fixture
def disk() -> DiskFile:
    return DiskFile(path=Path("os.tar.gz"), format="gce", size=10 * GIB, arch="x86_64",
                    sector_size=512, firmware=frozenset({"uefi", "bios"}))  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "firmware", "uefi"),
    [
        ("x86_64", {"uefi", "bios"}, True), ("x86_64", {"uefi"}, True), ("x86_64", {"bios"}, False),
        ("x86_64", set(), True), ("aarch64", {"uefi"}, True), ("aarch64", set(), True),
    ],
)  # fmt: skip
def test_features_are_of_what_starts_the_disk(
    disk: DiskFile, arch: str, firmware: set[str], uefi: bool
) -> None:
    found = WANTED.features_of(replace(disk, arch=arch, firmware=frozenset(firmware)))
    assert ("UEFI_COMPATIBLE" in found) == uefi


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "Os"}, "no name of an image"), ({"name": "a" * 64}, "no name"),
    ({"name": "os-"}, "no name"), ({"name": "ös"}, "no name"), ({"name": "os\n"}, "no name"),
    ({"family": "1os"}, "no family"), ({"bucket": "gs://x"}, "no name of a bucket"),
    ({"bucket": "a/b"}, "no name of a bucket"), ({"project": "a/../b"}, "no project"),
    ({"location": "eu/x"}, "no location"), ({"description": "x" * 2049}, "2049 characters"),
    ({"labels": (("A", "b"),)}, "no label"), ({"labels": (("1a", "b"),)}, "no label"),
    ({"labels": (("a", "b c"),)}, "no label"), ({"labels": (("a", "x" * 64),)}, "no label"),
    ({"labels": (("a", "1"), ("a", "2"))}, "twice"),
    ({"labels": tuple((f"k{n}", "") for n in range(65))}, "64 labels"),
    ({"features": ("GVNIK",)}, "no feature"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), WRONG)
def test_what_google_would_not_take_is_refused_before(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(WANTED, **changed)


def test_ordinary_names_are_taken() -> None:
    replace(WANTED, project="example.com:my-project", bucket="a_b.c-1", location="europe-west3",
            labels=(("übung", "größe_1"),), family="a")  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "features", "words"),
    [
        ({"arch": "s390x"}, (), "no machines of s390x"), ({"arch": None}, (), "does not say"),
        ({"sector_size": 4096}, (), "sectors of 4096"), ({"format": "raw"}, (), "format raw"),
        ({"size": GIB + 512}, (), "whole GiB"),
        ({"arch": "aarch64"}, ("SEV_CAPABLE",), "SEV_CAPABLE is of machines of x86_64"),
        ({"firmware": frozenset({"bios"})}, ("TDX_CAPABLE",), "start by UEFI"),
    ],
)  # fmt: skip
def test_disks_that_google_does_not_take_are_refused(
    disk: DiskFile, changed: dict[str, Any], features: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_disk(replace(disk, **changed), replace(WANTED, features=features))


@pytest.mark.parametrize(
    ("text", "name"),
    [("os", "os"), ("Os_1.2", "os-1-2"), ("1os", "image-1os"), ("", "image"), ("x" * 99, "x" * 63),
     ("--", "image"), ("é", "image")],
)  # fmt: skip
def test_names_are_made_of_files(text: str, name: str) -> None:
    assert name_of(text) == name
    assert replace(WANTED, name=name).name == name
