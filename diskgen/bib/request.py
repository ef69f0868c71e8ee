"""What a command line asks for: a request of disks or of a medium, and what is done with files."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .. import described
from ..arch import machine
from ..blueprint.model import Customizations
from ..cli.values import host_arch
from ..config import AccessOptions, IsoRequest, Output, Request
from ..errors import UsageError
from ..events import Emit, notice
from ..image import local
from ..publish.aws.destination import Aws
from ..publish.aws.wanted import Wanted
from ..publish.publication import Destination
from ..reference import ImageRef
from ..reference import parse as parse_reference
from .arguments import Arguments
from .flags import BUILD, FLAGS
from .types import TYPES, Type, manifest_of, path_of

_CONFIGS: Final = (Path("/config.toml"), Path("/config.json"))
_AWS: Final = ("aws-ami-name", "aws-bucket", "aws-region")
_PAYLOAD: Final = "installer-payload-ref"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request, and what bootc-image-builder does around it."""

    request: Request | IsoRequest
    output: Path
    manifest: Path
    owner: tuple[int, int] | None  # of what is made; -1: as it is
    destination: Destination | None = None  # of the disk for EC2


def types_of(arguments: Arguments) -> tuple[Type, ...]:
    """Return what is to be made, each type once. Raises UsageError."""
    names = [
        name.strip()
        for value in arguments.given.get("type", [arguments.text("type") or ""])
        for name in value.split(",")
    ]
    types: list[Type] = []
    for name in dict.fromkeys(names):
        made = TYPES.get(name)
        if made is None:
            known = ", ".join(row.name for row in TYPES.values() if not row.refused)
            raise UsageError(f"'{name}' is no type", hint=f"known are: {known}", setting="format")
        if made.refused:
            raise UsageError(f"type '{name}' cannot be made", hint=made.refused, setting="format")
        types.append(made)
    media = [made for made in types if made.medium]
    if media and len({made.path for made in types}) > 1:
        raise UsageError(
            f"disks and media cannot be made in one build: '{media[0].name}' is a medium",
            hint="call bootc-image-builder once for each",
            setting="format",
        )
    if any(made.payload for made in media) and len(media) > 1:
        raise UsageError("'bootc-installer' is a type of its own", setting="format")
    return tuple(types)


def _destination(arguments: Arguments, types: Sequence[Type]) -> Destination | None:
    """Return what becomes an AMI. Raises UsageError where not all is said that it takes."""
    given = {name: arguments.text(name) for name in _AWS}
    if not any(given.values()):
        return None
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise UsageError(
            f"'--{missing[0]}' is missing", hint="--" + ", --".join(_AWS) + " belong together"
        )
    if all(made.format != "ami" for made in types):
        raise UsageError("an AMI is made of type 'ami' alone", setting="format")
    name, bucket, region = given.values()
    return Aws(Wanted(name=name or "", bucket=bucket, region=region))


def job_of(arguments: Arguments, cache: Path, emit: Emit) -> Job:
    """Return what is asked for; images are looked for in local storage. Raises UsageError."""
    types = types_of(arguments)
    output = Path(arguments.text("output") or ".")
    building = arguments.command == BUILD
    row = machine(arguments.text("target-arch") or host_arch())
    access = AccessOptions(tls_verify=None if arguments.switch("tls-verify") else False)
    for flag in FLAGS:
        if flag.ignored and flag.name in arguments.given:
            notice(emit, f"'--{flag.name}' has no effect here: {flag.does.partition(': ')[2]}")
    named = _payload(arguments, types) or arguments.image
    source, target = _found(named, access, emit)
    shared: dict[str, Any] = {
        "source": source, "target": target, "arch": row.name, "variant": row.variant,
        "customizations": _described(arguments, medium=types[0].medium),
        "force": True, "seed": arguments.text("seed"), "access": access, "cache": cache,
    }  # fmt: skip
    paths = [path_of(made, output, first=made is types[0]) for made in types]
    request: Request | IsoRequest
    if types[0].medium:
        installer = _found(arguments.image, access, emit)[0] if types[0].payload else None
        for name in ("rootfs", "no-default-kernel-args"):
            if name in arguments.given:
                notice(emit, f"'--{name}' is about disks: a medium ignores it", warning=True)
        request = IsoRequest(output=paths[0] if building else None, installer=installer, **shared)
    else:
        outputs = [
            Output(made.format or "", path if building else None)
            for made, path in zip(types, paths, strict=True)
        ]
        request = Request(
            format=outputs[0].format,
            output=outputs[0].path,
            also=tuple(outputs[1:]),
            root_filesystem=arguments.text("rootfs"),
            console=not arguments.switch("no-default-kernel-args"),
            **shared,
        )
    return Job(
        request=request,
        output=output,
        manifest=manifest_of(types, output),
        owner=_owner(arguments.text("chown")),
        destination=_destination(arguments, types),
    )


