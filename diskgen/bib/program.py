"""The commands of bootc-image-builder: build, manifest, version, help."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import __version__, build, plan
from ..build import Artifact
from ..cli.printing import print_json, print_text
from ..cli.publishing import built
from ..cli.values import default_cache
from ..config import IsoRequest, Request
from ..errors import HostError
from ..events import Emit, notice
from ..publish.publication import Destination, Means
from ..ui import renderer
from ..workspace import writing
from .arguments import Arguments, usage
from .flags import BUILD, HELP, VERSION
from .request import Job, cannot_own, job_of, progress_of
from .types import OTHER_NAME


def run(arguments: Arguments) -> int:
    """Carry out a command and return the exit status. Raises DiskgenError."""
    if arguments.command == HELP:
        print_text(usage())
        return 0
    if arguments.command == VERSION:
        print_text(_version())
        return 0
    with renderer(progress_of(arguments).progress) as emit:
        job = job_of(arguments, default_cache(), emit)
        said = _build(job, emit) if arguments.command == BUILD else None
        made = _plan(job.request, emit) if said is None else {}
    if said is None:
        print_json(made, indent=2)
    elif said:
        print_text(said)
    return 0


def _version() -> str:
    """Return the version as bootc-image-builder prints it, line by line, and ours below that."""
    return (
        f"build_revision: {__version__}\nbuild_time: unknown\nbuild_tainted: false\n"
        f"diskgen: {__version__}\n"
    )


def _plan(request: Request | IsoRequest, emit: Emit) -> dict[str, Any]:
    if isinstance(request, Request):
        return plan.to_json(build.plan_only(request, emit))
    from .. import build_iso
    from ..iso.assembly import plan as iso_plan

    return iso_plan.to_json(build_iso.plan_only(request, emit))


def _build(job: Job, emit: Emit) -> str:
    """Make what a job asks for, its manifest beside it; return what standard output gets."""
    with _directories(job):
        if job.owner is not None and (fault := cannot_own(job.output, job.owner)):
            raise fault
        if job.destination is not None:
            job.destination.check(emit)
        notice(emit, f"Generating manifest {job.manifest.name}")
        notice(emit, f"Building {job.manifest.name}")
        made, artifacts = _make(job.request, emit)
        with writing(job.output):
            _replace(job.manifest, json.dumps(made, indent=2) + "\n")
    if job.owner is not None:
        _give(job, job.owner)
    said = _publish(job.destination, artifacts, emit) if job.destination is not None else ""
    notice(emit, "Build complete!")
    notice(emit, f"Results saved in {job.output}")
    return said


def _publish(destination: Destination, artifacts: Sequence[Artifact], emit: Emit) -> str:
    """Make an AMI of the disk for EC2; return the lines that scripts look for."""
    disk = next(one for one in artifacts if one.format == "ami")
    published = destination.publish(built(disk), Means(emit=emit))
    return f"AMI registered: {published.id}\nSnapshot ID: {published.facts['snapshot']}"


def _make(request: Request | IsoRequest, emit: Emit) -> tuple[dict[str, Any], Sequence[Artifact]]:
    """Build, and return the plan of it as JSON values, and the disks that were made."""
    if isinstance(request, Request):
        artifacts = build.build_all(request, emit)
        return plan.to_json(artifacts[0].plan), artifacts
    from .. import build_iso
    from ..iso.assembly import plan as iso_plan

    artifact = build_iso.build_iso(request, emit)
    other = artifact.path.with_name(OTHER_NAME.name)
    with writing(artifact.path.parent):
        other.unlink(missing_ok=True)
        try:
            os.link(artifact.path, other)
        except OSError:  # a filesystem without hard links
            other.symlink_to(artifact.path.name)
    return iso_plan.to_json(artifact.plan), ()


def _paths(request: Request | IsoRequest) -> list[Path]:
    if isinstance(request, Request):
        return [output.path for output in request.outputs if output.path is not None]
    assert request.output is not None
    return [request.output]


@contextmanager
def _directories(job: Job) -> Generator[None]:
    """Have the directories of all outputs; those that were made go again where the block fails."""
    made: list[Path] = []
    try:
        for directory in (job.output, *(path.parent for path in _paths(job.request))):
            missing = [path for path in (directory, *directory.parents) if not path.exists()]
            for path in reversed(missing):
                try:
                    path.mkdir()
                except OSError as error:
                    raise HostError(
                        f"the directory '{path}' cannot be made: {error.strerror}",
                        hint="choose another one",
                        setting="output",
                    ) from error
                made.append(path)
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        raise


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _give(job: Job, owner: tuple[int, int]) -> None:
    """Give all that was made to its owner."""
    paths = _paths(job.request)
    media = [path.with_name(OTHER_NAME.name) for path in paths if path.name == "install.iso"]
    for path in {job.output, job.manifest, *(p.parent for p in paths), *paths, *media}:
        os.chown(path, *owner, follow_symlinks=False)
