"""Google Compute Engine as a place: what is asked of it beforehand, which requests, the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ...documents import is_list
from ...errors import PreflightError, Problem
from ...events import Emit, notice, step
from ..journal import Journal
from ..leftovers import Leftovers, drop_stale, give_up
from ..publication import Call, DiskFile, Json, Means, Published
from . import image, upload
from .access import COMPUTE, PROJECTS, STORAGE, Access, RefusedError
from .wanted import Wanted, check_disk

_OF_IMAGES: Final = (
    "compute.images.create", "compute.images.get", "compute.images.delete",
    "compute.globalOperations.get",
)  # fmt: skip
_OF_LABELS: Final = "compute.images.setLabels"
_OF_OBJECTS: Final = ("storage.objects.create", "storage.objects.get", "storage.objects.delete")
_MAY_NOT_ASK: Final = 403


@dataclass(frozen=True, slots=True)
class Gcp:
    """Compute Engine, for one image. ``file`` is what is published, where it exists already."""

    wanted: Wanted
    file: Path | None = None

    @property
    def name(self) -> str:
        """The place."""
        return "gcp"

    def check(self, emit: Emit) -> None:
        """Ask Google whether the image can be made and its name is free."""
        with self._access() as access, step(emit, "check", "Asking Google") as phase:
            project = access.where()
            problems = self._bucket_rights(access)
            problems += self._image_rights(access, emit)
            if not problems:
                problems = self._quota(access)
                # What a killed run has begun may be there under this very name.
                begun = self.file is not None and Journal.is_beside(
                    self.file, self.name, self._asked(project)
                )
                problems += [] if begun else self._taken(access)
            if problems:
                raise PreflightError(problems)
            phase.detail = project

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return the requests."""
        check_disk(disk, self.wanted)
        project = self._access().where()
        bucket, key = self.wanted.bucket, "<object>.tar.gz"
        size = disk.path.stat().st_size
        found = [
            Call(
                name="storage objects.insert",
                where=bucket,
                says={
                    "uploadType": "resumable",
                    "name": key,
                    "ifGenerationMatch": 0,
                    "contentType": upload.TYPE,
                    "md5Hash": "<md5>",
                },
            ),
            Call(
                name="storage objects.insert, a chunk",
                where=bucket,
                says={"Content-Range": f"bytes <first>-<last>/{size}"},
                times=-(-size // upload.CHUNK),
            ),
            Call(
                name="compute images.insert",
                where=project,
                says=image.insert_parameters(self.wanted, disk, key),
            ),
        ]
        if not self.wanted.keep_object:
            found.append(Call(name="storage objects.delete", where=bucket, says={"object": key}))
        return found

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Make the image."""
        check_disk(disk, self.wanted)
        access = self._access()
        access.patience = means.patience
        with (
            access,
            Journal.beside(disk.path, self.name, self._asked(access.where())) as journal,
            Leftovers(means.emit) as made,
        ):
            drop_stale(journal, means.emit, partial(self._note, access))
            try:
                facts = self._make(access, disk, journal, means, made)
            except BaseException:
                give_up(journal, made)
                raise
            made.keep()
        return Published(place=self.name, id=str(facts["image"]), facts=facts)

    def _make(
        self, access: Access, disk: DiskFile, journal: Journal, means: Means, made: Leftovers
    ) -> dict[str, Json]:
        image.note_earlier(access, self.wanted, journal.facts, made)
        with Leftovers(means.emit) as object_:
            upload.note_earlier(access, self.wanted, journal.facts, object_)
            try:
                if journal.get("request") is None and (taken := self._taken(access)):
                    raise PreflightError(taken)
                stored = upload.upload(access, self.wanted, disk, journal, means, object_)
                found = image.insert(access, self.wanted, disk, stored, journal, means, made)
            except BaseException:
                object_.drop()
                made.left += object_.left
                raise
            journal.remove()  # an image is nothing to go on with
            if self.wanted.keep_object:
                object_.keep()
            else:
                object_.drop()
        project = access.where()
        kept = self.wanted.keep_object or bool(object_.left)
        return {
            "image": f"projects/{project}/global/images/{self.wanted.name}",
            "project": project,
            "self_link": str(found.get("selfLink", "")),
            "image_id": str(found.get("id", "")),
            "object": f"gs://{self.wanted.bucket}/{stored.key}" if kept else None,
            "bytes_sent": stored.sent,
            "bytes_there": stored.before,
        }

    def _access(self) -> Access:
        return Access(self.wanted.project)

    def _asked(self, project: str) -> dict[str, Any]:
        return {**asdict(self.wanted), "project": project}

    def _note(self, access: Access, facts: Mapping[str, Any], left: Leftovers) -> None:
        """Note what the journal of an earlier run names."""
        upload.note_earlier(access, self.wanted, facts, left)
        image.note_earlier(access, self.wanted, facts, left)

    def _taken(self, access: Access) -> list[Problem]:
        try:
            found = image.get(access, self.wanted.name)
        except RefusedError as error:
            return [Problem.of("no-access", error)]
        if found is None:
            return []
        return [
            Problem(
                code="name-taken",
                message=f"an image '{self.wanted.name}' exists in the project '{access.where()}'",
                setting="gcp-image",
                hint="choose another name, or delete that one",
            )
        ]

    def _bucket_rights(self, access: Access) -> list[Problem]:
        wanted = _OF_OBJECTS[:-1] if self.wanted.keep_object else _OF_OBJECTS
        bucket = quote(self.wanted.bucket, safe="")
        try:
            found = access.call(
                "storage buckets.testIamPermissions", STORAGE, "GET",
                f"/storage/v1/b/{bucket}/iam/testPermissions",
                [("permissions", right) for right in wanted],
            )  # fmt: skip
        except RefusedError as error:
            return [
                Problem(
                    code="no-bucket",
                    message=f"the bucket '{self.wanted.bucket}' cannot be used: {error.message}",
                    setting="bucket",
                    hint="make one: gcloud storage buckets create gs://NAME",
                )
            ]
        return _missing(found, wanted, f"the bucket '{self.wanted.bucket}'", "bucket")

    def _image_rights(self, access: Access, emit: Emit) -> list[Problem]:
        wanted = (*_OF_IMAGES, *((_OF_LABELS,) if self.wanted.labels else ()))
        project = access.where()
        try:
            found = access.call(
                "cloudresourcemanager projects.testIamPermissions", PROJECTS, "POST",
                f"/v1/projects/{project}:testIamPermissions", says={"permissions": list(wanted)},
            )  # fmt: skip
        except RefusedError as error:
            if error.status != _MAY_NOT_ASK:
                return [Problem.of("no-project", error)]
            # The project has not enabled who could tell.
            notice(emit, f"whether images may be made is not known before: {error.message}")
            return []
        return _missing(found, wanted, f"the project '{project}'", "project")

    def _quota(self, access: Access) -> list[Problem]:
        """Return whether the project has as many images as it may have, where one may know."""
        try:
            found = access.call(
                "compute projects.get", COMPUTE, "GET",
                f"/compute/v1/projects/{access.where()}", [("fields", "quotas")],
            )  # fmt: skip
        except RefusedError as error:
            return [] if error.status == _MAY_NOT_ASK else [Problem.of("no-access", error)]
        quotas = found.get("quotas")
        for one in quotas if is_list(quotas) else []:
            match one:
                case {"metric": "IMAGES", "limit": int() | float() as limit,
                      "usage": int() | float() as usage} if usage >= limit:  # fmt: skip
                    return [
                        Problem(
                            code="quota",
                            message=f"the project '{access.where()}' has {usage:.0f} images of "
                            f"{limit:.0f}",
                            hint="delete some, or ask Google for a larger quota",
                        )
                    ]
                case _:
                    pass
        return []


def _missing(
    found: dict[str, Any], wanted: tuple[str, ...], where: str, setting: str
) -> list[Problem]:
    """Return which rights somebody lacks."""
    has = found.get("permissions", [])
    lacks = [right for right in wanted if not is_list(has) or right not in has]
    if not lacks:
        return []
    return [
        Problem(
            code="no-right",
            message=f"these rights to {where} are missing: {', '.join(lacks)}",
            hint="the manual lists roles that have them",
            setting=setting,
        )
    ]
