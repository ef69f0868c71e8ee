"""What is published, what a place says to it, and the protocol of a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from ..events import Emit
from .pace import Pace
from .retry import Patience

VERSION: Final = 1  # of the result's JSON
WORKERS: Final = 16  # connections at once

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFile:
    """A finished file, and what is known of the disk in it; sizes in bytes.

    ``format`` is a name of ``place.PLACES``, or of ``formats.reading`` where nothing else tells.
    ``firmware`` names what can start it, as plans do: ``uefi``, ``bios``.
    """

    path: Path
    format: str
    size: int  # of the disk, not of the file
    arch: str | None = None
    sector_size: int | None = None
    firmware: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that will be made, as --dry-run shows it. It holds no secret.

    ``says`` are its parameters; what is known only when it is made stands in angle brackets.
    """

    name: str  # such as 'ec2 RegisterImage'
    where: str  # whom it goes to
    says: Mapping[str, Json]
    times: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"name": self.name, "where": self.where, "times": self.times, "says": self.says}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a place made of a file: ``id`` is how one calls it there."""

    place: str
    id: str
    facts: Mapping[str, Json]

    def to_json(self, file: Path) -> dict[str, Any]:
        """Return it as JSON values. The keys are a contract, ``version`` counts its changes."""
        return {
            "version": VERSION,
            "place": self.place,
            "id": self.id,
            "file": str(file),
            **self.facts,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How things are sent, whatever the place."""

    emit: Emit
    workers: int = WORKERS
    pace: Pace = field(default_factory=Pace)
    patience: Patience = field(default_factory=Patience)


@runtime_checkable
class Destination(Protocol):
    """A place with what its user asked of it."""

    @property
    def name(self) -> str:
        """The place, as it is typed."""
        ...

    def check(self, emit: Emit) -> None:
        """Ask the place whether this can work: access, names, rights. Nothing is changed there.

        A build has not begun when this is called. Raises PreflightError with all reasons why not,
        PublishError where the place cannot be asked.
        """

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return the requests that publishing makes, in order. Raises DiskgenError."""
        ...

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Publish a file.

        Raises PublishError, and has removed then what costs money, or says what is left.
        """
        ...
