"""A VHD becomes an image: against a stand-in that checks what Azure checks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from diskgen.errors import Interrupted, PublishError
from diskgen.events import Event, Notice, StepProgress, discard
from diskgen.publish.azure import disk as managed
from diskgen.publish.azure import image
from diskgen.publish.azure.arm import Manager
from diskgen.publish.azure.destination import Azure
from diskgen.publish.azure.wanted import Wanted
from diskgen.publish.journal import Journal
from diskgen.publish.publication import DiskFile, Means
from diskgen.units import MIB

from ...fixtures import azure_stand_in
from ...fixtures.azure_runs import (
    BLOB,
    DATA,
    PARTS,
    QUICK,
    SIZE,
    VERSION,
    WANTED,
    WAYS,
    assert_no_secret,
    image_of,
    journals,
    published,
    same,
)  # fmt: skip
from ...fixtures.azure_stand_in import ACCOUNT, GROUP, HOME, pages_refusing, refusing, throttled
from ...fixtures.stand_in import Answer, Fault, cut


@pytest.mark.parametrize(
    ("wanted", "style"),
    [(WANTED, "operation"), (WANTED, "location"), (BLOB, "operation"), (BLOB, "location"),
     (BLOB, "state")],
)  # fmt: skip
def test_a_disk_becomes_an_image(
    account: azure_stand_in.Azure, disk: DiskFile, wanted: Wanted, style: str
) -> None:
    account.set.style = style
    account.set.looks = 3
    made = published(disk, wanted)
    assert made.id == account.path("images/os-1")
    assert image_of(account)["hyperVGeneration"] == "V2"
    assert same(account, disk)
    (blob,) = account.used
    first = [] if wanted is BLOB else [(SIZE, 512)]  # which lets the disk be removed
    assert blob.written[: len(first)] == first
    assert len(blob.written) == len(first) + PARTS, "only data is sent"
    assert sum(length for _offset, length in blob.written) < PARTS * 6 * 1024, "and little else"
    assert made.facts["bytes_sent"] == len(DATA) * MIB + 512
    assert made.facts["region"] == HOME
    assert journals(disk) == []
    for asked in account.asked:
        if asked.operation == "PUT page":
            assert "content-md5" in asked.headers
            assert len(asked.body) <= 4 * MIB


def test_everything_that_can_be_asked_for(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    account.add_gallery()
    wanted = replace(VERSION, identifier="us:linux:arm", copy_to=("eastus", "northeurope"),
                     replicas=2, tags=(("team", "os"),))  # fmt: skip
    made = published(replace(disk, arch="aarch64", firmware=frozenset({"uefi"})), wanted)
    assert made.id == account.path("galleries/ours/images/os/versions/1.0.0")
    (definition,), (version,) = account.of("definitions"), account.of("versions")
    said = definition.said["properties"]
    assert said["identifier"] == {"publisher": "us", "offer": "linux", "sku": "arm"}
    assert (said["architecture"], said["hyperVGeneration"]) == ("Arm64", "V2")
    assert "features" not in said
    targets = version.said["properties"]["publishingProfile"]["targetRegions"]
    assert targets == [{"name": name, "regionalReplicaCount": 2}
                       for name in (HOME, "eastus", "northeurope")]  # fmt: skip
    assert version.said["tags"] == {"team": "os"}
    assert made.facts["regions"] == [HOME, "eastus", "northeurope"]
    assert account.of("disks") == []


def test_versions_share_a_definition(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    account.add_gallery()
    published(disk, replace(VERSION, storage_account=ACCOUNT))
    published(disk, replace(VERSION, version="1.0.1"))
    (definition,) = account.of("definitions")
    said = definition.said["properties"]
    assert said["features"] == [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]
    assert len(account.of("versions")) == 2
    account.asked.clear()
    other = replace(disk, arch="aarch64", firmware=frozenset({"uefi"}))
    with pytest.raises(PublishError, match="'os' is of architecture 'x64', and the disk of"):
        published(other, replace(VERSION, version="1.0.2"))
    assert not any(one.method == "PUT" for one in account.asked), "that is known before it is sent"


def test_a_disk_for_bios_alone_is_of_generation_1(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    published(replace(disk, firmware=frozenset({"bios"})))
    assert image_of(account)["hyperVGeneration"] == "V1"


SERVICE = {
    "throttled": (throttled, False),
    "failing": (refusing(500, "InternalServerError"), False),
    "busy": (refusing(409, "AnotherOperationInProgress"), False),
    "cut": (cut, False),
    "cut after it was obeyed": (cut, True),
}
PAGES = {
    "throttled": (pages_refusing(503, "ServerBusy"), False),
    "failing": (pages_refusing(500, "InternalError"), False),
    "damaged on the way": (pages_refusing(400, "Md5Mismatch"), False),
    "told of other bytes": (lambda _asked: Answer(201, headers={"Content-MD5": "AAAA"}), True),
    "cut": (cut, False),
    "cut after it was obeyed": (cut, True),
}
ARM_PHASES = ("GET group", "PUT disks", "GET disks", "POST beginGetAccess", "GET operation",
              "POST endGetAccess", "GET images", "PUT images", "DELETE disks")  # fmt: skip
PASSES = {
    **{f"{phase} {name}": (WANTED, Fault(phase, act, times=2, late=late))
       for phase in ARM_PHASES for name, (act, late) in SERVICE.items()},
    **{f"PUT page {name} {way}": (wanted, Fault("PUT page", act, times=4, after=1, late=late))
       for way, wanted in WAYS.items() for name, (act, late) in PAGES.items()},
    **{f"{phase} {name}": (BLOB, Fault(phase, act, times=2, late=late))
       for phase in ("PUT blob", "DELETE blob") for name, (act, late) in PAGES.items()
       if "on the way" not in name and "other bytes" not in name},
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "fault"), PASSES.values(), ids=PASSES)
def test_what_passes_is_outlasted(
    account: azure_stand_in.Azure, disk: DiskFile, wanted: Wanted, fault: Fault
) -> None:
    account.faults.append(replace(fault))
    account.set.looks = 2
    published(disk, wanted)
    assert same(account, disk)
    image_of(account)
    assert all(one.times == 0 for one in account.faults)
    assert journals(disk) == []


NO_RIGHT = refusing(403, "AuthorizationFailed", "no right")
ENDS: dict[str, tuple[Wanted, Fault, str]] = {
    "quota": (WANTED, Fault("PUT disks", refusing(409, "QuotaExceeded", "too many disks")),
              "too many disks.*QuotaExceeded"),
    "no right to grant": (WANTED, Fault("POST beginGetAccess", NO_RIGHT), "no right"),
    "gone": (WANTED, Fault("PUT page", pages_refusing(503, "ServerBusy"), times=99, after=1),
             "failed 6 times"),
    "always damaged": (BLOB, Fault("PUT page", pages_refusing(400, "Md5Mismatch"), times=99),
                       "failed 6 times.*Md5Mismatch"),
    "no role": (BLOB, Fault("PUT page", pages_refusing(403, "AuthorizationPermissionMismatch")),
                "AuthorizationPermissionMismatch"),
    "revocation": (WANTED, Fault("POST endGetAccess", refusing(400, "InvalidVhd", "no VHD")),
                   "no VHD"),
    "image of a disk": (WANTED, Fault("PUT images", refusing(400, "InvalidParameter", "no image")),
                        "no image"),
    "image of a blob": (BLOB, Fault("PUT images", refusing(400, "InvalidParameter", "no image")),
                        "no image"),
    "version": (VERSION, Fault("PUT versions", refusing(409, "QuotaExceeded", "no version")),
                "no version"),
    "tokens refused": (BLOB, Fault("PUT page", pages_refusing(401, "InvalidAuthenticationInfo"),
                                   times=99), "failed 6 times"),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "fault", "words"), ENDS.values(), ids=ENDS)
def test_what_fails_leaves_nothing(
    account: azure_stand_in.Azure, disk: DiskFile, wanted: Wanted, fault: Fault, words: str
) -> None:
    account.add_gallery()
    account.faults.append(replace(fault))
    with pytest.raises(PublishError, match=words) as caught:
        published(disk, wanted)
    assert account.left() == [account.path("galleries/ours")]
    assert journals(disk) == []
    assert_no_secret(caught.value)


def test_what_is_no_vhd_is_refused_as_the_upload_ends(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    """And nobody can remove the disk then, so that it is named."""
    with disk.path.open("r+b") as file:
        file.seek(SIZE)
        file.write(b"CONECTIX")
    with pytest.raises(PublishError, match="InvalidVhd"):
        published(disk, BLOB)
    assert account.left() == []
    seen: list[Event] = []
    with pytest.raises(PublishError, match="InvalidVhd"):
        published(disk, emit=seen.append)
    (path,) = account.left()
    assert any(path.rpartition("/")[2] in one.message for one in seen if isinstance(one, Notice))


def test_what_cannot_be_removed_is_named(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    """A later run goes on with what is there."""
    seen: list[Event] = []
    refused = pages_refusing(403, "AuthorizationFailure")
    account.faults += [Fault("PUT page", refused, times=99, after=4),
                       Fault("DELETE disks", NO_RIGHT, times=99),
                       Fault("POST endGetAccess", NO_RIGHT, times=99)]  # fmt: skip
    with pytest.raises(PublishError, match="AuthorizationFailure"):
        published(disk, emit=seen.append, workers=1)
    (left,) = [one.message for one in seen if isinstance(one, Notice) and one.level == "warning"]
    (path,) = account.left()
    name = path.rpartition("/")[2]
    assert f"left behind is the managed disk '{name}'" in left
    assert f"az disk delete --yes --resource-group {GROUP} --name {name}" in left
    assert len(journals(disk)) == 1
    account.faults.clear()
    account.asked.clear()
    made = published(disk, emit=seen.append)
    assert account.operations().count("PUT page") == PARTS - 3
    assert made.facts["bytes_there"] == 3 * MIB
    assert "PUT disks" not in account.operations()
    image_of(account)


class Killed(BaseException):
    """Nothing is done behind this, as behind kill -9."""


def killed(
    disk: DiskFile, wanted: Wanted, monkeypatch: pytest.MonkeyPatch, owner: Any, where: str,
    when: Callable[..., bool] = lambda *_args: True,
) -> None:  # fmt: skip
    """Publish up to a function, and not further."""
    real = getattr(owner, where)

    def kill(*args: Any, **named: Any) -> Any:
        if when(*args):
            raise Killed
        return real(*args, **named)

    def nothing(_left: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("diskgen.publish.leftovers.Leftovers.drop", nothing)
        patch.setattr(owner, where, kill)
        with pytest.raises(Killed):
            published(disk, wanted)


def of_image(_manager: Manager, what: str, *_more: Any) -> bool:
    return what in ("making the image", "making the version")


POINTS: dict[str, tuple[Wanted, Any, str, Callable[..., bool]]] = {
    "before the upload ends": (WANTED, managed, "_revoke", lambda *_a: True),
    "before the image of a disk": (WANTED, image, "make", lambda *_a: True),
    "before the image of a blob": (BLOB, image, "make", lambda *_a: True),
    "while the image is made": (WANTED, Manager, "_operation", of_image),
    "while the image of a blob is made": (BLOB, Manager, "_operation", of_image),
    "while the version is made": (VERSION, Manager, "_operation", of_image),
    "before the disk goes": (WANTED, Manager, "remove", lambda *_a: True),
    "when the disk is gone": (WANTED, Journal, "remove", lambda *_a: True),
    "when the blob is gone": (BLOB, Journal, "remove", lambda *_a: True),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "owner", "where", "when"), POINTS.values(), ids=POINTS)
def test_a_killed_run_is_gone_on_with(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted, owner: Any, where: str,
    when: Callable[..., bool],
) -> None:  # fmt: skip
    account.add_gallery()
    killed(disk, wanted, monkeypatch, owner, where, when)
    assert len(journals(disk)) == 1
    account.asked.clear()
    place = Azure(wanted, file=disk.path)
    place.check(discard)
    made = place.publish(disk, Means(emit=discard, patience=QUICK))
    assert "PUT page" not in account.operations()
    assert not {"PUT disks", "PUT blob"} & set(account.operations())
    assert len(account.used) == 1
    assert same(account, disk)
    assert account.resources[made.id].state == "Succeeded"
    assert account.of("disks") == []
    assert account.blobs.named() == []
    assert journals(disk) == []


BEFORE = {
    "no right": Fault("GET group", NO_RIGHT),
    "interrupt": Fault("GET group", refusing(503, "x")),
}


@pytest.mark.parametrize("fault", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("wanted", WAYS.values(), ids=WAYS)
def test_what_fails_before_it_is_gone_on_with_leaves_nothing(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted, fault: Fault,
) -> None:  # fmt: skip
    """Of the run that was killed, either."""
    killed(disk, wanted, monkeypatch, image, "make")
    assert len(account.left()) == 1
    monkeypatch.setattr("diskgen.publish.retry.Patience._wait", interrupted)
    account.faults.append(replace(fault))
    with pytest.raises((PublishError, Interrupted)):
        published(disk, wanted)
    assert account.left() == []
    assert journals(disk) == []


def interrupted(*_args: object) -> None:
    raise Interrupted("stopped by SIGINT")


@pytest.mark.parametrize("wanted", WAYS.values(), ids=WAYS)
def test_a_name_that_others_took_is_known_before_the_rest_is_sent(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted,
) -> None:  # fmt: skip
    killed(disk, wanted, monkeypatch, image, "make")
    path = account.path("images/os-1")
    account.resources[path] = azure_stand_in.Resource("images", path, {"properties": {}})
    account.asked.clear()
    with pytest.raises(PublishError, match="exists by now"):
        published(disk, wanted)
    assert "PUT page" not in account.operations()
    assert account.left() == [path]


def test_a_run_that_was_killed_before_the_footer_leaves_nothing(
    account: azure_stand_in.Azure, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without one could not be removed."""
    killed(disk, WANTED, monkeypatch, managed, "opened")
    account.faults.append(Fault("PUT page", pages_refusing(403, "AuthorizationFailure"), after=1,
                                times=99))  # fmt: skip
    with pytest.raises(PublishError, match="AuthorizationFailure"):
        published(disk)
    assert account.left() == []


