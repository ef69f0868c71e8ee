"""What is ours on a medium: kickstarts, the payload, packages, and what the runtime is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..arch import Machine
from ..config import IsoRequest
from ..errors import SourceError, UsageError
from ..image.model import Image
from ..layout import Content
from ..tree import Directory, File, regular
from . import kickstart, overlay, packages, partitions, payload
from .kickstart import MEDIUM, Packages, Settings, Unattended
from .menu import Choices
from .packages import Source

FACTS: Final = "medium.json"
_VERSION: Final = 1  # of it
_CHOOSER: Final = "usr/share/anaconda/interactive-defaults.ks"
_REMOTE: Final = "usr/share/diskgen/image-remote.ks"
_MAX_KICKSTART: Final = 1024 * 1024
_CORE: Final = {"rpm": ("@core",), "apt": (), "debs": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the traditional way installs from: a place on the medium, a URL, or the installer's."""

    source: Source | None = None  # brought to the medium
    packages: Packages | None = None
    repository: Packages | None = None  # what the vendor's medium has

    @property
    def needs_network(self) -> bool:
        return self.source is None and self.repository is None


def offer(request: IsoRequest, machine: Machine, repository: Packages | None = None) -> Offer:
    """Return where packages come from. Raises UsageError for what cannot be used.

    From a ``repository`` of the vendor's Anaconda lets people choose by itself.
    """
    if "package" not in request.modes:
        return Offer()
    if request.packages is None:
        named = repository if request.package_names else None
        return Offer(packages=named, repository=repository)
    text = request.packages
    if "://" in text or text.startswith(("mirrorlist=", "metalink=")):
        kind, equals, rest = text.partition("=")
        known = equals and kind in ("mirrorlist", "metalink")
        kind, url = (kind, rest) if known else ("url", text)
        names = request.package_names or _CORE["rpm"]
        return Offer(packages=Packages(url=url, kind=kind, names=names))
    source = packages.examine(Path(text))
    foreign = source.architectures - {machine.name, machine.oci, "noarch", "all"}
    if source.architectures and not source.architectures - foreign:
        raise UsageError(
            f"the packages in '{text}' are for {', '.join(sorted(foreign))}, the medium is for "
            f"{machine.name}",
            setting="packages",
        )
    place = f"file://{MEDIUM}/packages"
    if source.kind == "rpm" and source.repositories:
        place = f"{place}/{source.repositories[0]}".rstrip("/.")
    names = request.package_names or _CORE[source.kind]
    return Offer(source=source, packages=Packages(url=place, names=names))


def texts(
    request: IsoRequest,
    settings: Settings,
    version: str,
    roots: Mapping[str, str | None],
    repository: Packages | None = None,
) -> Mapping[str, str]:
    """Return all kickstarts of the medium by name, checked. Raises UsageError.

    ``roots`` are the root filesystems by mode where a disk is partitioned without a question.
    """
    fragments = kickstart.fragments(settings, version)
    made = {name: text for name, text in fragments.items() if text}
    asked = settings  # nobody is asked by what follows
    settings = replace(settings, packages=settings.packages or repository)
    modes = [mode for mode in request.modes if mode == "image" or settings.packages is not None]
    offline = request.payload != "remote"
    if request.unattended is not None:
        for mode in modes:
            how = Unattended(disk=request.unattended, filesystem=roots[mode])
            made[f"unattended-{mode}.ks"] = kickstart.unattended(
                settings, how, version, mode=mode, offline=offline
            )
    if request.kickstart is not None:
        user = _read(request.kickstart)
        if "%packages" in user:
            settings = asked
        for mode in request.modes:
            if mode == "package" and settings.packages is None and "%packages" not in user:
                continue
            if mode == "image" and len(request.modes) > 1 and "%packages" in user:
                continue
            name = f"unattended-{mode}.ks"
            own = ""
            if mode == "image" or settings.packages is not None:
                own = kickstart.payload(settings, mode=mode, offline=offline)
            text = kickstart.merge(own, user, version, request.kickstart.name, settings.links)
            text = kickstart.named(settings) + text
            kickstart.check(text, version, name)
            made[name] = text
    return made


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_KICKSTART:
            raise UsageError(f"'{path}' is too large for a kickstart", setting="kickstart")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be read: {error.strerror}", setting="kickstart"
        ) from error


def doubts(
    request: IsoRequest, made: Mapping[str, str], version: str, content: Content
) -> Iterator[str]:
    """Yield what machines will lack that a user's kickstart makes; ``content`` is for image mode.

    Raises UsageError where pykickstart does not understand it.
    """
    text = made.get("unattended-image.ks")
    if request.kickstart is not None and text is not None:
        name = request.kickstart.name
        yield from partitions.doubts(name, kickstart.check(text, version, name), content)


def erased(request: IsoRequest, made: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (mode, what it erases) of the unattended kickstarts, for the menu."""
    if request.kickstart is not None:
        what = f"the disks that {request.kickstart.name} names"
    else:
        what = request.unattended or ""
    return tuple((mode, what) for mode in request.modes if f"unattended-{mode}.ks" in made)


def product_image(
    made: Mapping[str, str], timestamp: int, added: Directory, base: Directory | None = None
) -> bytes:
    """Return what Anaconda's initramfs unpacks over the runtime: the chooser and what it needs.

    They and the files of ``added`` replace what a vendor's overlay, ``base``, has there. Raises
    SourceError for one in which they have no place.
    """
    tree = base if base is not None else Directory()
    try:
        tree.add(_CHOOSER, regular(made["chooser.ks"].encode()))
        tree.add(_REMOTE, regular(made["image-remote.ks"].encode()))
        for path, node in added.walk():
            if isinstance(node, File):
                tree.add(path, node)
    except NotADirectoryError as error:
        raise SourceError(
            "the medium's 'product.img' has a file where Anaconda's directories are",
            hint="use the vendor's boot.iso or DVD as it was published",
            setting="installer",
        ) from error
    return overlay.compressed(tree, timestamp)


def room(
    request: IsoRequest,
    settings: Settings,
    made: Mapping[str, str],
    choices: Choices,
    image: Image | None,
    offered: Offer,
    version: str,
) -> Directory:
    """Return the directory that holds everything of ours on the medium."""
    root = Directory()
    for name, text in made.items():
        if name != "chooser.ks":
            root.add(name, regular(text.encode()))
    if image is not None and request.payload != "remote":
        root.add("container", payload.layout(image))
    if offered.source is not None:
        root.add("packages", offered.source.tree)
    facts = {
        "version": _VERSION,
        "product": settings.product,
        "reference": settings.reference,
        "digest": settings.digest,
        "payload": request.payload,
        "modes": list(choices.modes),
        "signature": request.signature,  # None: as the image says
        "origin": f"{settings.rule}{settings.reference}",
        "kickstart_version": version,
        "packages": offered.source.kind if offered.source is not None else None,
    }
    root.add(FACTS, regular((json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()))
    return root
