"""What Azure is asked before anything is done, and by whom."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from diskgen.errors import DiskgenError, PreflightError, PublishError
from diskgen.events import discard
from diskgen.publish.azure.access import Access
from diskgen.publish.azure.arm import Manager
from diskgen.publish.azure.destination import Azure
from diskgen.publish.publication import DiskFile

from ...fixtures import azure_stand_in, page_blobs
from ...fixtures.azure_runs import (
    BLOB,
    PARTS,
    VERSION,
    WANTED,
    assert_no_secret,
    published,
    same,
)  # fmt: skip
from ...fixtures.azure_stand_in import ACCOUNT, HOME, pages_refusing, refusing
from ...fixtures.stand_in import Answer, Asked, Fault

NO_RIGHT = refusing(403, "AuthorizationFailed", "no right")


def test_tokens_are_renewed_before_they_end(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    account.set.expires = 250
    published(disk, BLOB, workers=1)
    assert account.operations().count("token") > PARTS


def test_a_token_that_ends_early_is_asked_for_again(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    def end(asked: Asked) -> Answer:
        account.ended |= set(account.tokens)
        return pages_refusing(401, "InvalidAuthenticationInfo", "The token is expired.")(asked)

    account.faults.append(Fault("PUT page", end, after=2))
    published(disk, BLOB, workers=2)
    assert same(account, disk)


def test_an_address_that_ends_is_asked_for_again(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    def end(asked: Asked) -> Answer:
        account.blobs.granted.clear()
        return pages_refusing(403, "AuthenticationFailed", "Signature not valid")(asked)

    account.faults.append(Fault("PUT page", end, after=2))
    published(disk, workers=3)
    assert account.operations().count("POST beginGetAccess") == 2
    assert same(account, disk)


KEYS = {
    "sas": {"AZURE_STORAGE_SAS_TOKEN": f"?{page_blobs.SAS}"},
    "key": {"AZURE_STORAGE_KEY": page_blobs.KEY},
    "string": {"AZURE_STORAGE_CONNECTION_STRING":
               f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={page_blobs.KEY};"
               "EndpointSuffix=core.windows.net;BlobEndpoint=URL"},
    "string with a sas": {"AZURE_STORAGE_CONNECTION_STRING":
                          f"BlobEndpoint=URL;SharedAccessSignature={page_blobs.SAS};"
                          f"AccountName={ACCOUNT}"},
}  # fmt: skip


@pytest.mark.parametrize("changed", KEYS.values(), ids=KEYS)
def test_what_the_environment_has_of_the_account_is_used(
    account: azure_stand_in.Azure, disk: DiskFile,
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str],
) -> None:  # fmt: skip
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", ACCOUNT)
    for name, value in changed.items():
        monkeypatch.setenv(name, value.replace("URL", f"{account.url}/{ACCOUNT}"))
    Azure(BLOB).check(discard)
    published(disk, BLOB)
    assert same(account, disk)
    scopes = set(account.tokens.values())
    assert scopes == {account.url}, "no token for storage is asked for"
    for name, value in changed.items():
        wrong = value.replace("=YW", "=WW").replace(page_blobs.KEY, "AAAA")
        monkeypatch.setenv(name, wrong.replace("URL", f"{account.url}/{ACCOUNT}"))
    with pytest.raises(PreflightError, match="the container 'vhds' of 'ourdisks'") as caught:
        Azure(BLOB).check(discard)
    assert_no_secret(caught.value)
    for name in changed:
        if "KEY" in name:
            monkeypatch.setenv(name, "no base64!")
            with pytest.raises(PublishError, match="the key of the storage account is none"):
                Azure(BLOB).check(discard)


@pytest.mark.parametrize("signature", ["no query", f"{page_blobs.SAS} x", f"{page_blobs.SAS}é"])
def test_a_signature_that_is_none_is_not_shown(
    account: azure_stand_in.Azure, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", signature)
    with pytest.raises(PublishError, match="signature of the storage account is none") as caught:
        Azure(BLOB).check(discard)
    assert_no_secret(caught.value)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", f" ?{page_blobs.SAS}\r\n")
    assert not any(one.operation == "HEAD blob" for one in account.asked)
    Azure(BLOB).check(discard)


def test_a_signature_for_blobs_alone_is_enough(
    account: azure_stand_in.Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets nobody ask for the container."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", page_blobs.SAS)
    refused = pages_refusing(403, "AuthorizationResourceTypeMismatch")
    account.faults.append(Fault("HEAD container", refused, times=99))
    Azure(BLOB).check(discard)
    account.faults.append(Fault("HEAD blob", refused))
    with pytest.raises(PreflightError, match="AuthorizationResourceTypeMismatch"):
        Azure(BLOB).check(discard)


def test_a_list_without_an_end_is_not_read(account: azure_stand_in.Azure) -> None:
    def again(asked: Asked) -> Answer:
        said = {"value": [], "nextLink": f"{account.url}{asked.target}"}
        return Answer(200, json.dumps(said).encode())

    account.faults.append(Fault("GET locations", again, times=10**6))
    with pytest.raises(PublishError, match="more than 100 pages"):
        Azure(WANTED).check(discard)


def test_what_sends_us_elsewhere_has_done_nothing(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    account.faults.append(Fault("PUT images", lambda _asked: Answer(302)))
    with pytest.raises(PublishError, match="status 302"):
        published(disk)
    assert account.left() == []


@pytest.mark.parametrize("address", ["https://x.example/a", "https://x.example/a?sig=a b", "/a?b"])
def test_an_address_to_write_to_that_is_none_is_refused(
    account: azure_stand_in.Azure, disk: DiskFile, address: str
) -> None:
    def granted(_asked: Asked) -> Answer:
        said = {"status": "Succeeded", "properties": {"output": {"accessSAS": address}}}
        return Answer(200, json.dumps(said).encode())

    account.set.looks = 1
    account.faults.append(Fault("GET operation", granted, after=1))
    with pytest.raises(PublishError, match="answered without an address"):
        published(disk)


def test_an_account_that_may_not_be_looked_up_is_written_to(
    account: azure_stand_in.Azure, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.add_gallery()
    account.faults.append(Fault("GET accounts", NO_RIGHT, times=99))
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING",
                       f"BlobEndpoint={account.url}/{ACCOUNT};AccountName={ACCOUNT};"
                       f"AccountKey={page_blobs.KEY}")  # fmt: skip
    Azure(BLOB).check(discard)
    published(disk, BLOB)
    account.faults[-1].times = 0
    account.lists_no_account = True
    Azure(replace(BLOB, name="os-2")).check(discard)
    with pytest.raises(PreflightError, match="may not ask for that of 'ourdisks'"):
        Azure(replace(VERSION, storage_account=ACCOUNT)).check(discard)


def test_beforehand_azure_is_asked(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    Azure(WANTED).check(discard)
    assert all(one.startswith("GET ") or one == "token" for one in account.operations())
    published(disk)
    for wanted, words in (
        (WANTED, "an image 'os-1' exists in 'images'"),
        (replace(WANTED, name="free", location="mars"), "no region 'mars'"),
        (replace(WANTED, group="other"), "Resource group could not be found"),
        (replace(WANTED, subscription=str(UUID(int=9))), "subscription could not be found"),
        (VERSION, "has no gallery 'ours'"),
        (replace(BLOB, name="free", storage_account="nobody"), "no storage account 'nobody'"),
        (replace(BLOB, name="free", container="none"), "the container 'none' of 'ourdisks'"),
        (replace(BLOB, name="free", location="eastus"), "'ourdisks' is in westeurope"),
        (replace(VERSION, copy_to=(HOME,)), f"'{HOME}' gets the version itself"),
    ):
        with pytest.raises(DiskgenError, match=words):
            Azure(wanted).check(discard)
    account.add_gallery()
    Azure(VERSION).check(discard)
    published(disk, VERSION)
    with pytest.raises(PreflightError, match=r"'os' has a version '1\.0\.0'"):
        Azure(VERSION).check(discard)
    assert account.left()[1:] == [
        account.path("galleries/ours"), account.path("galleries/ours/images/os"),
        account.path("galleries/ours/images/os/versions/1.0.0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("actions", "but", "lacking"),
    [
        (("*",), (), None),
        (("*/read",), (), "Microsoft.Compute/disks/write"),
        (("microsoft.compute/disks/*", "Microsoft.Compute/images/*"), (), None),
        (("Microsoft.Compute/disks/*", "Microsoft.Compute/images/read"), (),
         "Microsoft.Compute/images/write"),
        (("*",), ("Microsoft.Compute/*/delete",), "Microsoft.Compute/images/delete"),
    ],
)  # fmt: skip
def test_rights_are_known_beforehand(
    account: azure_stand_in.Azure, actions: tuple[str, ...], but: tuple[str, ...],
    lacking: str | None,
) -> None:  # fmt: skip
    account.set.actions, account.set.not_actions = actions, but
    if lacking is None:
        Azure(WANTED).check(discard)
        return
    with pytest.raises(PreflightError, match=lacking):
        Azure(WANTED).check(discard)
    account.faults.append(Fault("GET permissions", NO_RIGHT))
    Azure(WANTED).check(discard)  # who may not ask learns it later


def test_who_may_not_ask_for_regions_learns_it_later(account: azure_stand_in.Azure) -> None:
    account.faults.append(Fault("GET locations", NO_RIGHT))
    Azure(replace(WANTED, location="mars")).check(discard)


def test_quotas_are_known_beforehand(account: azure_stand_in.Azure) -> None:
    account.set.usages = [("StandardDiskCount", 9, 9), ("cores", 5, 5)]
    with pytest.raises(PreflightError, match=r"has 9 of 9 StandardDiskCount in westeurope"):
        Azure(WANTED).check(discard)
    Azure(BLOB).check(discard)
    account.faults.append(Fault("GET usages", NO_RIGHT))
    Azure(WANTED).check(discard)


def test_an_image_of_others_is_not_taken_for_ours(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    made = published(disk)
    with pytest.raises(PublishError, match="exists by now"):
        published(disk)
    assert account.left() == [made.id]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"IDENTITY_HEADER": "wrong"}, "no credentials for Azure were found"),
        ({"AZURE_RESOURCE_MANAGER_URL": "http://127.0.0.1:9"}, "nobody listens there"),
        ({"AZURE_RESOURCE_MANAGER_URL": "nowhere"}, "'nowhere' is no address for credentials"),
    ],
)
def test_credentials_that_do_not_work_are_told_and_not_shown(
    account: azure_stand_in.Azure, monkeypatch: pytest.MonkeyPatch, capfd: Any,
    changed: dict[str, str], words: str,
) -> None:  # fmt: skip
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PublishError, match=words) as caught:
        Azure(WANTED).check(discard)
    assert_no_secret(caught.value)
    assert account.left() == []
    assert capfd.readouterr() == ("", "")


def test_an_address_may_say_the_usual_port() -> None:
    with Manager(Access(), "https://management.azure.com", "s", "g") as manager:
        assert manager._elsewhere("https://management.azure.com:443/x?y=z") == "/x?y=z"
        for other in ("http://management.azure.com/x", "https://management.azure.com:8443/x",
                      "https://management.azure.com.attacker.example/x"):  # fmt: skip
            with pytest.raises(PublishError, match="names an address at"):
                manager._elsewhere(other)


def test_a_token_goes_to_no_other_host(account: azure_stand_in.Azure, disk: DiskFile) -> None:
    def elsewhere(_asked: Asked) -> Answer:
        return Answer(202, b"{}", {"Location": "https://attacker.example/result?x=1"})

    account.faults.append(Fault("PUT disks", elsewhere))
    with pytest.raises(PublishError, match=r"names an address at 'attacker\.example'"):
        published(disk)
