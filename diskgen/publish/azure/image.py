"""What was uploaded becomes a managed image, or a version of an image definition in a gallery.

REST reference of Compute: Images, Gallery Images and Gallery Image Versions, Create Or Update.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

from ...documents import is_table
from ...errors import PublishError
from ...events import step
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from .arm import Manager, state_of
from .models import ARCHITECTURES, COMPUTE, GALLERIES
from .wanted import Wanted

_IMAGE_SECONDS: Final = 3600
_VERSION_SECONDS: Final = 6 * 3600  # until it is in every region
_CLEAN_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What an image is made of: a managed disk, or a page blob and its account's identifier."""

    disk: str | None = None
    uri: str | None = None
    account: str | None = None


def image_says(wanted: Wanted, disk: DiskFile, location: str, uploaded: Uploaded) -> dict[str, Any]:
    """Return what the request for a managed image says."""
    source = (
        {"blobUri": uploaded.uri} if uploaded.disk is None
        else {"managedDisk": {"id": uploaded.disk}}
    )  # fmt: skip
    return {
        "location": location,
        "tags": dict(wanted.tags),
        "properties": {
            "hyperVGeneration": wanted.generation_of(disk),
            "storageProfile": {
                "osDisk": {
                    "osType": "Linux",
                    "osState": "Generalized",
                    "caching": "ReadWrite",
                    **source,
                }
            },
        },
    }


def definition_says(wanted: Wanted, disk: DiskFile, location: str) -> dict[str, Any]:
    """Return what the request for an image definition says."""
    assert disk.arch is not None
    publisher, offer, sku = wanted.identity(disk)
    generation = wanted.generation_of(disk)
    properties: dict[str, Any] = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": generation,
        "architecture": ARCHITECTURES[disk.arch],
        "identifier": {"publisher": publisher, "offer": offer, "sku": sku},
    }
    if generation == "V2" and disk.arch == "x86_64" and "secureboot" in disk.firmware:
        # Machines with a TPM and Secure Boot can be made of it, and others.
        properties["features"] = [{"name": "SecurityType", "value": "TrustedLaunchSupported"}]
    return {"location": location, "tags": dict(wanted.tags), "properties": properties}


def version_says(wanted: Wanted, location: str, uploaded: Uploaded) -> dict[str, Any]:
    """Return what the request for a version says."""
    source = (
        {"uri": uploaded.uri, "storageAccountId": uploaded.account} if uploaded.disk is None
        else {"id": uploaded.disk}
    )  # fmt: skip
    return {
        "location": location,
        "tags": dict(wanted.tags),
        "properties": {
            "publishingProfile": {
                "targetRegions": [
                    {"name": region, "regionalReplicaCount": wanted.replicas}
                    for region in (location, *wanted.copy_to)
                ],
            },
            "storageProfile": {"osDiskImage": {"hostCaching": "ReadWrite", "source": source}},
        },
    }


def definition_path(manager: Manager, wanted: Wanted) -> str:
    """Return the identifier of an image definition."""
    return manager.of_compute(f"galleries/{wanted.gallery}/images/{wanted.name}")


def path_of(manager: Manager, wanted: Wanted) -> tuple[str, str]:
    """Return the identifier of what is made, and the version of its interface."""
    if wanted.gallery is None:
        return manager.of_compute(f"images/{wanted.name}"), COMPUTE
    return f"{definition_path(manager, wanted)}/versions/{wanted.version}", GALLERIES


def taken(manager: Manager, wanted: Wanted) -> bool:
    """Say whether there is an image, or a version, of this name. Raises PublishError."""
    path, version = path_of(manager, wanted)
    return manager.ask("looking for the image", path, version) is not None


def is_defined(manager: Manager, wanted: Wanted) -> bool:
    """Say whether the image definition is there. Raises PublishError."""
    path = definition_path(manager, wanted)
    return manager.ask("looking for the image definition", path, GALLERIES) is not None


def defined(manager: Manager, wanted: Wanted, disk: DiskFile) -> bool:
    """Say whether there is an image definition for a disk.

    Raises PublishError where it is for other disks.
    """
    path = definition_path(manager, wanted)
    said = manager.ask("looking for the image definition", path, GALLERIES)
    if said is None:
        return False
    properties = said.get("properties")
    found = properties if is_table(properties) else {}
    asked = definition_says(wanted, disk, "")["properties"]
    for key, default in (("osType", None), ("osState", None), ("hyperVGeneration", "V1"),
                         ("architecture", "x64")):  # fmt: skip
        if found.get(key, default) != asked[key]:
            raise PublishError(
                f"the image definition '{wanted.name}' is of {key} "
                f"'{found.get(key, default)}', and the disk of '{asked[key]}'",
                hint="name another one",
                setting="azure-image",
            )
    return True


def note(manager: Manager, wanted: Wanted, made: Leftovers) -> None:
    """Note what is made, with what removes it."""
    path, version = path_of(manager, wanted)
    kind = "version" if wanted.gallery is not None else "image"
    text = f"the {kind} '{path.rpartition('/')[2]}'"
    made.add(
        f"{text} of '{wanted.name}'" if wanted.gallery is not None else text,
        f"az resource delete --ids {shlex.quote(path)}",
        lambda: manager.remove(f"deleting {text}", path, version, _CLEAN_SECONDS),
    )


def make(
    manager: Manager,
    wanted: Wanted,
    disk: DiskFile,
    location: str,
    uploaded: Uploaded,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> str:
    """Make the image, or go on with the journal's, and return its identifier.

    Raises PublishError.
    """
    path, version = path_of(manager, wanted)
    if wanted.gallery is not None:
        _define(manager, wanted, disk, location, means, made)
        what, says = "making the version", version_says(wanted, location, uploaded)
        seconds = _VERSION_SECONDS
    else:
        what, says = "making the image", image_says(wanted, disk, location, uploaded)
        seconds = _IMAGE_SECONDS
    title = "Making the image" if wanted.gallery is None else "Replicating the version"
    with step(means.emit, "image", title) as phase:
        begun = bool(journal.get("image"))
        if not begun and taken(manager, wanted):
            raise PublishError(f"'{path}' exists by now", setting="azure-image")
        note(manager, wanted, made)
        if begun:
            there = manager.ask(what, path, version)
            if there is not None and state_of(there) in ("Failed", "Canceled"):
                manager.remove(what, path, version)
            elif manager.settled(what, path, version, seconds) is not None:
                phase.detail = wanted.name
                return path
        journal.note("image", path)
        manager.change(what, "PUT", path, version, says, seconds=seconds)
        phase.detail = wanted.name
    return path


def _define(
    manager: Manager,
    wanted: Wanted,
    disk: DiskFile,
    location: str,
    means: Means,
    made: Leftovers,
) -> None:
    """Make an image definition, unless it is there."""
    if defined(manager, wanted, disk):
        return
    path = definition_path(manager, wanted)
    with step(means.emit, "definition", "Making the image definition") as phase:
        made.add(
            f"the image definition '{wanted.name}'",
            f"az resource delete --ids {shlex.quote(path)}",
            lambda: manager.remove(
                "deleting the image definition", path, GALLERIES, _CLEAN_SECONDS
            ),
        )
        manager.change(
            "making the image definition", "PUT", path, GALLERIES,
            definition_says(wanted, disk, location),
        )  # fmt: skip
        phase.detail = wanted.name
