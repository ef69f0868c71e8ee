"""What is ours on a medium: kickstarts, the payload, packages, and what the runtime is given."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...arch import Machine
from ...blueprint import portable
from ...budgets import CONFIG_BYTES
from ...config import ONLY_DISK, ONLY_IN_WORDS, IsoRequest
from ...decision import coming, described_kargs, setup
from ...decision.system import System
from ...errors import Problem, SourceError, UsageError
from ...image.model import Image
from ...kickstart import language, limits, recipe
from ...kickstart.language import Parsed
from ...layout import Content
from ...provision.passwords import crypted
from ...secrecy import OWNER_ONLY
from ...tree import Directory, File, regular
from ..kickstarts import kickstart, merging, partitions
from ..kickstarts.accounts import check_keys
from ..kickstarts.command import text_of
from ..kickstarts.kickstart import MEDIUM, Packages, Settings, Unattended
from ..kickstarts.merging import Met
from ..menus import menu
from ..menus.menu import Choices
from ..runtimes import overlay
from ..sources import packages
from ..sources.packages import Source
from . import payload

FACTS: Final = "medium.json"
NOTED: Final = "image.json"  # what the image holds, for our installer
_VERSION: Final = 1  # of it
_CHOOSER: Final = "usr/share/anaconda/interactive-defaults.ks"
_REMOTE: Final = "usr/share/diskgen/image-remote.ks"
# What our installer carries out by itself, the first that there is.
_KICKSTARTS: Final = {
    "image": ("unattended-image.ks", "image-offline.ks"),
    "package": ("unattended-package.ks", "package.ks"),
}
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
        chosen = bool(request.package_names)
        return Offer(packages=Packages(url=url, kind=kind, names=names, chosen=chosen))
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
    chosen = bool(request.package_names)
    return Offer(source=source, packages=Packages(url=place, names=names, chosen=chosen))


def asked(request: IsoRequest, digest: str) -> Settings:
    """Return what the user says of the installed machine; the image of a digest adds the rest."""
    wanted = crypted(request.customizations, digest)
    root, kargs = wanted.root, (*described_kargs(wanted), *request.install_kargs)
    return Settings(
        reference=request.tracked.name,
        digest=digest,
        payload=request.payload,
        language=wanted.language,
        keyboard=wanted.keyboard,
        timezone=wanted.timezone,
        hostname=wanted.hostname,
        users=wanted.people,
        root_password=root.password if root is not None else None,
        root_keys=root.keys if root is not None else (),
        links=wanted.links,
        kargs=kargs,
        package_kargs=kargs,
        described=wanted,
    )


def check_words(request: IsoRequest) -> None:
    """Refuse options that no kickstart and no menu could have, before anything is fetched.

    Raises UsageError.
    """
    anaconda = request.installer is not None
    settings, how = replace(asked(request, ""), anaconda=anaconda), _how(request, None)
    commands = kickstart.machine(settings, how) if how else kickstart.named(settings)
    text_of((*commands, *kickstart.payload(settings, mode="image", offline=False)))
    disks = (("image", request.unattended),) if request.unattended is not None else ()
    choices = Choices(product="", label="", kargs=request.kargs, unattended=disks)
    menu.make(choices, kernel="", initrd="", bios=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The kickstarts of a medium by name; ``met`` says what a user's own became part of."""

    texts: Mapping[str, str]
    met: tuple[Met, ...] = ()
    user: Parsed | None = None


def write(
    request: IsoRequest,
    settings: Settings,
    version: str,
    roots: Mapping[str, str | None],
    *,
    anaconda: bool,
    repository: Packages | None = None,
) -> Written:
    """Return all kickstarts of the medium, checked as their installer will. Raises UsageError.

    ``roots`` are the root filesystems by mode where a disk is partitioned without a question.
    """
    fragments = kickstart.fragments(settings, version)
    made = {name: text for name, text in fragments.items() if text}
    asked = replace(settings, packages=settings.packages or repository)  # nobody, by what follows
    if request.kickstart is not None:
        return _merged(request, settings, asked, roots, version, made, anaconda=anaconda)
    modes = [mode for mode in request.modes if mode == "image" or asked.packages is not None]
    for mode in modes if request.unattended is not None else ():
        how = _how(request, roots[mode])
        assert how is not None
        offline = request.payload != "remote"
        name = f"unattended-{mode}.ks"
        made[name] = kickstart.unattended(asked, how, version, mode=mode, offline=offline)
        if not anaconda:
            recipe.of(language.parse(made[name], version, name))
    return Written(texts=made)


