"""What is asked of a farm and what it says, as values; words of newer servers are kept as they are.

Names and rules: the schemas of osbuild-composer's Cloud API v2 (``GET /openapi``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ..documents import is_table
from ..errors import UsageError

SUCCESS: Final = "success"
FAILURE: Final = "failure"
PENDING: Final = "pending"
STATES: Final = (PENDING, "building", "uploading", "registering", SUCCESS, FAILURE)  # of an image
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_DEEPEST: Final = 8  # errors in each other that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A kind of place that a farm uploads to; ``lists`` are the options that have several values.

    ``result`` is the key of its status that says where the image is.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    result: str = "url"


UPLOADS: Final[Mapping[str, Upload]] = MappingProxyType(
    {
        "local": Upload(result="artifact_path"),
        "aws": Upload(
            required=("region", "share_with_accounts"),
            optional=("snapshot_name",),
            lists=("share_with_accounts",),
            result="ami",
        ),
        "aws.s3": Upload(required=("region",), optional=("public",), switches=("public",)),
        "gcp": Upload(
            required=("region",),
            optional=("bucket", "image_name", "share_with_accounts"),
            lists=("share_with_accounts",),
            result="image_name",
        ),
        "azure": Upload(
            required=("tenant_id", "subscription_id", "resource_group"),
            optional=("location", "image_name", "hyper_v_generation"),
            result="image_name",
        ),
        "container": Upload(optional=("name", "tag")),
        "oci.objectstorage": Upload(),
    }
)


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """Where to upload an image. Raises UsageError for options that its kind has not."""

    type: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        row = UPLOADS.get(self.type)
        if row is None:
            raise _target(f"'{self.type}' is no place that a farm uploads to", ", ".join(UPLOADS))
        known = (*row.required, *row.optional)
        for name in self.options:
            if name not in known:
                raise _target(f"'{self.type}' has no option '{name}'", ", ".join(known) or "none")
        for name in row.required:
            if name not in self.options and name not in row.lists:
                raise _target(f"'{self.type}' needs '{name}'", ", ".join(known))

    def to_json(self) -> dict[str, Any]:
        """Return it as the interface has it; lists that have to be there are, if empty."""
        row = UPLOADS[self.type]
        empty: dict[str, Any] = {name: [] for name in row.lists if name in row.required}
        return {"type": self.type, "upload_options": {**empty, **self.options}}


def _target(message: str, known: str) -> UsageError:
    return UsageError(message, hint=f"known are: {known}", setting="farm-target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootc:
    """The containers that an image is made of; all but the first are of newer servers."""

    reference: str
    build_reference: str | None = None
    iso_payload_reference: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the interface has it."""
        return _present(
            reference=self.reference,
            build_reference=self.build_reference,
            iso_payload_reference=self.iso_payload_reference,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """One image: ``size`` in bytes, None: the type's."""

    architecture: str
    image_type: str
    size: int | None = None
    repositories: tuple[Mapping[str, Any], ...] = ()
    targets: tuple[UploadTarget, ...] = ()
    ostree: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the interface has it."""
        targets = [target.to_json() for target in self.targets]
        return {
            "architecture": self.architecture,
            "image_type": self.image_type,
            "repositories": [dict(row) for row in self.repositories],
            **_present(size=self.size, ostree=self.ostree, upload_targets=targets or None),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeRequest:
    """What to make: of a ``bootc`` container or of the packages of a ``distribution``.

    ``blueprint`` is a blueprint's document; its name is how the compose is found again.
    Raises UsageError for what no server takes.
    """

    image: ImageRequest
    bootc: Bootc | None = None
    distribution: str | None = None
    blueprint: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    customizations: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __post_init__(self) -> None:
        if (self.bootc is None) == (self.distribution is None):
            raise UsageError("a compose is either of a bootc container or of a distribution")
        if self.blueprint and self.customizations:
            raise UsageError("a compose has a blueprint or customizations, and not both")
        if self.blueprint and not self.blueprint.get("name"):
            raise UsageError("a blueprint has no name")
        iso = self.bootc is not None and self.bootc.iso_payload_reference is not None
        if iso and self.image.image_type != "bootable-container-iso":
            raise UsageError(f"an image of type '{self.image.image_type}' has no payload")

    @property
    def name(self) -> str | None:
        """The name of its blueprint."""
        return self.blueprint.get("name")

    def to_json(self) -> dict[str, Any]:
        """Return it as the interface has it."""
        return _present(
            distribution=self.distribution,
            bootc=None if self.bootc is None else self.bootc.to_json(),
            blueprint=dict(self.blueprint) or None,
            customizations=dict(self.customizations) or None,
            image_request=self.image.to_json(),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far something is; ``inner`` is of the step that is under way."""

    done: int
    total: int
    inner: Progress | None = None


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """What became of an upload; ``options`` say where it is, by the keys of its type."""

    type: str
    status: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def where(self) -> str | None:
        """Where the image is, in one word; None while nobody knows."""
        row = UPLOADS.get(self.type)
        found = self.options.get(row.result) if row else next(iter(self.options.values()), None)
        return found if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class ComposeError:
    """Why a compose failed, in the words of its job; ``causes`` are of the jobs before it."""

    id: int
    reason: str
    details: str = ""
    causes: tuple[ComposeError, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield it as lines, what was first last."""
        yield f"{'  ' * depth}{self.reason}" + (f": {self.details}" if self.details else "")
        if depth < _DEEPEST:
            for cause in self.causes:
                yield from cause.lines(depth + 1)


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """How far an image is; ``status`` is one of STATES, or a newer server's word."""

    status: str
    progress: Progress | None = None
    uploads: tuple[UploadStatus, ...] = ()
    error: ComposeError | None = None


@dataclass(frozen=True, slots=True)
class ComposeStatus:
    """How far a compose is."""

    id: str
    status: str
    images: tuple[ImageStatus, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen; a word nobody knows says nothing."""
        if self.status in (SUCCESS, FAILURE):
            return True
        known = self.status == PENDING or not self.images
        return not known and all(image.status in (SUCCESS, FAILURE) for image in self.images)

    @property
    def good(self) -> bool:
        """Whether it finished as it was to."""
        failed = any(image.status == FAILURE for image in self.images)
        return self.finished and self.status != FAILURE and not failed

    @property
    def stage(self) -> str:
        """How far it is in one word: the image's where it says more."""
        if self.finished or len(self.images) != 1:
            return self.status
        return self.images[0].status

    @property
    def uploads(self) -> tuple[UploadStatus, ...]:
        """All uploads of all images."""
        return tuple(upload for image in self.images for upload in image.uploads)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it failed, as lines."""
        return tuple(line for image in self.images if image.error for line in image.error.lines())


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a farm keeps of a compose; ``request`` is as it was sent, {} where it is not told."""

    id: str
    packages: int = 0
    ostree_commit: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str | None:
        """The name of the blueprint that was sent."""
        blueprint = self.request.get("blueprint")
        name = blueprint.get("name") if is_table(blueprint) else None
        return name if isinstance(name, str) else None


def is_id(text: str) -> bool:
    """Say whether a text is the id of a compose: a UUID."""
    return _ID.fullmatch(text.lower()) is not None


def _present(**values: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in values.items() if value is not None}
