"""The commands that look after this machine: doctor, cache, completion."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from .. import doctor
from ..arch import machine as machine_row
from ..errors import HostError, UsageError
from ..image.store import Store
from ..terminal import page
from ..units import format_size
from .option import Option
from .parser import build_parser
from .printing import print_json, print_text


def examine(args: argparse.Namespace) -> int:
    """Print the doctor's report; the status says whether builds work."""
    findings = doctor.examine(machine_row(args.arch))
    if args.json:
        print_json(doctor.to_json(findings))
    else:
        print_text(doctor.to_text(findings))
    return HostError.exit_status if any(f.needed and not f.found for f in findings) else 0


def cache(args: argparse.Namespace) -> int:
    """List or clean the cache."""
    store = Store(args.cache_dir)
    if args.action == "prune":
        freed = store.prune(older_than_days=0 if args.all else args.older_than)
        print_text(f"freed {format_size(freed)}")
        return 0
    rows = store.usage()
    if args.json:
        print_json(
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
    print_text(page(lines))
    return 0


def completion(args: argparse.Namespace) -> int:
    """Print a completion script; what is a file or a directory is completed as one."""
    import shtab

    def complete(option: Option, action: argparse.Action) -> None:
        if option.kind is Path:
            is_directory = option.metavar == "DIR"
            vars(action)["complete"] = shtab.DIRECTORY if is_directory else shtab.FILE

    print_text(shtab.complete(build_parser(each=complete), shell=args.shell))
    return 0


def other_line(_args: argparse.Namespace) -> int:
    """Refuse what is bootc-image-builder's where words of ours stand before it."""
    raise UsageError("'bib' is the first word", hint="write diskgen bib, then its own words")
