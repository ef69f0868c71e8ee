"""Others say whether requests and the stand-in are right: Azure's own clients, and Azurite."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient, models
from azure.storage.blob import BlobClient, BlobServiceClient

from diskgen.events import discard
from diskgen.formats.vhd import footer
from diskgen.publish.azure import disk as managed
from diskgen.publish.azure import image
from diskgen.publish.azure.access import Access, Pass
from diskgen.publish.azure.image import Uploaded
from diskgen.publish.azure.pages import PagesError, opened, write_disk
from diskgen.publish.extents import Sparse
from diskgen.publish.journal import Journal
from diskgen.publish.publication import DiskFile, Means
from diskgen.units import MIB

from ...fixtures import azure_stand_in, page_blobs
from ...fixtures.azure_runs import SIZE, VERSION, WANTED, published, same
from ...fixtures.azure_stand_in import ACCOUNT, GROUP, HOME, SUBSCRIPTION

FULL = replace(VERSION, copy_to=("eastus",), tags=(("team", "os"),))


def bodies(disk: DiskFile) -> dict[str, tuple[Any, Any]]:
    """Return each body that is sent, with Azure's own model of it."""
    on_disk, on_blob = Uploaded(disk="/id"), Uploaded(uri="https://b", account="/account")
    return {
        "disk": (models.Disk, managed.disk_says(WANTED, disk, HOME)),
        "grant": (models.GrantAccessData, managed.grant_says()),
        "image of a disk": (models.Image, image.image_says(WANTED, disk, HOME, on_disk)),
        "image of a blob": (models.Image, image.image_says(WANTED, disk, HOME, on_blob)),
        "definition": (models.GalleryImage, image.definition_says(FULL, disk, HOME)),
        "version of a disk": (models.GalleryImageVersion, image.version_says(FULL, HOME, on_disk)),
        "version of a blob": (models.GalleryImageVersion, image.version_says(FULL, HOME, on_blob)),
    }


def strangers(model: Any, said: Any, where: str = "") -> Iterator[str]:
    """Yield what a model of Azure's has no place for: names, and values of its enums."""
    if isinstance(model, type) and issubclass(model, Enum):
        if said not in [one.value for one in model]:
            yield f"{where}: {said}"
    elif isinstance(said, dict) and getattr(model, "__module__", "").startswith(models.__name__):
        model.__new__(model)  # the first time it learns its fields
        known = {one._rest_name: (name, one) for name, one in model._attr_to_rest_field.items()}
        for key, value in said.items():
            if key not in known:
                yield f"{where}.{key}"
                continue
            name, _field = known[key]
            yield from strangers(annotation(model, name), value, f"{where}.{key}")
    elif isinstance(said, list):
        for one in said:
            yield from strangers(model, one, f"{where}[]")


def annotation(model: Any, name: str) -> Any:
    """Return the model or the enum that a field of a model is of, or of which it is a list."""
    told = next(
        one.__annotations__[name]
        for one in model.__mro__
        if name in getattr(one, "__annotations__", {})
    )
    return innermost(told)


def innermost(told: Any) -> Any:
    inner = [one for one in get_args(told) if one not in (type(None), str)]
    if inner:
        return innermost(inner[-1])
    name = told if isinstance(told, str) else getattr(told, "__forward_arg__", "")
    return getattr(models, name.rpartition(".")[2], told) if name else told


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_azures_own_models_have_all_that_is_sent(disk: DiskFile, arch: str) -> None:
    for name, (model, said) in bodies(replace(disk, arch=arch)).items():
        assert list(strangers(model, said, name)) == []
    wrong = {"location": HOME, "properties": {"hyperVGeneration": "V3", "storageProfiles": {}}}
    assert list(strangers(models.Image, wrong)) == [
        ".properties.hyperVGeneration: V3", ".properties.storageProfiles",
    ]  # fmt: skip


class Bearer(SansIOHTTPPolicy[Any, Any]):
    """Adds a token, also to plain HTTP, which Azure's own policy does not."""

    def __init__(self, token: str) -> None:
        self.token = token

    def on_request(self, request: Any) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {self.token}"


class Nobody:
    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        raise AssertionError


@contextmanager
def compute(account: azure_stand_in.Azure) -> Iterator[Any]:
    with Access() as access:
        token = access.token(f"{account.url}/.default")
    with ComputeManagementClient(
        Nobody(), SUBSCRIPTION, base_url=account.url, credential_scopes=[account.url],
        authentication_policy=Bearer(token), polling_interval=0,
    ) as client:  # fmt: skip
        yield client


