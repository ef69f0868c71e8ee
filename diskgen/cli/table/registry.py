"""Options of what is sent to a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .. import values
from ..option import Option, Takes

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
    Option(
        name="authfile",
        commands=COMMANDS,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="credentials, as 'podman login' writes them",
        manual="Credentials as `podman-login`(1) writes them.",
    ),
    Option(
        name="tls-verify",
        commands=COMMANDS,
        group=_GROUP,
        kind=values.boolean,
        metavar="BOOL",
        help="false: accept plain HTTP and unknown certificates",
        manual="`false` accepts plain HTTP and unknown certificates.",
    ),
    Option(
        name="cert-dir",
        commands=COMMANDS,
        group=_GROUP,
        kind=Path,
        metavar="DIR",
        help="directory with *.crt, *.cert, *.key files",
        manual="Directory with `*.crt`, `*.cert` and `*.key` files.",
    ),
)
