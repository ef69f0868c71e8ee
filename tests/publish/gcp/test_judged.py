"""Google's own models and clients judge requests of ours, and the stand-in that judges them.

The models are the discovery documents that google-api-python-client brings; the clients are that
one and google-cloud-storage.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.oauth2 import service_account
from googleapiclient import discovery_cache
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload

from diskgen.publish.gcp import image, models
from diskgen.publish.gcp.destination import Gcp
from diskgen.publish.gcp.wanted import Wanted
from diskgen.publish.publication import DiskFile, Means
from diskgen.publish.retry import Patience
from diskgen.units import GIB, MIB

from ...fixtures import gcp_stand_in
from ...fixtures.gcp_stand_in import BUCKET, PROJECT, failing, gcp, refusing
from ...fixtures.stand_in import Fault

# Google's clients leave connections to their garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
WANTED = Wanted(
    name="os-1", bucket=BUCKET, description="d", family="os", labels=(("a", "b"),), location="eu",
    features=models.FEATURES,
)  # fmt: skip
# Requests of ours: those of the stand-in, by method and path.
METHODS = {
    "bucket_rights": ("storage", "buckets.testIamPermissions"),
    "begin": ("storage", "objects.insert"), "look": ("storage", "objects.get"),
    "delete": ("storage", "objects.delete"),
    "project_rights": ("cloudresourcemanager", "projects.testIamPermissions"),
    "quotas": ("compute", "projects.get"), "get": ("compute", "images.get"),
    "insert": ("compute", "images.insert"), "drop": ("compute", "images.delete"),
    "operation": ("compute", "globalOperations.get"),
}  # fmt: skip


@functools.cache
def model(service: str) -> dict[str, Any]:
    """Return the published description of a service."""
    place = Path(discovery_cache.__file__).parent / "documents"
    found: dict[str, Any] = json.loads((place / f"{service}.v1.json").read_text())
    return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[gcp_stand_in.Gcp]:
    monkeypatch.setattr(image, "_FIRST", 0.01)
    with gcp() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "os.tar.gz"
    path.write_bytes(random.Random(2).randbytes(9 * MIB + 17))  # in one piece would be 8
    return path


def wrong(service: str, schema: dict[str, Any], value: Any) -> Iterator[str]:
    """Yield what a published model does not have: names, types, enums, patterns."""
    if "$ref" in schema:
        schema = model(service)["schemas"][schema["$ref"]]
    kind = str(schema.get("type"))
    types: Any = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    if not isinstance(value, types[kind]):
        yield f"{value!r} is no {kind}"
    elif kind == "object":
        known = schema.get("properties", {})
        for key, one in value.items():
            inner = known.get(key, schema.get("additionalProperties"))
            if inner is None or inner.get("readOnly"):
                yield key
            else:
                yield from wrong(service, inner, one)
    elif kind == "array":
        for one in value:
            yield from wrong(service, schema["items"], one)
    elif value not in schema.get("enum", [value]) or not re.fullmatch(
        schema.get("pattern", ".*"), str(value)
    ):
        yield str(value)


def method(service: str, name: str) -> dict[str, Any]:
    resource, _, verb = name.partition(".")
    found: dict[str, Any] = model(service)["resources"][resource]["methods"][verb]
    return found


def test_requests_satisfy_the_published_models(account: gcp_stand_in.Gcp, archive: Path) -> None:
    """Each one's method, address, parameters and body, as they were sent."""
    disk = DiskFile(path=archive, format="gce", size=GIB, arch="x86_64")
    wanted = Wanted(name="os-1", bucket=BUCKET, family="os", labels=(("a", "b"),), location="eu")
    Gcp(wanted).check(lambda _event: None)
    account.faults.append(Fault("get", refusing(400, "invalid"), after=1))  # it is removed then
    with pytest.raises(Exception, match="invalid"):
        Gcp(wanted).publish(disk, Means(emit=lambda _event: None, patience=Patience(3, 0.01, 0.01)))
    sent = {one.operation: one for one in account.asked}
    assert set(METHODS) - set(sent) <= {"look"}
    for operation, asked in sent.items():
        if operation not in METHODS:
            continue
        service, name = METHODS[operation]
        found = method(service, name)
        base = "/" if service == "cloudresourcemanager" else f"/{model(service)['servicePath']}"
        path = base + found["path"]
        if operation == "begin":
            path = found["mediaUpload"]["protocols"]["resumable"]["path"].removeprefix("/resumable")
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
        assert asked.method == found["httpMethod"]
        assert re.fullmatch(pattern, asked.path), asked.path
        known = {*found["parameters"], *model(service)["parameters"], "uploadType"}
        assert set(asked.query) <= known
        if asked.body:
            said = json.loads(asked.body)
            assert list(wrong(service, {"$ref": found["request"]["$ref"]}, said)) == []


def test_the_image_satisfies_the_published_model() -> None:
    disk = DiskFile(path=Path("x"), format="gce", size=GIB, arch="x86_64")
    said = image.insert_parameters(WANTED, disk, "o.tar.gz")
    schema = {"$ref": "Image"}
    assert list(wrong("compute", schema, said)) == []
    assert list(wrong("compute", schema, {**said, "architecture": "s390x"})) == ["s390x"]
    assert list(wrong("compute", schema, {**said, "name": "A", "x": 1})) == ["A", "x"]
    shapes = model("compute")["schemas"]
    types = set(shapes["GuestOsFeature"]["properties"]["type"]["enum"])
    assert types - set(models.FEATURES) == {"FEATURE_TYPE_UNSPECIFIED", "WINDOWS"}
    assert set(models.FEATURES) <= types
    assert set(models.ARCHITECTURES.values()) < set(shapes["Image"]["properties"]["architecture"]
                                                    ["enum"])  # fmt: skip


