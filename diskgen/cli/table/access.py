"""Options about reaching registries, and keeping what came from them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .. import values
from ..command import READERS
from ..option import Option

_GROUP: Final = "registry access"

CACHE_DIR: Final = Option(
    name="cache-dir",
    commands=READERS,
    group=_GROUP,
    kind=Path,
    metavar="DIR",
    default=values.default_cache,
    help="where layers and packed installers are kept",
    manual="Where fetched layers and packed installers are kept. Default: $DISKGEN_CACHE, else "
    "$XDG_CACHE_HOME/diskgen, else ~/.cache/diskgen. Nobody but you and root may be able to write "
    "to it or to a directory above it (sticky ones such as /tmp excepted): it is refused "
    "otherwise. What is read out of it is compared with its sums; a damaged entry is dropped with "
    "a warning and read again.",
)

OPTIONS: Final = (
    Option(
        name="authfile",
        commands=READERS,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="credentials, as 'podman login' writes them",
        manual="Credentials as `podman-login`(1) writes them.",
    ),
    Option(
        name="tls-verify",
        commands=READERS,
        group=_GROUP,
        kind=values.boolean,
        metavar="BOOL",
        help="false: accept plain HTTP and unknown certificates",
        manual="`false` accepts plain HTTP and unknown certificates.",
    ),
    Option(
        name="cert-dir",
        commands=READERS,
        group=_GROUP,
        kind=Path,
        metavar="DIR",
        help="directory with *.crt, *.cert, *.key files",
        manual="Directory with `*.crt`, `*.cert` and `*.key` files.",
    ),
    Option(
        name="signature-policy",
        commands=READERS,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="containers-policy.json(5) to obey instead of the system's",
        manual="`containers-policy.json`(5) to obey instead of the system's.",
    ),
    Option(
        name="registries-conf",
        commands=READERS,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="containers-registries.conf(5) with mirrors, instead of the system's",
        manual="`containers-registries.conf`(5) with mirrors, instead of the system's.",
    ),
    Option(
        name="registries-d",
        commands=READERS,
        group=_GROUP,
        kind=Path,
        metavar="DIR",
        help="containers-registries.d(5), which says where signatures are, instead of the system's",
        manual="`containers-registries.d`(5), which says where signatures are, instead of the "
        "system's.",
    ),
    CACHE_DIR,
)