def test_azures_own_clients_agree_with_the_stand_in(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    """The same bodies, by the clients that Azure publishes: what they make is what we make."""
    account.add_gallery()
    says = {name: said for name, (_model, said) in bodies(disk).items()}
    with compute(account) as client:
        client.disks.begin_create_or_update(GROUP, "d", models.Disk(says["disk"])).result()
        granted = client.disks.begin_grant_access(
            GROUP, "d", models.GrantAccessData(says["grant"])
        ).result()
        write_by_theirs(granted.access_sas, disk.path)
        client.disks.begin_revoke_access(GROUP, "d").result()
        made = client.disks.get(GROUP, "d")
        assert made.properties.disk_state == "Unattached"
        picture = models.Image(image.image_says(WANTED, disk, HOME, Uploaded(disk=made.id)))
        client.images.begin_create_or_update(GROUP, "os-1", picture).result()
        assert client.images.get(GROUP, "os-1").properties.hyper_v_generation == "V2"
        definition = models.GalleryImage(says["definition"])
        client.gallery_images.begin_create_or_update(GROUP, "ours", "os", definition).result()
        version = models.GalleryImageVersion(image.version_says(FULL, HOME, Uploaded(disk=made.id)))
        client.gallery_image_versions.begin_create_or_update(
            GROUP, "ours", "os", "1.0.0", version
        ).result()
        client.disks.begin_delete(GROUP, "d").result()
    assert same(account, disk)
    theirs = {one.path: one.said for one in account.of("versions") + account.of("images")}
    account.resources.clear()
    account.add_gallery()
    published(disk, WANTED)
    published(disk, FULL)
    ours = {one.path: one.said for one in account.of("versions") + account.of("images")}
    assert without_names(ours) == without_names(theirs)


def without_names(said: Any) -> Any:
    """Return JSON in which names of disks, which are always new, are none."""
    text = json.dumps(said, sort_keys=True)
    while (at := text.find("/disks/")) >= 0:
        text = text[:at] + text[text.index('"', at) :]
    return text


def write_by_theirs(url: str, path: Path) -> None:
    with BlobClient.from_blob_url(url) as client, path.open("rb") as file:
        offset = 0
        while data := file.read(4 * MIB):
            if data.strip(b"\0"):
                client.upload_page(data, offset, len(data), validate_content=True)
            offset += len(data)


def test_azures_own_client_of_blobs_agrees_with_the_stand_in(
    account: azure_stand_in.Azure, disk: DiskFile
) -> None:
    """Its signatures by a key, above all."""
    key = AzureNamedKeyCredential(ACCOUNT, page_blobs.KEY)
    with BlobServiceClient(f"{account.url}/{ACCOUNT}", credential=key) as service:
        assert service.get_container_client("vhds").exists()
        blob = service.get_blob_client("vhds", "theirs.vhd")
        with disk.path.open("rb") as file:
            size = disk.path.stat().st_size
            blob.create_page_blob(size)
            for offset in range(0, size, MIB):
                data = file.read(MIB)
                if data.strip(b"\0"):
                    blob.upload_page(data, offset, len(data), validate_content=True)
        assert blob.get_blob_properties().size == disk.path.stat().st_size
    account._use(account.blobs.held[f"/{ACCOUNT}/vhds/theirs.vhd"])
    assert same(account, disk)


AZURITE = shutil.which("azurite-blob")
EMULATED = "devstoreaccount1"
EMULATED_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@pytest.fixture
def azurite(tmp_path: Path) -> Iterator[str]:
    """Azurite, whose signatures, rules of pages and lists of them are Microsoft's own."""
    assert AZURITE is not None
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    words = (
        "--silent", "--skipApiVersionCheck", "--disableTelemetry",
        "--location", str(tmp_path / "azurite"), "--blobHost", "127.0.0.1", "--blobPort", str(port),
    )  # fmt: skip
    with subprocess.Popen([AZURITE, *words], stdout=subprocess.DEVNULL) as running:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/{EMULATED}"
        running.terminate()


@pytest.mark.skipif(AZURITE is None, reason="takes Azurite: npm install azurite")
def test_azurite_holds_what_was_sent(azurite: str, disk: DiskFile) -> None:
    """Read back by Azure's own client."""
    size = disk.path.stat().st_size
    key = AzureNamedKeyCredential(EMULATED, EMULATED_KEY)
    with BlobServiceClient(azurite, credential=key) as service:
        service.create_container("vhds")
        let = Pass(f"{azurite}/vhds/os.vhd", account=EMULATED,
                   key=base64.b64decode(EMULATED_KEY))  # fmt: skip
        with (
            opened(replace(let, url=f"{azurite}/none/os.vhd")) as pages,
            pytest.raises(PagesError, match="ContainerNotFound"),
        ):
            pages.container()
        with opened(let) as pages:
            pages.container()
            assert pages.size() is None
            pages.create(size)
            assert pages.size() == size
        with Sparse(disk.path) as source, Journal.beside(disk.path, "azurite", {}) as journal:
            write_disk(source, let, journal, Means(emit=discard, workers=4))
        blob = service.get_blob_client("vhds", "os.vhd")
        assert blob.download_blob().readall() == disk.path.read_bytes()
        held = sum(one["end"] - one["start"] + 1 for one in blob.list_page_ranges())
        assert held < 64 * 1024, "holes were not sent"
        with opened(let) as pages:
            pages.delete()
            pages.delete()
            assert pages.size() is None


def test_the_stand_in_knows_a_vhd(disk: DiskFile) -> None:
    """By the footer that qemu-img and libvhdi take; and none that is not one."""
    blob = page_blobs.Blob(SIZE + 512)
    with pytest.raises(page_blobs.Refusal):
        blob.check_vhd()
    blob.pages[SIZE // 512] = footer(SIZE, UUID(int=7))
    blob.check_vhd()
    blob.pages[SIZE // 512] = footer(SIZE + MIB, UUID(int=7))
    with pytest.raises(page_blobs.Refusal):
        blob.check_vhd()
    assert disk.path.read_bytes()[-512:] == footer(SIZE, UUID(int=1))
