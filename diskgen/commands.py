"""What each command does with its parsed arguments; results go to standard output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from . import booting, build, cli, doctor, plan
from .arch import machine as machine_row
from .errors import HostError, SourceError, UsageError
from .image.store import Store
from .place import PLACES
from .reference import parse
from .secrecy import secrets
from .terminal import page, put, visible
from .ui import renderer
from .units import format_size

_FILE_SUFFIXES: Final = ("iso", "img", *(place.suffix for place in PLACES.values()))


def make(args: argparse.Namespace) -> int:
    """Build a disk and print its path."""
    request = cli.request_of(args)
    with renderer(args.progress) as emit:
        artifact = build.build(request, emit)
    _print_path(artifact.path)
    return 0


def make_iso(args: argparse.Namespace) -> int:
    """Make an installer medium and print its path."""
    from . import build_iso

    request = cli.iso_request_of(args)
    with renderer(args.progress) as emit:
        artifact = build_iso.build_iso(request, emit)
    _print_path(artifact.path)
    return 0


def show_plan(args: argparse.Namespace) -> int:
    """Print the plan of a build."""
    if args.format == "iso":
        return _show_medium(args)
    request = cli.request_of(args)
    with renderer(args.progress) as emit:
        made = build.plan_only(request, emit)
    if args.json:
        _print_json(plan.to_json(made), indent=2)
    else:
        _print(plan.to_text(made))
    return 0


def _show_medium(args: argparse.Namespace) -> int:
    from . import build_iso
    from .iso.assembly import plan as iso_plan

    request = cli.iso_request_of(args)
    with renderer(args.progress) as emit:
        made = build_iso.plan_only(request, emit)
    if args.write_kickstart is not None:
        _write_kickstart(args.write_kickstart, made.for_server, secret=bool(secrets(request)))
    if args.json:
        _print_json(iso_plan.to_json(made), indent=2)
    else:
        _print(iso_plan.to_text(made))
    return 0


def _write_kickstart(path: Path, text: str | None, *, secret: bool) -> None:
    """Write a kickstart for a server into a new file. Raises UsageError."""
    setting = "write-kickstart"
    if text is None:
        raise UsageError(
            "this medium has no kickstart that installs without a question",
            hint="give one by --kickstart, or name the disk by --unattended",
            setting=setting,
        )
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be written: {error.strerror}", hint="name another", setting=setting
        ) from error


def inspect(args: argparse.Namespace) -> int:
    """Print what an image or a disk file holds."""
    from .inspection import image, of_file, text

    path = Path(args.reference)
    facts: dict[str, Any]
    with renderer(args.progress) as emit:
        if path.is_file() or path.is_block_device():
            facts = of_file(path)
        else:
            _refuse_missing(path, args.reference)
            facts = image.of_image(
                parse(args.reference), machine_row(args.arch), cli.access_of(args), emit
            )
    if args.json:
        _print_json(facts, indent=2)
    else:
        _print(text.to_text(facts))
    return 0


def _refuse_missing(path: Path, reference: str) -> None:
    """Refuse what can only be meant as a file. Raises UsageError, SourceError."""
    suffixes = tuple(f".{suffix}" for suffix in _FILE_SUFFIXES)
    meant = reference.startswith(("/", "./", "../", "~")) or reference.endswith(suffixes)
    if path.is_dir():
        raise UsageError(
            f"'{reference}' is a directory",
            hint=f"an image in it is called oci:{reference} or dir:{reference}",
        )
    if meant and path.exists():
        raise SourceError(f"'{reference}' is neither a file nor a disk")
    bare = not set(":/@") & set(reference)
    if meant or bare:
        raise SourceError(
            f"there is no file '{reference}'",
            hint="name a disk or a medium, or an image with its registry (quay.io/project/os:1) "
            "or its transport (oci:DIRECTORY)",
        )


def examine(args: argparse.Namespace) -> int:
    """Print the doctor's report; the status says whether builds work."""
    findings = doctor.examine(machine_row(args.arch))
    if args.json:
        _print_json(doctor.to_json(findings))
    else:
        _print(doctor.to_text(findings))
    return HostError.exit_status if any(f.needed and not f.found for f in findings) else 0


def cache(args: argparse.Namespace) -> int:
    """List or clean the cache."""
    store = Store(args.cache_dir)
    if args.action == "prune":
        freed = store.prune(older_than_days=0 if args.all else args.older_than)
        _print(f"freed {format_size(freed)}")
        return 0
    rows = store.usage()
    if args.json:
        _print_json(
            {
                "version": 1,
                "entries": [
                    {
                        "kind": row.kind, "digest": row.digest, "size": row.size,
                        "last_used": row.last_used, "images": list(row.images),
                    }
                    for row in rows
                ],
            }
        )  # fmt: skip
        return 0
    lines = [f"{'size':>10}  {'last used':<10}  {'kind':<7}  {'digest':<19}  images"]
    for row in sorted(rows, key=lambda r: -r.size):
        day = datetime.fromtimestamp(row.last_used, UTC).date().isoformat()
        lines.append(
            f"{format_size(row.size):>10}  {day:<10}  {row.kind:<7}  {row.digest[:19]:<19}  "
            + ", ".join(row.images)
        )
    lines.append(f"{format_size(sum(row.size for row in rows)):>10}  in '{args.cache_dir}'")
    _print(page(lines))
    return 0


def completion(args: argparse.Namespace) -> int:
    """Print a completion script."""
    import shtab

    _print(shtab.complete(cli.build_parser(), shell=args.shell))
    return 0


HANDLERS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = MappingProxyType(
    {
        **dict.fromkeys(PLACES, make),
        "iso": make_iso,
        "plan": show_plan,
        "inspect": inspect,
        "doctor": examine,
        "boot": booting.boot,
        "cache": cache,
        "completion": completion,
    }
)


def _print(text: str) -> None:
    """Print lines for people."""
    with _reader_may_leave():
        put(sys.stdout, text if text.endswith("\n") else text + "\n")


def _print_json(value: Any, *, indent: int | None = None) -> None:  # noqa: ANN401
    """Print a result for programs: exact, in ASCII."""
    with _reader_may_leave():
        sys.stdout.write(json.dumps(value, indent=indent) + "\n")
        sys.stdout.flush()


def _print_path(path: Path) -> None:
    """Print where an output is: for people on a terminal, exact for whoever else reads it."""
    if sys.stdout.isatty():
        _print(visible(str(path)))
        return
    with _reader_may_leave():
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.flush()


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader had enough (`diskgen plan ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
