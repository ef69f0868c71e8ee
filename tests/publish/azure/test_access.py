"""What lets us in is found where Azure's own programs have it, and is never shown."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from diskgen.errors import DiskgenError, PublishError
from diskgen.events import discard
from diskgen.publish.azure.access import StorageKeys, cloud, masked, storage_keys
from diskgen.publish.azure.arm import error_of
from diskgen.publish.azure.destination import Azure

from ...fixtures import azure_stand_in
from ...fixtures.azure_runs import BLOB, WANTED, assert_no_secret
from ...fixtures.azure_stand_in import ACCOUNT
from ...fixtures.stand_in import Answer, Fault

KEY = base64.b64encode(b"key").decode()


@pytest.mark.parametrize(
    ("variables", "keys"),
    [
        ({}, StorageKeys()),
        ({"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": KEY}, StorageKeys(
            account="a", key=b"key")),
        ({"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_SAS_TOKEN": "?sig=x%3D"}, StorageKeys(
            account="a", sas="sig=x%3D")),
        ({"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=b;AccountKey={KEY};"
          "DefaultEndpointsProtocol=https;EndpointSuffix=core.chinacloudapi.cn",
          "AZURE_STORAGE_ACCOUNT": "a"}, StorageKeys(
            account="b", key=b"key", endpoint="https://b.blob.core.chinacloudapi.cn")),
        ({"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://c.blob.core.windows.net/;"
          "SharedAccessSignature=sv=1&sig=y"}, StorageKeys(
            account="c", sas="sv=1&sig=y", endpoint="https://c.blob.core.windows.net/")),
        ({"AZURE_STORAGE_CONNECTION_STRING": "no string"}, StorageKeys()),
    ],
)  # fmt: skip
def test_keys_of_accounts_are_those_of_the_environment(
    variables: dict[str, str], keys: StorageKeys
) -> None:
    found = storage_keys(variables)
    assert found == keys
    assert "key" not in repr(found).replace("StorageKeys", "")
    assert "sig" not in repr(found)


@pytest.mark.parametrize(
    ("authority", "manager", "blobs"),
    [
        ("", "https://management.azure.com", "blob.core.windows.net"),
        ("login.microsoftonline.us", "https://management.usgovcloudapi.net",
         "blob.core.usgovcloudapi.net"),
        ("https://login.chinacloudapi.cn/", "https://management.chinacloudapi.cn",
         "blob.core.chinacloudapi.cn"),
    ],
)  # fmt: skip
def test_the_cloud_is_that_of_the_authority(
    monkeypatch: pytest.MonkeyPatch, authority: str, manager: str, blobs: str
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", authority)
    monkeypatch.delenv("AZURE_RESOURCE_MANAGER_URL", raising=False)
    assert (cloud().manager, cloud().blobs) == (manager, blobs)


def test_nothing_that_lets_us_in_goes_where_others_read_it(
    account: azure_stand_in.Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = f"BlobEndpoint=http://ourdisks.example/;AccountName={ACCOUNT};AccountKey={KEY}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", far)
    with pytest.raises(PublishError, match=r"'http://ourdisks\.example/' is no address for"):
        Azure(BLOB).check(discard)
    monkeypatch.setenv("AZURE_RESOURCE_MANAGER_URL", "http://management.example")
    account.asked.clear()
    with pytest.raises(PublishError, match=r"'http://management\.example' is no address for"):
        Azure(WANTED).check(discard)
    assert account.asked == [], "no token is asked for, even"


@pytest.mark.parametrize(
    "text",
    [
        "https://md-1.blob.storage.azure.net/x/abcd?sv=1&sr=b&sig=SECRET%3D&x=1",
        "sv=1&SIG=SECRET", '{"accountKey": "SECRET"}', "AccountKey=SECRET;x=1",
        "SharedAccessSignature=SECRET", '{"access_token":"SECRET"}', "client_secret=SECRET&x=1",
        "Bearer eyJSECRET.SECRET", "signature: SECRET", "blob?sv=1%26sig%3DSECRET",
    ],
)  # fmt: skip
def test_what_services_say_is_shown_without_secrets(text: str) -> None:
    shown = masked(f"failed at {text} today")
    assert "SECRET" not in shown
    assert shown.startswith("failed at ")


def test_a_service_that_quotes_an_address_does_not_show_it(
    account: azure_stand_in.Azure,
) -> None:
    said = (b'{"error": {"code": "Odd", "message": "no", "details": [{"message": "at https://md/x?'
            b'sv=1&sig=' + azure_stand_in.SECRET.encode() + b'"}]}}')  # fmt: skip
    account.faults.append(Fault("GET images", lambda _asked: Answer(400, said)))
    with pytest.raises(DiskgenError, match=r"no at https://md/x\?sv=1&sig=") as caught:
        Azure(WANTED).check(discard)
    assert_no_secret(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"error": {"code": "A", "message": "b"}}, ("A", "b")),
        ({"error": {"code": "A", "details": [{"message": "c"}, {}]}}, ("A", " c")),
        ({"code": "A", "message": "b"}, ("A", "b")),
        ({"error": "A"}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_errors_are_found_wherever_they_are(said: dict[str, object], told: tuple[str, str]) -> None:
    assert error_of(said) == told


def test_what_the_log_in_says_of_wrong_credentials_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the words of its code; here a program az, which azure-identity starts, says them."""
    tool = tmp_path / "az"
    tool.write_text("#!/bin/sh\necho 'ERROR: AADSTS700082: The token has expired.' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    with pytest.raises(PublishError, match="AADSTS700082: The token has expired") as caught:
        Azure(WANTED).check(discard)
    assert caught.value.hint == "log in again, such as by az login"


def test_the_log_in_of_az_is_used(
    account: azure_stand_in.Azure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = f"eyJ0{azure_stand_in.SECRET}.az"
    account.tokens[token] = account.url
    said = {"accessToken": token, "expires_on": int(time.time()) + 3600, "tokenType": "Bearer"}
    tool = tmp_path / "az"
    tool.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    Azure(WANTED).check(discard)
    assert "token" not in account.operations()
