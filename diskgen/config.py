"""What the user asks for: one frozen request, checked for contradictions, nothing looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from .arch import MACHINES, Machine
from .blueprint.checks import OSTREE, chooses_deployment, faults
from .blueprint.model import Customizations
from .errors import UsageError
from .link import check_devices
from .place import PLACES, Place
from .reference import ImageRef, check_signature
from .units import format_size

COMPRESSIONS: Final = ("zstd", "zlib", "none")
SUBFORMATS: Final = ("stream", "sparse")  # of a vmdk
BOUND_IMAGES: Final = ("skip",)  # what can be done about images that are bound to an image
SECTOR_SIZES: Final = (512, 4096)
STATEROOT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
ROOT_FILESYSTEMS: Final = ("ext4", "xfs", "btrfs")
PAYLOADS: Final = ("embedded", "remote", "both")  # where a medium's installer gets the image
KICKSTART_VERSIONS: Final = (  # as pykickstart names them
    "F41", "F42", "F43", "F44", "F45", "RHEL9", "RHEL10",
)  # fmt: skip
INSTALLER_KARGS: Final = (  # of single entries, or of the medium
    "inst.ks", "ks", "inst.stage2", "diskgen.mode", "diskgen.id",
)  # fmt: skip
ONLY_DISK: Final = "only"  # to install on: the one that a machine has, and none of several
ONLY_IN_WORDS: Final = "the only disk"
MODES: Final = ("image", "package")  # how a medium installs, the default first


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessOptions:
    """How registries are reached, in the words of skopeo and podman."""

    authfile: Path | None = None
    tls_verify: bool | None = None
    cert_dir: Path | None = None
    policy: Path | None = None
    registries_conf: Path | None = None
    registries_d: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRequest:
    """What is asked for whatever is made of an image: which one, for which machine, and where."""

    source: ImageRef
    target: ImageRef | None = None  # what machines update from; None: the source
    signature: str | None = None  # rule for the signatures of updates; None: as the image says
    bound_images: str | None = None  # one of BOUND_IMAGES; None refuses them
    arch: str  # a name of arch.MACHINES
    variant: str = ""  # of its images: what the user asked for
    output: Path | None = None  # None: only a plan is wanted
    force: bool = False
    no_encryption: bool = False  # the image may ask for it
    customizations: Customizations = field(default_factory=Customizations)  # of the machine
    strict: bool = False  # what of them cannot be taken is an error
    seed: str | None = None  # gives other identifiers than those of the image's digest alone
    access: AccessOptions = field(default_factory=AccessOptions)
    cache: Path = Path()

    def images(self) -> dict[str, ImageRef]:
        """Return the images that are read, by the field that names each."""
        return {"source": self.source}

    def check_shared(self) -> None:
        """Check what is here. Raises UsageError."""
        if self.signature is not None:
            check_signature(self.signature)
        if self.seed is not None and (not self.seed.strip() or not self.seed.isprintable()):
            raise UsageError(
                f"'{self.seed}' is no seed", hint="give it a text on one line", setting="seed"
            )
        _check_customizations(self.customizations)

    @property
    def machine(self) -> Machine:
        """The architecture's row, with the variant that was asked for."""
        row = MACHINES[self.arch]
        return replace(row, variant=self.variant) if self.variant else row

    @property
    def tracked(self) -> ImageRef:
        """The reference the machine updates from."""
        return self.target or self.source


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a disk becomes; without a path only a plan is wanted."""

    format: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(ArtifactRequest):
    """One image to make one disk of, as a file of each of its formats."""

    format: str
    also: tuple[Output, ...] = ()  # further formats of the same disk
    disk_size: int | None = None
    sector_size: int = 512  # bytes
    installed: bool = False  # onto a disk that is there, whose sectors are what they are
    root_filesystem: str | None = None  # None: as the image says, else ext4
    stateroot: str | None = None  # None: as the image says
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])  # of partitions by role, bytes
    least_size: int | None = None  # of the disk, bytes
    identifiers: Mapping[str, UUID] = field(default_factory=dict[str, UUID])  # that are fixed
    laid_out_by: tuple[str, ...] = ()  # files of the image that say sizes and identifiers
    kargs: tuple[str, ...] = ()
    karg_deletes: tuple[str, ...] = ()
    console: bool = True  # add the architecture's consoles where the image names none
    compression: str | None = None  # of a qcow2; None: as its place has it
    subformat: str = SUBFORMATS[0]

    def __post_init__(self) -> None:
        for output in self.outputs:
            if output.format not in PLACES:
                raise UsageError(
                    f"'{output.format}' is not a format", hint="known are: " + ", ".join(PLACES)
                )
        _check_known(self.compression, COMPRESSIONS, "compression", "a compression")
        _check_known(self.subformat, SUBFORMATS, "subformat", "a subformat")
        _check_known(self.sector_size, SECTOR_SIZES, "sector-size", "a sector size")
        for place in self.places:
            self._check_place(place)
        self._check_paths()
        _check_known(self.root_filesystem, ROOT_FILESYSTEMS, "rootfs", "a root filesystem")
        self.check_shared()
        for setting, kargs in (("karg", self.kargs), ("karg-delete", self.karg_deletes)):
            for karg in kargs:
                _check_karg(karg, setting)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the disk becomes, the first format first."""
        return (Output(self.format, self.output), *self.also)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its formats go."""
        return tuple(PLACES[output.format] for output in self.outputs)

    @property
    def packing(self) -> str:
        """How a qcow2 of the first format is compressed."""
        return self.compression or PLACES[self.format].compression

    def alone(self, output: Output) -> Request:
        """Return the request of one of the formats."""
        return replace(self, format=output.format, output=output.path, also=())

    def _check_place(self, place: Place) -> None:
        if self.sector_size not in place.sector_sizes:
            raise UsageError(
                f"{place.title} has no disks with sectors of {self.sector_size} bytes",
                setting="sector-size",
            )
        if place.architectures is not None and self.arch not in place.architectures:
            raise UsageError(
                f"{place.title} has no machines of architecture '{self.arch}'",
                hint="it has: " + ", ".join(place.architectures),
                setting="arch",
            )
        if place.largest is not None and (self.disk_size or 0) > place.largest:
            raise UsageError(
                f"{place.title} takes disks of {format_size(place.largest)} at most",
                setting="disk-size",
            )

    def _check_paths(self) -> None:
        """Check that no file is asked for twice but by formats that are the same bytes."""
        seen: dict[Path, str] = {}
        for output in self.outputs:
            if output.path is None:
                continue
            other = seen.setdefault(output.path, output.format)
            if other != output.format and not (PLACES[other].plain and PLACES[output.format].plain):
                raise UsageError(
                    f"'{output.path}' cannot be a disk as '{other}' and as '{output.format}'",
                    hint="give each a name of its own",
                    setting="output",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class KickstartText:
    """A kickstart that a description holds; ``name`` is in messages, ``source`` its document."""

    name: str
    text: str = field(repr=False)
    source: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoRequest(ArtifactRequest):
    """One image to make one installer medium of.

    ``installer`` is a container image, the file of an existing medium, or None: our own installer,
    in the payload. ``packages`` is a directory or a URL.
    """

    signature_key: Path | None = None  # of the ostree remote that the rule names
    embed_authfile: bool = False  # the installer is given credentials
    installer: ImageRef | Path | None = None
    label: str | None = None
    product: str | None = None
    payload: str = PAYLOADS[0]
    modes: tuple[str, ...] = MODES
    packages: str | None = None
    package_names: tuple[str, ...] = ()
    kickstart: Path | KickstartText | None = None
    unattended: str | None = None  # the disk that unattended entries erase, or ONLY_DISK
    kickstart_version: str | None = None  # None: the installer's
    max_size: int | None = None  # bytes the medium may have
    kargs: tuple[str, ...] = ()  # of the installer
    install_kargs: tuple[str, ...] = ()  # of the installed system
    application: str | None = None  # of the medium's descriptor
    publisher: str | None = None

    def __post_init__(self) -> None:
        self._check_known()
        self.check_shared()
        for karg in self.kargs:
            if (name := karg.partition("=")[0]) in INSTALLER_KARGS:
                raise UsageError(
                    f"'{karg}' cannot be an argument of every entry: diskgen writes '{name}' where "
                    "it belongs",
                    hint="let the medium carry a kickstart (--kickstart); one for a server, which "
                    "is named at the boot menu, is written by 'diskgen plan iso "
                    "--write-kickstart FILE'",
                    setting="karg",
                )
        if not self.tracked.is_remote:
            raise UsageError(
                f"machines cannot update from '{self.tracked}'",
                hint="name what they update from in a registry",
                setting="target-imgref",
            )
        if self.payload != "embedded" and not (self.source.is_registry or self.target):
            raise UsageError(
                f"'{self.source}' is not in a registry, so it has to be on the medium",
                setting="payload",
            )
        if (self.packages or self.package_names) and "package" not in self.modes:
            raise UsageError("packages are given, but no mode that installs them", setting="mode")

    def _check_known(self) -> None:
        for value, known, setting in (
            (self.payload, PAYLOADS, "payload"),
            *((mode, MODES, "mode") for mode in self.modes),
        ):
            if value not in known:
                raise UsageError(
                    f"'{value}' is not known here",
                    hint="known are: " + ", ".join(known),
                    setting=setting,
                )

    @property
    def unattended_setting(self) -> str:
        """The option by which a disk is erased without a question."""
        described = self.customizations.installer.unattended and self.unattended == ONLY_DISK
        return "config" if described else "unattended"

    @property
    def kickstart_setting(self) -> str:
        """The option that a user's kickstart comes from."""
        return "config" if isinstance(self.kickstart, KickstartText) else "kickstart"

    def images(self) -> dict[str, ImageRef]:
        """Return the images that are read: first what installs, if it is one."""
        installer = {"installer": self.installer} if isinstance(self.installer, ImageRef) else {}
        return {**installer, "source": self.source}


