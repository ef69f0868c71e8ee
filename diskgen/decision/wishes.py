"""What the user says of the machine, whatever the command, and who makes that machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..blueprint.model import Customizations
from ..config import IsoRequest, Request
from ..place import PLACES, Place
from ..reference import ImageRef

FIPS: Final = "fips=1"  # what tells the kernel, and newer systems by it
_INSTALLED: Final = PLACES["raw"]  # where machines run that an installer makes


class Route(StrEnum):
    """Who makes the machine."""

    DISKGEN = "diskgen"  # here, or as the installer on the machine: it reads the image itself
    ANACONDA = "anaconda"  # it reads a kickstart, and nothing of the image's configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user says; None and empty leave it to the image."""

    target: ImageRef  # what the machine updates from
    signature: str | None = None  # rule for the signatures of its updates
    root_filesystem: str | None = None
    stateroot: str | None = None
    partitions: bool = True  # are diskgen's to decide, not those of people or of their kickstart
    no_encryption: bool = False
    kargs: tuple[str, ...] = ()
    karg_deletes: tuple[str, ...] = ()
    console: bool = True  # add the architecture's where nobody names one
    places: tuple[Place, ...] = (_INSTALLED,)  # where it is to run
    medium: bool = False  # is what was asked for: its command has options of its own


def described_kargs(wanted: Customizations) -> tuple[str, ...]:
    """Return the kernel arguments of what a machine is given."""
    return (*wanted.kargs, *([FIPS] if wanted.fips else ()))


def wishes(request: Request | IsoRequest, route: Route) -> Wishes:
    """Return what a request says of the machine."""
    wanted = request.customizations
    described = described_kargs(wanted)
    if isinstance(request, IsoRequest):
        asked = route is Route.ANACONDA or request.kickstart is not None
        return Wishes(
            target=request.tracked,
            signature=request.signature,
            partitions=request.unattended is not None or not asked,
            no_encryption=request.no_encryption,
            kargs=(*described, *request.install_kargs),
            medium=True,
        )
    return Wishes(
        target=request.tracked,
        signature=request.signature,
        root_filesystem=request.root_filesystem,
        stateroot=request.stateroot,
        no_encryption=request.no_encryption,
        kargs=(*described, *request.kargs),
        karg_deletes=request.karg_deletes,
        console=request.console,
        places=request.places,
    )
