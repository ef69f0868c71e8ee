"""Who may read what is written: everything is its owner's alone until it is published.

An output gets the mode that the caller's umask gives, unless it carries what not everybody could
read before: password hashes, credentials, a kickstart or files that others cannot read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .config import IsoRequest, KickstartText, Request

OWNER_ONLY: Final = 0o600
_NOBODY_ELSE: Final = 0o077
_USERINFO: Final = re.compile(r"://[^\s/]*@")  # RFC 3986, section 3.2.1
_umask: int | None = None  # the caller's, while the process has another one


@contextmanager
def private() -> Generator[None]:
    """Let what this process and its children write while the block runs be its owner's alone."""
    global _umask
    before, known = os.umask(_NOBODY_ELSE), _umask
    if known is None:
        _umask = before
    try:
        yield
    finally:
        os.umask(before)
        _umask = known


def output_mode(*, secret: bool) -> int:
    """Return the mode of a finished output, by the umask of whoever called us."""
    if secret:
        return OWNER_ONLY
    if _umask is not None:
        return 0o666 & ~_umask
    current = os.umask(_NOBODY_ELSE)
    os.umask(current)
    return 0o666 & ~current


def secrets(request: IsoRequest | Request) -> tuple[str, ...]:
    """Return what of an output is not for everybody's eyes, in words; usually nothing."""
    found: list[str] = []
    if any(user.password or user.plain for user in request.customizations.users):
        found.append("password hashes")
    if any(not file.mode & stat.S_IROTH for file in request.customizations.files):
        found.append("files that not everybody may read")
    if isinstance(request, Request):
        return tuple(found)
    kickstart = request.kickstart
    if isinstance(kickstart, KickstartText):
        if not _is_public(kickstart.source):
            found.append(f"{kickstart.name}, which not everybody can read")
    elif kickstart is not None and not _is_public(kickstart):
        found.append(f"the kickstart '{kickstart}', which not everybody can read")
    if request.embed_authfile:
        found.append("the credentials for the image's registry")
    if request.packages is not None and _USERINFO.search(request.packages):
        found.append("the credentials in the address of the packages")
    return tuple(found)


def _is_public(path: Path) -> bool:
    """Say whether everybody may read a file; what is none was told to this process alone."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def warnings(request: IsoRequest | Request) -> tuple[str, ...]:
    """Return what a plan has to say of :func:`secrets`."""
    found = secrets(request)
    if not found:
        return ()
    kind = "disk" if isinstance(request, Request) else "medium"
    return (
        f"the {kind} carries {' and '.join(found)}: its file is readable by its owner alone, "
        f"and whoever gets the {kind} can read them",
    )
