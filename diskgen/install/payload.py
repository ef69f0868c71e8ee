"""The image that is to be installed, looked at before anything is erased for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..arch import MACHINES
from ..budgets import CONFIG_BYTES
from ..config import AccessOptions
from ..documents import load_object
from ..errors import HostError, SourceError, UsageError
from ..events import Emit, step
from ..image import fetch
from ..image import policy as policies
from ..image.complaints import Unreachable
from ..image.manifest import labels_of
from ..iso.access.access import AUTHFILE
from ..kickstart.recipe import ImageSource
from ..ostree import facts
from ..reference import ImageRef, parse
from ..units import format_size
from .disks import Disk

_POLICY: Final = Path("/run/diskgen/policy.json")
_ANYTHING: Final = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_PATIENCE_SECONDS: Final = 60.0  # for a network that is not up yet
_PAUSE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """An image that is there; ``source`` is pinned to what was looked at, where it can be."""

    source: ImageRef
    access: AccessOptions
    digest: str
    size: int  # bytes of its layers as they are fetched


def reference(source: ImageSource) -> ImageRef:
    """Return what ``ostreecontainer`` names as a reference. Raises UsageError."""
    if source.transport == "registry":
        return parse(f"docker://{source.url}")
    return parse(f"{source.transport}:{source.url}")


def look(
    source: ImageSource,
    arch: str,
    emit: Emit,
    *,
    policy: Path = _POLICY,
    patience: float = _PATIENCE_SECONDS,
) -> Payload:
    """Return the image that a kickstart names: it can be read, and is made to boot here.

    A registry that does not answer is asked again for ``patience`` seconds. Raises DiskgenError,
    and then nothing was touched.
    """
    ref = reference(source)
    access = access_to_registries()
    if not ref.is_registry:
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text(_ANYTHING)  # the medium is what we are; its digests are checked
        access = AccessOptions(policy=policy)
    with step(emit, "describe", f"Looking for '{ref.short}'") as phase:
        found = _described(ref, arch, access, patience)
        labels = labels_of(load_object(found.config, CONFIG_BYTES))
        problems = list(facts.kind_problems(labels))
        if problems:
            raise SourceError(problems[0].message, hint=problems[0].hint)
        size = sum(layer.size for layer in found.manifest.layers)
        phase.detail = f"{found.digest[:19]}, {format_size(size)}"
    pinned = ref.at(found.digest) if ref.is_registry else ref
    return Payload(source=pinned, access=access, digest=found.digest, size=size)


def access_to_registries(root: Path = Path("/")) -> AccessOptions:
    """Return how this machine reaches registries: as the medium says, else as its runtime does."""
    authfile = root / AUTHFILE
    return AccessOptions(authfile=authfile if authfile.is_file() else None)


def check_signed(source: ImageSource, *, signed: bool, root: Path = Path("/")) -> None:
    """Refuse to install from a registry what nothing here says must be signed, where it must be.

    ``signed`` is what the rule of the machine's updates says. Raises UsageError.
    """
    ref = reference(source)
    if not signed or not ref.is_registry:
        return
    path = root / policies.PATH
    try:
        policy = policies.parse(path.read_bytes(), str(path))
    except OSError:
        policy = None
    if policy is None or not policy.demands(ref):
        raise UsageError(
            f"'{ref.short}' is to be signed, and the installer's '{path}' does not say by whom",
            hint="make the medium with --signature-policy, or install the image that is on it",
        )


def check_room(payload: Payload, disk: Disk, content: int = 0) -> None:
    """Refuse a disk on which the image cannot fit, compressed and unpacked. Raises UsageError.

    ``content`` is how many bytes its files have, where that is known: half of the disk holds them
    as they were unpacked, meanwhile.
    """
    if content * 2 > disk.size:
        raise UsageError(
            f"'{disk.name}' has {format_size(disk.size)}; while it is installed this image needs "
            f"more than {format_size(2 * content)}",
            hint="choose a larger disk",
        )
    if payload.size * 2 > disk.size:
        raise UsageError(
            f"'{disk.name}' has {format_size(disk.size)}; the image has "
            f"{format_size(payload.size)} of compressed layers, which are unpacked on it",
            hint="choose a larger disk",
        )


def _described(
    ref: ImageRef, arch: str, access: AccessOptions, patience: float
) -> fetch.Description:
    deadline = time.monotonic() + patience
    while True:
        try:
            return fetch.describe(ref, MACHINES[arch], access)
        except Unreachable as error:
            if not ref.is_registry:
                raise
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise HostError(
                    f"{error.message}; nothing was changed on any disk",
                    hint="connect this machine to the network, see 'ip address' and 'journalctl -u "
                    "systemd-networkd' in a shell, and begin again; or take a medium that holds "
                    "the image",
                ) from error
        time.sleep(_PAUSE_SECONDS)
