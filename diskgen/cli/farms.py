"""A farm that the arguments name, and builds that it makes in this machine's place."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..arch import machine as machine_row
from ..errors import FarmError, Interrupted, UsageError
from ..events import Emit, notice, step, warn
from ..terminal import visible
from ..ui import renderer
from ..workspace import Workspace, writing
from .printing import print_json, print_path, print_text
from .request import request_of

if TYPE_CHECKING:  # what is only imported where a farm is named
    from ..composer.asking import Wanted
    from ..composer.client import Client
    from ..composer.values import ComposeStatus, UploadTarget
    from ..config import Request

VERSION: Final = 1  # of the JSON; counts the changes that break a reader
ENVIRONMENT: Final = "DISKGEN_FARM"
_TOLD: Final = 20  # composes whose changes are told one by one
_FOR_FARMS: Final = ("farm_target", "farm_login", "farm_cert", "farm_key", "farm_ca", "no_wait",
                     "dry_run")  # fmt: skip


def is_asked(args: argparse.Namespace) -> bool:
    """Say whether a farm is to build. Raises UsageError for options of farms without one."""
    if args.farm is not None:
        return True
    arches = {machine_row(name).name for name in getattr(args, "arches", ())}
    wrong = [name for name in _FOR_FARMS if getattr(args, name)]
    if wrong:
        raise UsageError(
            f"'--{wrong[0].replace('_', '-')}' is for a farm", hint="name one", setting="farm"
        )
    if len(arches) > 1:
        raise UsageError(
            "several architectures at once are for a farm",
            hint="name one by --farm, or make a disk at a time",
            setting="arch",
        )
    return False


def client_of(args: argparse.Namespace, emit: Emit) -> Client:
    """Return a client of the farm that is named. Raises UsageError."""
    from ..composer import login
    from ..composer.address import parse_address
    from ..composer.client import Client
    from ..composer.wire import Farm

    url = args.farm or os.environ.get(ENVIRONMENT)
    if not url:
        raise UsageError(
            "no farm is named", hint=f"name one by --farm, or in ${ENVIRONMENT}", setting="farm"
        )
    if args.farm_key is not None and args.farm_cert is None:
        raise UsageError("a key without its certificate is given", setting="farm-cert")
    farm = Farm(
        address=parse_address(url),
        certificate=args.farm_cert,
        key=args.farm_key,
        authority=args.farm_ca,
        login=None if args.farm_login is None else login.load(args.farm_login),
    )
    return Client(farm, emit=emit)


def build(args: argparse.Namespace) -> int:
    """Have a farm make what is asked for; print where it is. Raises FarmError."""
    from ..composer import capability
    from ..composer.asking import asked, shown
    from ..composer.values import UploadTarget

    requests = _requests(args)
    targets = [_target(text) for text in args.farm_target] or [UploadTarget("local")]
    warnings = [text for request in requests for text in capability.check(request)]
    wanted = asked(requests, targets, dry=args.dry_run)
    with renderer(args.progress) as emit:
        warn(emit, dict.fromkeys(warnings))
        if not args.dry_run:
            return _carried_out(args, wanted, emit)
    for each in wanted:
        print_json(shown(each.request), indent=2)
    return 0


def _requests(args: argparse.Namespace) -> list[Request]:
    """Return the request of each architecture."""
    first = request_of(args)
    rows = {row.name: row for row in map(machine_row, getattr(args, "arches", ()))}
    several = [replace(first, arch=row.name, variant=row.variant) for row in rows.values()]
    return several or [first]


def _target(text: str) -> UploadTarget:
    """Return the target that ``TYPE,KEY=VALUE`` names. Raises UsageError."""
    from ..composer.values import UPLOADS, UploadTarget

    kind, *rest = text.split(",")
    row = UPLOADS.get(kind)
    options: dict[str, Any] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise UsageError(
                f"'{part}' of '{kind}' is no option", hint="write KEY=VALUE", setting="farm-target"
            )
        options[key] = value
        if row is not None and key in row.lists:
            options[key] = [each for each in value.split("+") if each]
        elif row is not None and key in row.switches:
            if value not in ("true", "false"):
                raise UsageError(f"'{part}' is neither true nor false", setting="farm-target")
            options[key] = value == "true"
    return UploadTarget(kind, options)


def _carried_out(args: argparse.Namespace, wanted: Sequence[Wanted], emit: Emit) -> int:
    as_json: bool = getattr(args, "json", False)
    _check_outputs(wanted, force=args.force or args.no_wait)
    with client_of(args, emit) as client:
        _check_interface(client, wanted)
        ids = _started(client, wanted, emit)
        if args.no_wait:
            print_text("\n".join(ids))
            return 0
        with going_on(client, ids):
            ends = waited(client, ids, emit)
        rows: list[dict[str, Any]] = []
        for name, each in zip(ids, wanted, strict=True):
            digest = None
            if ends[name].good and each.output is not None:
                with going_on(client, [name]):
                    digest = fetched(client, name, each.output, each.format, args.force, emit)
            if not as_json:
                _print_places(ends[name], each)
            rows.append(to_json(ends[name], each, digest))
        if as_json:
            print_json(document(client, rows), indent=2)
        raise_failed(client, ends.values())
    return 0


def _check_outputs(wanted: Sequence[Wanted], *, force: bool) -> None:
    for each in wanted:
        if each.output is not None and os.path.lexists(each.output) and not force:
            raise UsageError(f"'{each.output}' exists", hint="--force replaces it", setting="force")


def _print_places(status: ComposeStatus, wanted: Wanted) -> None:
    """Print where a compose is: as the farm says it, and the file that came from it."""
    if not status.good:
        return
    for upload in status.uploads:
        if upload.type != "local" and upload.where is not None:
            print_text(visible(upload.where))
    if wanted.output is not None:
        print_path(wanted.output)


def _check_interface(client: Client, wanted: Sequence[Wanted]) -> None:
    """Refuse a farm that says itself that it does not take what is to be sent."""
    from ..composer.errors import Refused
    from ..composer.examining import bootc_keys

    try:
        keys = bootc_keys(client.openapi())
    except Refused as error:
        if error.status in (401, 403):
            raise
        return  # it does not describe itself, and will say what it does not take
    sent = {key for each in wanted if each.request.bootc for key in each.request.bootc.to_json()}
    if keys is not None and not sent <= keys:
        lacks = ", ".join(sorted(sent - keys)) if keys else "images of containers"
        raise FarmError(
            f"'{client.farm.address}' does not take this: {lacks}",
            hint="it is too old or too new: make the disk on this machine, without --farm",
            setting="farm",
        )


def _started(client: Client, wanted: Sequence[Wanted], emit: Emit) -> list[str]:
    from ..composer.starting import start

    ids: list[str] = []
    with step(emit, "send", f"send to '{client.farm.address}'", total=len(wanted)) as sending:
        for each in wanted:
            with going_on(client, ids, each.request.name):
                ids.append(start(client, each.request))
            sending.advance(1)
            notice(emit, f"compose {ids[-1]}: {each.format} for {each.arch}")
    return ids


@contextmanager
def going_on(client: Client, ids: Sequence[str], name: str | None = None) -> Generator[None]:
    """Have an interrupt say what the farm goes on with, and how to come back."""
    try:
        yield
    except Interrupted as stop:
        words = [*ids, *([name] if name is not None else [])]
        command = shlex.join(
            ["diskgen", "farm", "status", *words, "--wait", "--farm", str(client.farm.address)]
        )
        begun = "may have begun" if name is not None else "goes on with"
        stop.left = f"the farm {begun} it; come back by: {command}"
        raise


def waited(client: Client, ids: Sequence[str], emit: Emit) -> dict[str, ComposeStatus]:
    """Return the ends of composes, with every change told."""
    from ..composer.watching import watch

    ended: set[str] = set()
    with step(emit, "compose", f"composes on '{client.farm.address}'", total=len(ids)) as working:

        def told(status: ComposeStatus) -> None:
            if len(ids) <= _TOLD:
                progress = status.images[0].progress if status.images else None
                far = f" ({progress.done} of {progress.total})" if progress else ""
                notice(emit, f"compose {status.id}: {status.stage}{far}")
            if status.finished:
                ended.add(status.id)
            working.update(len(ended))

        ends = watch(client, ids, told)
        good = sum(1 for status in ends.values() if status.good)
        working.detail = f"{good} of {len(ends)} succeeded"
    return ends


def fetched(
    client: Client, name: str, output: Path, format_name: str, force: bool, emit: Emit
) -> str:
    """Fetch the file of a compose; it appears when it is whole. Return its SHA-256."""
    from ..composer.passing import download

    with writing(output.parent), Workspace(output, force=force) as place:
        partial = place.partial(output.name)
        digest = download(client, name, partial, format_name, emit)
        place.publish(partial)
    return digest


def document(client: Client, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what is known of composes for programs; the keys are a contract."""
    return {"version": VERSION, "farm": str(client.farm.address), "composes": [*rows]}


def to_json(
    status: ComposeStatus, wanted: Wanted | None = None, digest: str | None = None
) -> dict[str, Any]:
    """Return a status for programs."""
    progress = status.images[0].progress if len(status.images) == 1 else None
    return {
        "id": status.id,
        "status": status.status,
        "stage": status.stage,
        "finished": status.finished,
        "good": status.good,
        "progress": None if progress is None else [progress.done, progress.total],
        "uploads": [
            {"type": up.type, "status": up.status, "where": up.where, "options": dict(up.options)}
            for up in status.uploads
        ],
        "reasons": [*status.reasons],
        "format": wanted.format if wanted else None,
        "arch": wanted.arch if wanted else None,
        "path": str(wanted.output) if wanted is not None and digest is not None else None,
        "sha256": digest,
    }


def raise_failed(client: Client, ends: Iterable[ComposeStatus]) -> None:
    """Raise FarmError where a compose did not become what it was to."""
    failed = [status for status in ends if not status.good]
    if not failed:
        return
    first = failed[0]
    many = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    raise FarmError(
        f"compose '{first.id}' on '{client.farm.address}' ended as '{first.status}'{many}",
        said="\n".join(first.reasons),
        hint=f"'diskgen farm logs {first.id}' has what its workers said",
    )