def credentials(account: gcp_stand_in.Gcp) -> Any:
    made: Any = service_account.Credentials
    return made.from_service_account_info(account.account(), scopes=[SCOPE])


def client(account: gcp_stand_in.Gcp, service: str) -> Any:
    """Return google-api-python-client's client of a service, made of its model."""
    said = {**model(service), "rootUrl": f"{account.url}/", "mtlsRootUrl": ""}
    said["baseUrl"] = account.url + "/" + said["servicePath"]
    return build_from_document(json.dumps(said), credentials=credentials(account))


def test_googles_client_agrees_with_the_stand_in(account: gcp_stand_in.Gcp, archive: Path) -> None:
    """All of a publication by google-api-python-client, with an upload that is disturbed."""
    account.keeps = MIB
    account.faults += [Fault("chunk", failing, after=1)]
    store, compute = client(account, "storage"), client(account, "compute")
    media = MediaFileUpload(str(archive), "application/gzip", chunksize=2 * MIB, resumable=True)
    upload = store.objects().insert(bucket=BUCKET, name="o.tar.gz", ifGenerationMatch="0",
                                    body={"md5Hash": gcp_stand_in.md5(archive.read_bytes())},
                                    media_body=media)  # fmt: skip
    done, failures = None, 0
    while done is None:
        try:
            _status, done = upload.next_chunk()
        except HttpError:  # it asks for what is there the next time
            failures += 1
    assert failures == 1
    assert done["md5Hash"] == gcp_stand_in.md5(archive.read_bytes())
    assert account.objects["o.tar.gz"].data == archive.read_bytes()
    said = {
        "name": "os-1",
        "architecture": "X86_64",
        "rawDisk": {"source": f"https://storage.googleapis.com/{BUCKET}/o.tar.gz"},
    }
    images = compute.images()
    request = "11111111-1111-4111-8111-111111111111"
    operation = images.insert(project=PROJECT, body=said, requestId=request).execute()
    again = images.insert(project=PROJECT, body=said, requestId=request).execute()
    assert again["name"] == operation["name"]
    for body, id_ in (
        ({**said, "name": "Os"}, None),
        (said, None),
        ({**said, "family": "x"}, request),
    ):
        with pytest.raises(HttpError):
            images.insert(project=PROJECT, body=body, requestId=id_).execute()
    with pytest.raises(HttpError, match="not ready"):
        images.delete(project=PROJECT, image="os-1").execute()
    get = compute.globalOperations().get(project=PROJECT, operation=operation["name"])
    assert get.execute()["status"] == "DONE"
    assert images.get(project=PROJECT, image="os-1").execute()["status"] == "READY"
    images.delete(project=PROJECT, image="os-1").execute()
    store.objects().delete(bucket=BUCKET, object="o.tar.gz").execute()
    rights = {"permissions": ["compute.images.create", "x.y.z"]}
    manager = client(account, "cloudresourcemanager")
    projects = manager.projects()
    assert projects.testIamPermissions(resource=PROJECT, body=rights).execute() == {
        "permissions": ["compute.images.create"]
    }
    for one in (store, compute, manager):
        one.close()


def test_googles_client_of_storage_agrees_with_the_stand_in(
    account: gcp_stand_in.Gcp, archive: Path, tmp_path: Path
) -> None:
    """By google-cloud-storage: chunks, what was not kept, checksums, and what is read back."""
    made: Any = storage.Client
    store = made(project=PROJECT, credentials=credentials(account))
    bucket = store.bucket(BUCKET)
    blob = bucket.blob("o.tar.gz", chunk_size=MIB)
    blob.upload_from_filename(str(archive), checksum="crc32c", if_generation_match=0)
    assert account.objects["o.tar.gz"].data == archive.read_bytes()
    assert account.operations().count("chunk") == 10
    bucket.blob("o.tar.gz").download_to_filename(str(tmp_path / "back"), checksum="crc32c")
    assert (tmp_path / "back").read_bytes() == archive.read_bytes()
    with pytest.raises(GoogleAPICallError, match="pre-conditions"):
        blob.upload_from_filename(str(archive), if_generation_match=0)
    assert bucket.test_iam_permissions(["storage.objects.get", "x.y"]) == ["storage.objects.get"]
    account.wrong_md5 = True
    with pytest.raises(DataCorruption):
        bucket.blob("p.tar.gz", chunk_size=MIB).upload_from_filename(str(archive), checksum="md5")
    blob.delete()
    assert "o.tar.gz" not in account.objects
    store.close()


def test_what_diskgen_stored_googles_client_reads(
    account: gcp_stand_in.Gcp, archive: Path, tmp_path: Path
) -> None:
    disk = DiskFile(path=archive, format="gce", size=GIB, arch="x86_64")
    wanted = Wanted(name="os-1", bucket=BUCKET, keep_object=True)
    made = Gcp(wanted).publish(disk, Means(emit=lambda _event: None))
    client_: Any = storage.Client
    store = client_(project=PROJECT, credentials=credentials(account))
    where: Any = storage.Blob
    blob = where.from_uri(str(made.facts["object"]), client=store)
    blob.download_to_filename(str(tmp_path / "back"), checksum="md5")
    assert (tmp_path / "back").read_bytes() == archive.read_bytes()
    store.close()
