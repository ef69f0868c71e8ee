"""Images that this user has built already: which bare names mean one in podman's storage.

A name without a registry (``os:1``), and one of the domain ``localhost``, is looked for where
podman and buildah put what they build, in the order in which podman looks: as ``localhost/NAME``,
then in each registry of ``unqualified-search-registries``, containers-registries.conf(5). Whoever
writes ``docker://`` means a registry.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from ..config import AccessOptions, ArtifactRequest
from ..documents import is_list, load_toml
from ..errors import DiskgenError
from ..events import Emit, notice
from ..reference import LOCAL, ImageRef
from .complaints import NotFound
from .skopeo import skopeo

_Asked = TypeVar("_Asked", bound=ArtifactRequest)

_STORAGE: Final = "containers-storage"
_CONFIGURATION: Final = (
    Path("~/.config/containers/registries.conf"), Path("/etc/containers/registries.conf"),
)  # fmt: skip
_HOST: Final = Path("/var/lib/containers/storage")  # of root's podman
_DRIVERS: Final = ("overlay", "vfs", "btrfs")
_DOCKER: Final = "docker.io"
_LIBRARY: Final = "library/"  # of Docker's registry, for names of one component


def settled(request: _Asked, emit: Emit) -> _Asked:
    """Return a request whose images are named by where they are. Raises SourceError."""
    images = request.images().items()
    found: dict[str, Any] = {name: find(ref, request.access, emit) for name, ref in images}
    return replace(request, **found)


def find(ref: ImageRef, access: AccessOptions, emit: Emit) -> ImageRef:
    """Return where an image is: what a bare name means in this user's storage, else as it was.

    Raises SourceError for a name that can be nowhere else.
    """
    if not ref.bare or ref.domain not in (None, LOCAL):
        return ref
    stored = _first(_candidates(ref, access), access)
    if stored is not None:
        notice(emit, f"'{ref.name}' is in podman's storage, and taken from there: '{stored}'")
        return stored
    if ref.domain == LOCAL:
        raise NotFound(
            f"'{ref.name}' does not exist in podman's storage of this user",
            hint="see 'podman images'; what root built is in root's, what Docker built is "
            f"docker-daemon:NAME, and a registry of this machine is docker://{ref.name}",
        )
    return ref


def stored(ref: ImageRef, access: AccessOptions) -> ImageRef | None:
    """Return where podman's storage has an image of any name; None where it does not.

    It is looked for in this user's, then in the host's where a container has that mounted. A name
    that was written with a transport means what it says.
    """
    if not ref.bare:
        return None
    names = [*_candidates(ref, access)] if ref.domain in (None, LOCAL) else [ref.name]
    return _first((f"{storage}{name}" for storage in ("", *_of_host()) for name in names), access)


def _first(names: Iterable[str], access: AccessOptions) -> ImageRef | None:
    """Return the first of some names that podman's storage has."""
    refs = (ImageRef(_STORAGE, name) for name in names)
    return next((ref for ref in refs if _there(ref, access)), None)


def _of_host() -> Iterator[str]:
    """Yield what stands before names in the host's storage, containers-transports(5)."""
    for driver in _DRIVERS:
        if os.access(_HOST / f"{driver}-images", os.R_OK | os.X_OK):
            run = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
            yield f"[{driver}@{_HOST}+{run / 'diskgen-storage'}]"


def _candidates(ref: ImageRef, access: AccessOptions) -> Iterator[str]:
    if ref.domain == LOCAL:
        yield ref.name
        return
    yield f"{LOCAL}/{ref.name}"
    for registry in dict.fromkeys((*_searched(access), _DOCKER)):
        library = _LIBRARY if registry == _DOCKER and "/" not in ref.name else ""
        yield f"{registry}/{library}{ref.name}"


def _searched(access: AccessOptions) -> list[str]:
    """Return the registries that short names are looked for in; none where nobody says so."""
    named = access.registries_conf or os.environ.get("CONTAINERS_REGISTRIES_CONF")
    for path in [Path(named)] if named else [path.expanduser() for path in _CONFIGURATION]:
        try:
            found = load_toml(path.read_bytes()).get("unqualified-search-registries")
        except (OSError, ValueError):
            continue
        return [name for name in found if isinstance(name, str)] if is_list(found) else []
    return []


def _there(ref: ImageRef, access: AccessOptions) -> bool:
    try:
        skopeo("inspect", ["--raw", str(ref)], access, what=ref.short)
    except DiskgenError:  # without a storage nothing is in it
        return False
    return True
