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


def require_free(manager: Manager, wanted: Wanted) -> None:
    """Refuse a name that somebody else has taken. Raises PublishError."""
    if taken(manager, wanted):
        path, _version = path_of(manager, wanted)
        raise PublishError(f"'{path}' exists by now", setting="azure-image")


def earlier(
    manager: Manager, wanted: Wanted, journal: Journal, means: Means, made: Leftovers
) -> str | None:
    """Return the image that the journal's run began, once it is there; None where there is none.

    Raises PublishError.
    """
    if not journal.get("image"):
        return None
    note(manager, wanted, made)
    path, version = path_of(manager, wanted)
    what, title, seconds = _words(wanted)
    with step(means.emit, "image", title) as phase:
        phase.detail = wanted.name
        there = manager.ask(what, path, version)
        if there is not None and state_of(there) in ("Failed", "Canceled"):
            manager.remove(what, path, version)
        elif manager.settled(what, path, version, seconds) is not None:
            return path
    journal.note("image", None)
    made.keep()  # whatever gets its name from now on is not ours
    return None


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
    """Make the image, and return its identifier. Raises PublishError."""
    path, version = path_of(manager, wanted)
    what, title, seconds = _words(wanted)
    if wanted.gallery is not None:
        _define(manager, wanted, disk, location, means, made)
        says = version_says(wanted, location, uploaded)
    else:
        says = image_says(wanted, disk, location, uploaded)
    with step(means.emit, "image", title) as phase:
        require_free(manager, wanted)
        note(manager, wanted, made)
        journal.note("image", path)
        manager.change(what, "PUT", path, version, says, seconds=seconds)
        phase.detail = wanted.name
    return path


def _words(wanted: Wanted) -> tuple[str, str, float]:
    """Return what is done, for errors and for people, and how long it may take."""
    if wanted.gallery is None:
        return "making the image", "Making the image", _IMAGE_SECONDS
    return "making the version", "Replicating the version", _VERSION_SECONDS


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