def progress_of(arguments: Arguments) -> argparse.Namespace:
    """Return how much is shown, as diskgen's own options say it."""
    how = arguments.text("progress")
    loud = arguments.switch("verbose") or how == "debug"
    modes = {"auto": "auto", "term": "terminal", "verbose": "plain", "debug": "plain"}
    return argparse.Namespace(
        command="bib", verbose=loud, progress="plain" if loud else modes[how or "auto"]
    )


def _described(arguments: Arguments, *, medium: bool) -> Customizations:
    """Return what the machine is given. Raises UsageError, BlueprintError."""
    name = arguments.text("config")
    if name is None:
        there = [str(path) for path in _CONFIGS if path.exists()]
        if len(there) > 1:
            raise UsageError(
                f"'{there[0]}' and '{there[1]}' are both there",
                hint="keep one, or name it",
                setting="config",
            )
        name = there[0] if there else None
    return Customizations() if name is None else described.load(name, medium=medium)


def _payload(arguments: Arguments, types: tuple[Type, ...]) -> str | None:
    """Return the image that a medium is to install where that is another one."""
    given = arguments.text(_PAYLOAD) or arguments.text(f"bootc-{_PAYLOAD}")
    wanted = types[0].payload
    if wanted and given is None:
        raise UsageError(
            "type 'bootc-installer' takes the image that the medium installs",
            hint="the image that is named is the installer",
            setting=_PAYLOAD,
        )
    if given is not None and not wanted:
        raise UsageError(
            f"'{given}' is installed by type 'bootc-installer' alone",
            hint="other types install the image that is named",
            setting=_PAYLOAD,
        )
    return given


def _found(text: str, access: AccessOptions, emit: Emit) -> tuple[ImageRef, ImageRef | None]:
    """Return where an image is, and what machines update from where that is another name."""
    ref = parse_reference(text)
    stored = local.stored(ref, access)
    if stored is None:
        return ref, None
    notice(emit, f"'{ref.short}' is taken from the local storage: '{stored}'")
    known = parse_reference(stored.name.rpartition("]")[2])
    return stored, known if known.is_remote else None


def _owner(text: str | None) -> tuple[int, int] | None:
    """Return the ids of ``UID:GID`` or ``UID``. Raises UsageError."""
    if text is None:
        return None
    user, _colon, group = text.partition(":")
    ids = [part or "-1" for part in (user, group)]
    if not user or not all(part == "-1" or re.fullmatch("[0-9]{1,10}", part) for part in ids):
        raise UsageError(f"'{text}' is no owner", hint="write it as UID:GID", setting="chown")
    number = (int(ids[0]), int(ids[1]))
    if max(number) >= 2**32 - 1:
        raise UsageError(f"'{text}' has an id that does not exist", setting="chown")
    return number


def cannot_own(directory: Path, owner: tuple[int, int]) -> UsageError | None:
    """Return why files of a directory cannot be given to an owner; None where they can."""
    import tempfile

    with tempfile.NamedTemporaryFile(dir=directory) as probe:
        try:
            os.fchown(probe.fileno(), *owner)
        except OSError as error:
            return UsageError(
                f"'{owner[0]}:{owner[1]}' cannot own files of '{directory}': {error.strerror}",
                hint="leave it out, or run as who may give files away",
                setting="chown",
            )
    return None
