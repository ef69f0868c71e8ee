"""Options of what is sent to a registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..option import Option, Takes
from . import access

COMMANDS: Final = frozenset({"publish registry"})
_GROUP: Final = "publishing to a registry"

OPTIONS: Final = (
    Option(
        name="to",
        commands=COMMANDS,
        group=_GROUP,
        metavar="REF",
        help="the name it gets, such as registry.example/os-disk:1",
        manual="The name that it gets, such as `registry.example/os-disk:1`.",
    ),
    Option(
        name="force",
        commands=COMMANDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="replace what has that name",
        manual="Replace what has that name.",
    ),
    *(
        replace(row, commands=COMMANDS, group=_GROUP)
        for row in access.OPTIONS
        if row.name in ("authfile", "tls-verify", "cert-dir")
    ),
)
