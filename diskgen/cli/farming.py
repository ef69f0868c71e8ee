"""The commands that ask a farm: what it has, how far, what was said, whether it works."""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ..config import file_suffix
from ..documents import is_table
from ..errors import FarmError, UsageError
from ..events import discard
from ..terminal import page, put
from ..ui import renderer
from . import farms
from .printing import print_json, print_path, print_text

if TYPE_CHECKING:
    from ..composer.client import Client
    from ..composer.values import ComposeStatus


def farm(args: argparse.Namespace) -> int:
    """Carry out a command about a farm."""
    return _ACTIONS[args.action](args)


def _ls(args: argparse.Namespace) -> int:
    with farms.client_of(args, discard) as client:
        return _shown(client, args, client.composes())


def _status(args: argparse.Namespace) -> int:
    with renderer(args.progress) as emit, farms.client_of(args, emit) as client:
        ids = _ids(client, args.ids)
        if args.wait:
            with farms.going_on(client, ids if len(ids) <= _NAMED else ["ID..."]):
                ends = farms.waited(client, ids, emit)
            rows = [ends[name] for name in ids]
        else:
            rows = [client.status(name) for name in ids]
        _shown(client, args, rows)
        farms.raise_failed(client, [row for row in rows if args.wait or row.finished])
    return 0


def _shown(client: Client, args: argparse.Namespace, rows: Sequence[ComposeStatus]) -> int:
    if args.json:
        print_json(farms.document(client, [farms.to_json(row) for row in rows]), indent=2)
        return 0
    lines = [f"{'compose':<36}  {'status':<11}  where or why"]
    for row in rows:
        places = [up.where for up in row.uploads if up.type != "local" and up.where]
        says = places or [reason.strip() for reason in row.reasons]
        lines.append(f"{row.id:<36}  {row.stage:<11}  {', '.join(says)}".rstrip())
    counts = {row.stage: sum(1 for each in rows if each.stage == row.stage) for row in rows}
    told = ", ".join(f"{count} {stage}" for stage, count in counts.items()) or "none"
    lines.append(f"{len(rows)} on '{client.farm.address}': {told}")
    print_text(page(lines))
    return 0


def _logs(args: argparse.Namespace) -> int:
    from ..composer.passing import logs

    with farms.client_of(args, discard) as client:
        (name,) = _ids(client, [args.id])
        if not sys.stdout.isatty():
            logs(client, name, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
            return 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        logs(client, name, lambda data: put(sys.stdout, decoder.decode(data)))
        print_text("")
    return 0


def _cancel(args: argparse.Namespace) -> int:
    with farms.client_of(args, discard) as client:
        for name in _ids(client, args.ids):
            client.delete(name)
            print_text(name)
    return 0


def _download(args: argparse.Namespace) -> int:
    from ..composer.capability import IMAGE_TYPES

    with renderer(args.progress) as emit, farms.client_of(args, emit) as client:
        (name,) = _ids(client, [args.id])
        status = client.status(name)
        if not status.finished:
            raise FarmError(
                f"compose '{name}' has not ended: it is at '{status.stage}'",
                hint=f"'diskgen farm status {name} --wait' waits for it",
            )
        farms.raise_failed(client, [status])
        if not any(upload.type == "local" for upload in status.uploads):
            places = ", ".join(filter(None, (upload.where for upload in status.uploads)))
            raise FarmError(f"compose '{name}' is not on the farm, but at '{places or 'nowhere'}'")
        formats = {kind: each for each, kind in IMAGE_TYPES.items()}
        image = client.metadata(name).request.get("image_request")
        kind = image.get("image_type") if is_table(image) else None
        format_name = formats.get(kind, "") if isinstance(kind, str) else ""
        usual = Path(f"{name}.{file_suffix(format_name) if format_name else 'img'}")
        output = args.output or usual
        if output.is_dir():
            raise UsageError(f"'{output}' is a directory", hint="name a file", setting="output")
        farms.fetched(client, name, output, format_name, args.force, emit)
    print_path(output)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from ..composer.examining import examine

    with farms.client_of(args, discard) as client:
        findings = list(examine(client))
    if args.json:
        rows = [{"what": f.what, "good": f.good, "says": f.says} for f in findings]
        made = {"version": farms.VERSION, "farm": str(client.farm.address), "findings": rows}
        print_json(made, indent=2)
    else:
        mark = {True: "ok", False: "bad", None: "-"}
        print_text(page(f"{mark[f.good]:<4} {f.what:<10} {f.says}" for f in findings))
    return FarmError.exit_status if any(f.good is False for f in findings) else 0


def _ids(client: Client, given: Sequence[str]) -> list[str]:
    """Return ids: of names that a request was sent with, those of the composes they started."""
    from ..composer.starting import PREFIX, find

    return [find(client, name) if name.startswith(PREFIX) else name.lower() for name in given]


_NAMED: Final = 100  # composes that a command line for coming back may name
_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = MappingProxyType(
    {"ls": _ls, "status": _status, "logs": _logs, "cancel": _cancel, "download": _download,
     "doctor": _doctor}
)  # fmt: skip