def _check_known(value: object, known: tuple[object, ...], setting: str, what: str) -> None:
    if value is not None and value not in known:
        raise UsageError(
            f"'{value}' is not {what}",
            hint="known are: " + ", ".join(map(str, known)),
            setting=setting,
        )


def _check_customizations(wanted: Customizations) -> None:
    """Refuse what no machine can be given. Raises UsageError with the first of it."""
    check_devices(wanted.links)
    for fault in faults(wanted):
        raise UsageError(fault.message, hint=fault.hint, setting=fault.setting)
    for karg in wanted.kargs:
        _check_karg(karg, "config")


def _check_karg(karg: str, setting: str) -> None:
    if not karg.strip() or "\n" in karg or "\0" in karg:
        raise UsageError(f"'{karg}' is not a kernel argument", setting=setting)
    if chooses_deployment(karg):
        raise UsageError(f"'{karg}' cannot be set: {OSTREE}", setting=setting)


def default_output(source: ImageRef, format_name: str) -> Path:
    """Return the file name an image gets when none is given: ``fedora-bootc.qcow2``."""
    path = source.name
    if source.is_registry:
        stem = path.partition("@")[0].rpartition("/")[2].partition(":")[0]
    else:
        stem = Path(path.rstrip("/").rpartition("/")[2].partition(":")[0]).stem
    return Path(f"{stem or 'disk'}.{file_suffix(format_name)}")


def file_suffix(format_name: str) -> str:
    """Return what files of a format end in, without the dot; media have a name, too."""
    return PLACES[format_name].suffix if format_name in PLACES else format_name
