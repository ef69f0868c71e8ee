"""The command that prints what a build would do."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .. import build, plan
from ..errors import UsageError
from ..secrecy import secrets
from ..ui import renderer
from .printing import print_json, print_text
from .request import iso_request_of, request_of


def show_plan(args: argparse.Namespace) -> int:
    """Print the plan of a build."""
    if args.planned == "iso":
        return _show_medium(args)
    request = request_of(args)
    with renderer(args.progress) as emit:
        made = build.plan_only(request, emit)
    if args.json:
        print_json(plan.to_json(made), indent=2)
    else:
        print_text(plan.to_text(made))
    return 0


def _show_medium(args: argparse.Namespace) -> int:
    from .. import build_iso
    from ..iso.assembly import plan as iso_plan

    request = iso_request_of(args)
    with renderer(args.progress) as emit:
        made = build_iso.plan_only(request, emit)
    if args.write_kickstart is not None:
        _write_kickstart(args.write_kickstart, made.for_server, secret=bool(secrets(request)))
    if args.json:
        print_json(iso_plan.to_json(made), indent=2)
    else:
        print_text(iso_plan.to_text(made))
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
