"""A file in a registry: a container disk as the image that it is, any other file as an artifact.

Format: OCI image specification 1.1, "Guidelines for Artifact Usage": one blob, the file, whose
title is its name, as ORAS reads it. skopeo sends it, with the credentials, certificates and
mirrors that images are fetched by.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import scratch
from ..config import AccessOptions
from ..errors import DiskgenError, PreflightError, Problem, PublishError, UsageError
from ..events import Emit, step
from ..image.complaints import NotFound, Unreachable
from ..image.skopeo import skopeo
from ..reference import ImageRef
from ..units import MIB, format_size
from ..workspace import neutral
from .publication import Call, DiskFile, Means, Published

ARTIFACT: Final = "application/vnd.diskgen.disk.v1"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_EMPTY: Final = "application/vnd.oci.empty.v1+json"
_TITLE: Final = "org.opencontainers.image.title"
_MEMBERS: Final = 16  # of an archive that are looked at
_LAYOUT: Final = "oci-layout"
# The policy of this machine says what is taken from elsewhere, and this file is not from there.
_OURS: Final = ("--insecure-policy",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A name in a registry, and how that is reached."""

    target: ImageRef
    access: AccessOptions
    force: bool = False  # the name may be taken

    @property
    def name(self) -> str:
        return "registry"

    def check(self, emit: Emit) -> None:
        """Ask whether the registry lets us in, and whether the name is free."""
        with step(emit, "check", f"Asking for '{self.target.short}'"):
            try:
                skopeo("inspect", ["--raw", str(self.target)], self.access, what=self.target.short)
            except NotFound:
                return
            except Unreachable as error:
                raise PublishError(error.message, hint=error.hint, setting=error.setting) from error
        if not self.force:
            raise PreflightError(
                [
                    Problem(
                        code="name",
                        message=f"'{self.target.short}' exists",
                        hint="--force replaces it; or choose another tag",
                        setting="force",
                    )
                ]
            )

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return the two requests: what is sent first is the file."""
        kind = _kind(disk)
        return [
            Call(
                name="blob",
                where=self.target.short,
                says={"file": str(disk.path), "type": kind, "size": disk.path.stat().st_size},
            ),
            Call(name="manifest", where=self.target.short, says={"type": _MANIFEST}),
        ]

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Send it. A blob that the registry has is not sent again."""
        kind = _kind(disk)
        with scratch.directory() as place:
            said = place / "digest"
            if kind == "image":
                with neutral(disk.path) as path:
                    self._send(f"oci-archive:{path}", said, means)
            else:
                layout = place / "layout"
                _artifact(layout, disk, kind, means.emit)
                self._send(f"oci:{layout}:", said, means)
            digest = said.read_text().strip()
        return Published(
            place=self.name,
            id=self.target.at(digest).short,
            facts={"reference": self.target.short, "digest": digest, "type": kind},
        )

    def _send(self, source: str, said: Path, means: Means) -> None:
        with step(means.emit, "upload", f"Sending to '{self.target.short}'"):
            words = (
                "--quiet", "--preserve-digests", "--digestfile", said, source, str(self.target),
            )  # fmt: skip
            try:
                skopeo(
                    "copy", words, self.access, what=self.target.short, to=True,
                    options=_OURS,
                )  # fmt: skip
            except DiskgenError as error:
                raise PublishError(
                    f"'{self.target.short}' was not written: {error.message}",
                    hint=error.hint,
                    setting=error.setting,
                ) from error


def _kind(disk: DiskFile) -> str:
    """Return what is sent: ``image``, or the media type of an artifact's blob."""
    if disk.format == "ova" and _holds_image(disk.path):
        return "image"
    return f"{ARTIFACT}.{disk.format}"


def _holds_image(path: Path) -> bool:
    """Say whether a tar archive is an OCI layout. Raises UsageError for a damaged one."""
    try:
        with tarfile.open(path, "r:") as archive:
            for _number, member in zip(range(_MEMBERS), archive, strict=False):
                if member.name == _LAYOUT:
                    return True
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"'{path}' is no whole archive: {error}") from error
    return False


def _artifact(layout: Path, disk: DiskFile, kind: str, emit: Emit) -> None:
    """Make an OCI layout whose one blob is the file, where it lies."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    size = disk.path.stat().st_size
    with step(emit, "digest", "Summing the file", unit="bytes", total=size) as phase:
        digest = _digest(disk.path, phase.advance)
        phase.detail = format_size(size)
    (blobs / digest).symlink_to(disk.path.absolute())
    blob = {
        "mediaType": kind,
        "digest": f"sha256:{digest}",
        "size": size,
        "annotations": {_TITLE: disk.path.name},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": ARTIFACT,
        "config": _written(blobs, _EMPTY, b"{}"),
        "layers": [blob],
    }
    entry = _written(blobs, _MANIFEST, json.dumps(manifest, sort_keys=True).encode())
    index = {"schemaVersion": 2, "manifests": [entry]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / _LAYOUT).write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _written(blobs: Path, kind: str, data: bytes) -> dict[str, str | int]:
    """Write a blob and return its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _digest(path: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(MIB):
            digest.update(data)
            advance(len(data))
    return digest.hexdigest()