def _how(request: IsoRequest, root: str | None) -> Unattended | None:
    """Return what is done without a question, where a disk is named for that."""
    if request.unattended is None:
        return None
    return Unattended(disk=request.unattended, filesystem=root, setting=request.unattended_setting)


def _merged(
    request: IsoRequest,
    settings: Settings,
    asked: Settings,
    roots: Mapping[str, str | None],
    version: str,
    made: dict[str, str],
    *,
    anaconda: bool,
) -> Written:
    """Return the kickstarts with a user's own among them. Raises UsageError."""
    assert request.kickstart is not None
    setting, name = request.kickstart_setting, request.kickstart.name
    text = language.text_of(request.kickstart, setting)
    user = language.parse(text, version, name, setting=setting)
    packages = merging.for_packages(user)
    of_image = "image" in request.modes and not (packages and len(request.modes) > 1)
    with errors_about(setting):
        if anaconda:
            limits.check_names(user)
            check_keys(user, settings.homeless if of_image else (), setting)
        else:
            recipe.check(user)
    settings = settings if packages else asked
    met: list[Met] = []
    for mode in request.modes:
        if mode == "package" and settings.packages is None and not packages:
            continue
        if mode == "image" and not of_image:
            continue
        how = _how(request, roots[mode])
        commands, given = [kickstart.started()], kickstart.for_mode(settings, mode)
        commands += kickstart.machine(given, how) if how else kickstart.named(given)
        if mode == "image" or settings.packages is not None:
            offline = request.payload != "remote"
            commands += kickstart.payload(settings, mode=mode, offline=offline)
        merged = merging.merge(commands, user, text, mode=mode, setting=setting)
        file = f"unattended-{mode}.ks"
        made[file] = merged.text
        met += merged.met
        if not anaconda and not user.hidden:
            with errors_about(setting):
                recipe.of(language.parse(merged.text, version, file))
    return Written(texts=made, met=tuple(dict.fromkeys(met)), user=user)


@contextmanager
def errors_about(setting: str) -> Generator[None]:
    """Let errors of the installer's own rules, which know no options, name the one that matters."""
    try:
        yield
    except UsageError as error:
        error.setting = error.setting or setting
        raise


def unsuited(
    request: IsoRequest, written: Written, version: str, system: System, *, mode: str = "image"
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return why our installer could not set up a system as its kickstart says, and what it lacks.

    As the installer asks it again, of all that a medium carries for a mode. ``system`` is the
    image, or the installer itself, where it installs packages.
    """
    names = [name for name in _KICKSTARTS[mode] if name in written.texts]
    if not names or mode not in request.modes:
        return (), ()
    text = written.texts[names[0]]
    asked = recipe.check(language.parse(text, version, names[0]))
    if mode == "package":
        system = coming.of(asked, system)
    problems: list[Problem] = []
    warnings: list[str] = []
    for row, found in setup.check(asked, system):
        if not found.fatal:
            warnings.append(found.message)
            continue
        setting = request.kickstart_setting if request.kickstart is not None else row.setting
        problem = Problem(code=row.name, message=found.message, hint=found.hint, setting=setting)
        problems.append(problem)
    return tuple(problems), tuple(warnings)


def doubts(written: Written, content: Content) -> Iterator[str]:
    """Yield what machines will lack that a user's kickstart makes; ``content`` is for image mode.

    And what is not seen of it.
    """
    user = written.user
    if user is None:
        return
    if "unattended-image.ks" in written.texts:
        yield from partitions.doubts(user.name, user.handler, content)
    for line, words in user.hidden:
        yield (
            f"'{user.name}', line {line}: what '{words}' brings is not known here: it is checked "
            "by the installer alone, and of a command that diskgen writes as well the last counts"
        )


def erased(request: IsoRequest, made: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (mode, what it erases) of the unattended kickstarts, for the menu."""
    what = ONLY_IN_WORDS if request.unattended == ONLY_DISK else request.unattended or ""
    if request.kickstart is not None and not what:
        what = f"the disks that {request.kickstart.name} names"
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
    noted: Mapping[str, Any] | None = None,
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
        "no_encryption": request.no_encryption,
        "signature": request.signature,  # None: as the image says
        "origin": f"{settings.rule}{settings.reference}",
        "kickstart_version": version,
        "packages": offered.source.kind if offered.source is not None else None,
    }
    if not settings.anaconda and portable.is_needed(settings.described):
        root.add(portable.NAME, regular(portable.to_file(settings.described), mode=OWNER_ONLY))
    text = json.dumps(noted, sort_keys=True) + "\n"
    if noted is not None and len(text) <= CONFIG_BYTES.limit:
        root.add(NOTED, regular(text.encode()))
    root.add(FACTS, regular((json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()))
    return root
