"""Direct upload: a managed disk takes the pages, without a storage account.

"Upload a VHD to Azure"; REST reference of Compute: Disks, Create Or Update, Grant Access, Revoke
Access. The address that is granted is the right to write: a secret. When it is revoked, Azure
checks the footer, and the disk is one.
"""

from __future__ import annotations

import re
import shlex
import uuid
from contextlib import suppress
from typing import Any, Final

from ...documents import is_table
from ...errors import PublishError
from ...events import notice, step
from ...formats.vhd import FOOTER_SIZE
from ...interrupt import whole
from ..extents import Piece, Sparse
from ..http import is_private
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..transfer import Sent
from .access import Pass
from .arm import Manager, RefusedError
from .models import ARCHITECTURES, DISKS
from .pages import opened, write_disk
from .wanted import Wanted

GRANTED_SECONDS: Final = 24 * 3600  # then it is granted again
_CLEAN_SECONDS: Final = 120
_ADDRESS: Final = re.compile(r"https?://[^/?#\s]+/[!->@-~]*\?[!-~]+", re.ASCII)
_UPLOADING: Final = ("ReadyToUpload", "ActiveUpload")


def disk_says(wanted: Wanted, disk: DiskFile, location: str) -> dict[str, Any]:
    """Return what the request for a managed disk says."""
    assert disk.arch is not None
    return {
        "location": location,
        "tags": dict(wanted.tags),
        "sku": {"name": "Standard_LRS"},
        "properties": {
            "osType": "Linux",
            "hyperVGeneration": wanted.generation_of(disk),
            "supportedCapabilities": {"architecture": ARCHITECTURES[disk.arch]},
            "creationData": {
                "createOption": "Upload",
                "uploadSizeBytes": disk.path.stat().st_size,
            },
        },
    }


def grant_says() -> dict[str, Any]:
    """Return what the request for the address says."""
    return {"access": "Write", "durationInSeconds": GRANTED_SECONDS}


def note(manager: Manager, name: str, made: Leftovers) -> None:
    """Note a managed disk, with what removes it."""
    which = f"--resource-group {shlex.quote(manager.group)} --name {name}"
    made.add(
        f"the managed disk '{name}'",
        f"az disk revoke-access {which}; az disk delete --yes {which}",
        lambda: remove(manager, name),
    )


def remove(manager: Manager, name: str) -> None:
    """Remove a disk, whatever its state. Raises PublishError."""
    if _state(manager, name) == "ActiveUpload":
        with suppress(RefusedError):  # what was sent is no whole disk: it is to go in any case
            _revoke(manager, name, _CLEAN_SECONDS)
    manager.remove(f"deleting '{name}'", _path(manager, name), DISKS, _CLEAN_SECONDS)


def upload(
    manager: Manager,
    wanted: Wanted,
    disk: DiskFile,
    location: str,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> tuple[str, Sent]:
    """Make a managed disk of a file, or go on with the journal's. Raises PublishError.

    Returns its identifier.
    """
    name, url = _ready(manager, wanted, disk, location, journal, means, made)
    path = _path(manager, name)
    if url is None:
        digests = {number: bytes.fromhex(text) for number, text in journal.pieces.items()}
        return path, Sent(digests=digests, sent=0, before=disk.path.stat().st_size)
    with Sparse(disk.path) as source:
        let = Pass(url, renew=lambda: _granted(manager, name))
        sent = write_disk(source, let, journal, means)
    journal.note("sent", True)
    with step(means.emit, "disk", "Making the managed disk") as phase:
        _revoke(manager, name)
        phase.detail = name
    return path, sent


def _ready(
    manager: Manager,
    wanted: Wanted,
    disk: DiskFile,
    location: str,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> tuple[str, str | None]:
    """Return a disk's name and the address to write to; None where all has been written."""
    earlier = journal.get("disk")
    if isinstance(earlier, str):
        state = _state(manager, earlier)
        if state in _UPLOADING:
            try:
                url = _begun(manager, earlier, disk, journal, means)
            except RefusedError as error:
                notice(means.emit, f"'{earlier}' of an earlier run is not gone on with: {error}")
            else:
                notice(means.emit, f"going on with the disk '{earlier}' of an earlier run")
                return earlier, url
        elif state is not None and journal.get("sent"):
            return earlier, None
        made.drop()
        journal.forget()
    name = f"diskgen-{uuid.uuid4().hex}"
    journal.note("disk", name)
    note(manager, name, made)
    says = disk_says(wanted, disk, location)
    manager.change("making the managed disk", "PUT", _path(manager, name), DISKS, says)
    return name, _begun(manager, name, disk, journal, means)


@whole
def _begun(manager: Manager, name: str, disk: DiskFile, journal: Journal, means: Means) -> str:
    """Return the address to write to: the footer is there, and no signal came before it was.

    Without one no upload can be ended, nor the disk be removed.
    """
    url = _granted(manager, name, _CLEAN_SECONDS)
    if not journal.get("footer"):
        with Sparse(disk.path) as source, opened(Pass(url)) as pages:
            last = Piece(0, source.size - FOOTER_SIZE, FOOTER_SIZE)
            footer = source.read(last)
            means.patience.of("writing the footer", lambda: pages.write(last.offset, footer))
        journal.note("footer", True)
    return url


def _granted(manager: Manager, name: str, seconds: float = 3600) -> str:
    """Return an address by which pages of a disk are written: a secret."""
    what = f"asking for the right to write '{name}'"
    path = f"{_path(manager, name)}/beginGetAccess"
    said = manager.change(what, "POST", path, DISKS, grant_says(), seconds=seconds)
    found = next((value for key, value in said.items() if key.lower() == "accesssas"), None)
    if not isinstance(found, str) or not _ADDRESS.fullmatch(found) or not is_private(found):
        raise PublishError(f"{what}: Azure answered without an address")
    return found


def _revoke(manager: Manager, name: str, seconds: float = 3600) -> None:
    manager.change(
        f"ending the upload of '{name}'", "POST", f"{_path(manager, name)}/endGetAccess", DISKS,
        seconds=seconds,
    )  # fmt: skip


def _state(manager: Manager, name: str) -> str | None:
    """Return a disk's state; None where there is none."""
    said = manager.ask(f"looking for '{name}'", _path(manager, name), DISKS)
    if said is None:
        return None
    properties = said.get("properties")
    return str(properties.get("diskState", "")) if is_table(properties) else ""


def _path(manager: Manager, name: str) -> str:
    return manager.of_compute(f"disks/{name}")
