"""What the installer was given: its medium, and the words of the kernel's command line."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ..blueprint import portable
from ..blueprint.model import Customizations
from ..budgets import CONFIG_BYTES as NOTED_BYTES
from ..decision.system import System, of_excerpt
from ..documents import load_object
from ..errors import HostError, ToolError, UsageError
from ..iso.assembly.contents import NOTED
from ..kickstart import language
from ..reference import SIGNED
from ..run import run
from .payload import access_to_registries
from .target import Mounts

REPOSITORY: Final = Path("/run/install/repo")
ROOM: Final = REPOSITORY / "diskgen"
_DEVICE: Final = Path("/run/diskgen/medium")
_CMDLINE: Final = Path("/proc/cmdline")
_LATER: Final = "@@REF@@"
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)
_TIMEOUT_SECONDS: Final = 60
_REGISTRY_SECONDS: Final = 30.0  # then the image on the medium is taken
_PAUSE_SECONDS: Final = 2.0
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """What ``medium.json`` says, and where the medium is.

    ``signature`` is the rule for the updates of the installed machine, None as its image says;
    ``signed`` says whether the medium's image is to be signed.
    """

    product: str
    reference: str
    signature: str | None
    signed: bool
    no_encryption: bool
    payload: str
    modes: tuple[str, ...]
    kickstart_version: str
    packages: str | None  # kind of the packages on the medium
    device: Path | None  # None: started from the network, there is none
    described: Customizations | None = None  # what the machine is given, beside the kickstarts
    noted: Mapping[str, Any] | None = None  # what the image holds, see decision.system.excerpt

    def system(self, digest: str) -> System | None:
        """Return what an image holds, where the medium notes it. Raises HostError."""
        if self.noted is None:
            return None
        with _understood(NOTED):
            return of_excerpt(self.noted) if self.noted["digest"] == digest else None

    def content_bytes(self, digest: str) -> int:
        """Return how many bytes the files of an image have, 0 where that is not known."""
        if self.noted is None or self.noted.get("digest") != digest:
            return 0
        with _understood(NOTED):
            return int(self.noted["bytes"])


def read() -> Medium:
    """Return what this machine was started from. Raises HostError."""
    path = ROOM / "medium.json"
    noted = ROOM / NOTED
    with _understood(path.name):
        facts = load_object(path.read_bytes())
        device = _DEVICE.read_text().strip()
        return Medium(
            product=facts["product"],
            reference=facts["reference"],
            signature=facts["signature"],
            no_encryption=facts["no_encryption"],
            signed=facts["origin"].startswith(SIGNED),
            payload=facts["payload"],
            modes=tuple(facts["modes"]),
            kickstart_version=facts["kickstart_version"],
            packages=facts["packages"],
            device=Path(device).resolve() if device else None,
            described=_described(),
            noted=load_object(noted.read_bytes(), NOTED_BYTES) if noted.is_file() else None,
        )


def _described() -> Customizations | None:
    """Return what the medium carries of what its machines are given. Raises HostError."""
    path = ROOM / portable.NAME
    if not path.is_file():
        return None
    with _understood(path.name):
        return portable.of_json(load_object(path.read_bytes(), NOTED_BYTES))


@contextmanager
def _understood(name: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(f"'{ROOM / name}' cannot be read: {error}") from error


def cmdline() -> str:
    """Return the kernel's command line."""
    return _CMDLINE.read_text(errors="replace")


def local(url: str) -> Path | None:
    """Return the path that a URL of files names; None for other URLs."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or "?" in url or "#" in url:
        return None
    return Path(os.path.normpath(unquote(parts.path)))


def holds(url: str, place: Path = REPOSITORY) -> bool:
    """Say whether what a URL names is on the medium, which is mounted at ``place``."""
    path = local(url)
    return path is not None and path.is_relative_to(place)


def words() -> Mapping[str, str]:
    """Return the kernel arguments of ours; the last of a name counts."""
    found: dict[str, str] = {}
    for word in cmdline().split():
        name, _equals, value = word.partition("=")
        if name.startswith(("inst.", "diskgen.", "rd.live.")):
            found[name] = value
    return found


def kickstart(place: str, mounts: Mounts) -> str:
    """Return the kickstart that ``inst.ks=`` names. Raises UsageError or HostError."""
    kind, _colon, rest = place.partition(":")
    if kind in ("http", "https"):
        return _fetched(place)
    if kind == "file":
        return language.read(Path("/") / rest.lstrip("/"))
    if kind in ("hd", "cdrom"):
        device, _colon, path = rest.rpartition(":") if kind == "hd" else ("", "", rest)
        if kind == "cdrom" or _is_medium(device):
            return language.read(REPOSITORY / path.lstrip("/"))
        name = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), device)
        source = name if "=" in name else f"/dev/{name.removeprefix('/dev/')}"
        mounts.add(source, Path("/run/diskgen/kickstart"), "-o", "ro")
        return language.read(Path("/run/diskgen/kickstart") / path.lstrip("/"))
    raise UsageError(
        f"'inst.ks={place}' is not understood",
        hint="use hd:LABEL=…:/path, http://…, https://…, or file:/path",
    )


def payload_kickstart(
    medium: Medium, mode: str, wish: str | None, connect: Callable[[str], object]
) -> str:
    """Return the payload's part of a kickstart: from the medium, or for the reference wished for.

    Where a registry is asked first, ``connect`` sets up the network that a kickstart describes.
    Raises UsageError for a reference that cannot be one.
    """
    if mode == "package":
        return language.read(ROOM / "package.ks")
    offline = ROOM / "image-offline.ks"
    if wish is None and medium.payload == "both":
        connect(language.read(offline))
        wish = medium.reference if reachable(medium.reference) else None
    if wish is None and (ROOM / "container/index.json").is_file():
        return language.read(offline)
    reference = wish or medium.reference
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(f"'diskgen.ref={reference}' is no image reference")
    return language.read(ROOM / "image-remote.ks").replace(_LATER, reference)


def reachable(reference: str) -> bool:
    """Say whether a registry answers for a reference."""
    authfile = access_to_registries().authfile
    argv: list[str | Path] = ["skopeo", "inspect", "--raw"]
    argv += ["--authfile", authfile] if authfile is not None else []
    try:
        done = run([*argv, f"docker://{reference}"], ok=range(256), timeout=_REGISTRY_SECONDS)
    except ToolError:  # a network that drops what it does not like
        return False
    return done.status == 0


def _is_medium(device: str) -> bool:
    stage2 = words().get("inst.stage2", "")
    return device == stage2.removeprefix("hd:").partition(":")[0]


def _fetched(url: str) -> str:
    """Return a text from a server; one that is not reached is asked again: links need time."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            return _answer(url)
        except (OSError, ValueError, HTTPException) as error:
            final = isinstance(error, urllib.error.HTTPError) or not isinstance(error, OSError)
            if final or time.monotonic() + _PAUSE_SECONDS > deadline:
                raise HostError(f"'{url}' cannot be fetched: {error}") from error
        time.sleep(_PAUSE_SECONDS)


def _answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        data: bytes = answer.read(language.MAX_BYTES + 4)
    return language.decode(data, url)
