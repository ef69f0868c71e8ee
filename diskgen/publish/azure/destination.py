"""Azure as a place to publish to: what is asked of it, which requests are made, and the image."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ...errors import PreflightError
from ...events import Emit, step
from ...interrupt import whole
from ..extents import Sparse
from ..journal import Journal
from ..leftovers import Leftovers, drop_stale, give_up
from ..publication import Call, DiskFile, Json, Means, Published
from ..retry import Patience
from ..transfer import Sent
from . import blob, checks, image
from . import disk as managed
from .access import Access, cloud
from .arm import Manager
from .image import Uploaded
from .pages import GRAIN
from .wanted import Wanted, check_disk

_SOMEWHERE: Final = "<location of the resource group>"


@dataclass(frozen=True, slots=True)
class Azure:
    """Azure, for one image. ``file`` is what is published, where that exists already."""

    wanted: Wanted
    file: Path | None = None

    @property
    def name(self) -> str:
        """The place."""
        return "azure"

    def check(self, emit: Emit) -> None:
        """Ask Azure whether the image can be made and its name is free."""
        begun = self.file is not None and Journal.is_beside(self.file, self.name, self._asked())
        with self._manager(Patience()) as manager, step(emit, "check", "Asking Azure") as phase:
            location = checks.location_of(manager, self.wanted)
            found = checks.problems(manager, self.wanted, location, begun=begun)
            if found:
                raise PreflightError(found)
            phase.detail = location

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return the requests."""
        wanted = self.wanted
        check_disk(disk, wanted)
        location = wanted.location or _SOMEWHERE
        if wanted.storage_account is None:
            uploaded = Uploaded(disk="<disk>")
            found = self._disk_calls(disk, location)
        else:
            uploaded = Uploaded(uri="<blob>", account="<storage account>")
            found = self._blob_calls(disk)
        return [*found, *self._image_calls(disk, location, uploaded), self._removal()]

    def _image_calls(self, disk: DiskFile, location: str, uploaded: Uploaded) -> list[Call]:
        wanted = self.wanted
        if wanted.gallery is None:
            says = image.image_says(wanted, disk, location, uploaded)
            return [self._call("PUT images", wanted.name, says)]
        says = image.definition_says(wanted, disk, location)
        definition = f"{wanted.gallery}/{wanted.name}, unless it is there"
        found = [self._call("PUT galleries/images", definition, says)]
        says = image.version_says(wanted, location, uploaded)
        version = f"{wanted.gallery}/{wanted.name}/{wanted.version}"
        return [*found, self._call("PUT galleries/images/versions", version, says)]

    def _removal(self) -> Call:
        if self.wanted.storage_account is None:
            return self._call("DELETE disks", "<disk>", {})
        return Call(name="blob DELETE", where=self._blob, says={})

    @property
    def _blob(self) -> str:
        return f"{self.wanted.storage_account}/{self.wanted.container}/<blob>"

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Make the image."""
        check_disk(disk, self.wanted)
        with (
            self._manager(means.patience) as manager,
            Journal.beside(disk.path, self.name, self._asked()) as journal,
            Leftovers(means.emit) as between,
            Leftovers(means.emit) as made,
        ):
            drop_stale(journal, means.emit, partial(self._note_stale, manager, means))
            try:
                facts = self._make(manager, disk, journal, means, made, between)
            except BaseException:
                give_up(journal, made, between)
                raise
            made.keep()
            _done(between, journal)
        return Published(place=self.name, id=str(facts["image"]), facts=facts)

    def _make(
        self,
        manager: Manager,
        disk: DiskFile,
        journal: Journal,
        means: Means,
        made: Leftovers,
        between: Leftovers,
    ) -> dict[str, Json]:
        wanted = self.wanted
        self._note(manager, journal.facts, means, between)
        found = image.earlier(manager, wanted, journal, means, made)
        location = checks.location_of(manager, wanted)
        sent = Sent(digests={}, sent=0, before=disk.path.stat().st_size)
        if found is None:
            image.require_free(manager, wanted)
            if wanted.gallery is not None:
                image.defined(manager, wanted, disk)  # and for such disks
            uploaded, sent = self._upload(manager, disk, location, journal, means, between)
            found = image.make(manager, wanted, disk, location, uploaded, journal, means, made)
        return {
            "image": found,
            "resource_group": wanted.group,
            "region": location,
            "regions": [location, *wanted.copy_to],
            "generation": wanted.generation_of(disk),
            "bytes_sent": sent.sent,
            "bytes_there": sent.before,
        }

    def _upload(
        self,
        manager: Manager,
        disk: DiskFile,
        location: str,
        journal: Journal,
        means: Means,
        between: Leftovers,
    ) -> tuple[Uploaded, Sent]:
        wanted = self.wanted
        if wanted.storage_account is None:
            name, sent = managed.upload(manager, wanted, disk, location, journal, means, between)
            return Uploaded(disk=name), sent
        uri, account, sent = blob.upload(manager, wanted, disk, journal, means, between)
        return Uploaded(uri=uri, account=account), sent

    def _asked(self) -> dict[str, Any]:
        return asdict(self.wanted)

    @contextmanager
    def _manager(self, patience: Patience) -> Generator[Manager]:
        wanted = self.wanted
        with (
            Access() as access,
            Manager(access, cloud().manager, wanted.subscription, wanted.group, patience) as made,
        ):
            yield made

    def _note(
        self, manager: Manager, facts: Mapping[str, Any], means: Means, made: Leftovers
    ) -> None:
        """Note what the journal of an earlier run names: whatever fails now, it is removed."""
        disk, page_blob = facts.get("disk"), facts.get("blob")
        if isinstance(disk, str):
            managed.note(manager, disk, made)
        if isinstance(page_blob, str):
            blob.note(manager, self.wanted, page_blob, means.patience, made)

    def _note_stale(
        self, manager: Manager, means: Means, facts: Mapping[str, Any], left: Leftovers
    ) -> None:
        self._note(manager, facts, means, left)
        if facts.get("image"):
            image.note(manager, self.wanted, left)

    def _disk_calls(self, disk: DiskFile, location: str) -> list[Call]:
        says = managed.disk_says(self.wanted, disk, location)
        return [
            self._call("PUT disks", "<disk>", says),
            self._call("POST disks/beginGetAccess", "<disk>", managed.grant_says()),
            self._pages(disk, "<disk>", 1),  # the footer comes first, and again as what it is
            self._call("POST disks/endGetAccess", "<disk>", {}),
        ]

    def _blob_calls(self, disk: DiskFile) -> list[Call]:
        size = disk.path.stat().st_size
        return [
            Call(
                name="blob PUT",
                where=self._blob,
                says={"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": size},
            ),
            self._pages(disk, self._blob),
        ]

    def _pages(self, disk: DiskFile, where: str, more: int = 0) -> Call:
        with Sparse(disk.path) as source:
            number = more + sum(1 for _piece in source.pieces(GRAIN))
        says = {"comp": "page", "x-ms-page-write": "update", "x-ms-range": f"at most {GRAIN} bytes"}
        return Call(name="blob PUT", where=where, says=says, times=number)

    def _call(self, name: str, what: str, says: dict[str, Any]) -> Call:
        return Call(name=f"compute {name}", where=f"{self.wanted.group}: {what}", says=says)


@whole
def _done(between: Leftovers, journal: Journal) -> None:
    """Remove what was made on the way; there is nothing to go on with."""
    between.drop()
    journal.remove()