@pytest.mark.parametrize("wanted", WAYS.values(), ids=WAYS)
def test_what_azure_has_no_more_is_begun_anew(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted,
) -> None:  # fmt: skip
    killed(disk, wanted, monkeypatch, image, "make")
    account.resources.clear()
    account.blobs.held.clear()
    made = published(disk, wanted)
    assert made.facts["bytes_sent"] == len(DATA) * MIB + 512
    assert same(account, disk)


def test_a_disk_that_azure_grants_no_more_is_begun_anew(
    account: azure_stand_in.Azure, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(disk, WANTED, monkeypatch, managed, "_revoke")
    account.faults.append(Fault("POST beginGetAccess", refusing(409, "OperationNotAllowed")))
    made = published(disk)
    assert made.facts["bytes_sent"] == len(DATA) * MIB + 512
    image_of(account)
    assert len(account.used) == 2, "the upload of the first one was ended, to remove it"
    assert same(account, disk)


def test_an_image_that_failed_meanwhile_is_made_again(
    account: azure_stand_in.Azure, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(disk, WANTED, monkeypatch, Manager, "_operation", of_image)
    (made,) = account.of("images")
    made.state, made.operation = "Failed", None
    published(disk)
    image_of(account)
    assert account.of("images") != [made]


@pytest.mark.parametrize("wanted", WAYS.values(), ids=WAYS)
def test_what_was_sent_of_a_file_that_changed_is_deleted(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted,
) -> None:  # fmt: skip
    killed(disk, wanted, monkeypatch, Manager, "_operation", of_image)
    with disk.path.open("r+b") as file:
        file.seek(20 * MIB)
        file.write(b"other")
    published(disk, wanted)
    image_of(account)
    assert same(account, disk)


@pytest.mark.parametrize("wanted", WAYS.values(), ids=WAYS)
def test_an_interrupt_removes_what_was_made(
    account: azure_stand_in.Azure, disk: DiskFile, wanted: Wanted
) -> None:
    account.slow = 0.02

    def stop(event: Event) -> None:
        if isinstance(event, StepProgress) and event.step == "upload" and event.done:
            raise Interrupted("stopped by SIGINT")

    with pytest.raises(Interrupted) as caught:
        published(disk, wanted, emit=stop, workers=1)
    assert caught.value.left == ""
    assert account.left() == []
    assert journals(disk) == []
    assert threading.active_count() < 10


def test_an_interrupt_names_what_it_leaves(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    account.faults += [Fault("DELETE disks", NO_RIGHT, times=99)]

    def stop(event: Event) -> None:
        if isinstance(event, StepProgress) and event.step == "upload" and event.done:
            raise Interrupted("stopped by SIGINT")

    with pytest.raises(Interrupted) as caught:
        published(disk, emit=stop, workers=1)
    (path,) = account.left()
    assert caught.value.left == f"left behind is the managed disk '{path.rpartition('/')[2]}'"
    assert len(journals(disk)) == 1
