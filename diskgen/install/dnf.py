"""Packages by dnf, into an empty root: how the Fedora family is installed.

dnf is told everything by a file of its own, so that neither the installer's repositories nor its
configuration have a say, and nothing of the file stays in the target. Options: dnf.conf(5).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..arch import Machine
from ..errors import HostError, UsageError
from ..kickstart.recipe import PackageSource
from ..ostree.facts import parse_os_release
from ..run import run
from .medium import REPOSITORY, holds
from .target import Target

_CACHE: Final = "var/cache/diskgen-dnf"  # in the target: an installer has little memory
_LOGS: Final = "var/log/diskgen-dnf"
_KEYS: Final = "etc/pki/rpm-gpg"
_KEY_LINE: Final = re.compile(r"^gpgkey\s*=\s*(.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_DATABASE: Final = "/usr/lib/sysimage/rpm"  # of RPM, since Fedora 36
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_WORDS: Final = {"url": "baseurl"}  # of dnf.conf, where it is another one than kickstarts have
_GROUP: Final = re.compile(r"^@\^?")  # dnf tells environments from groups by itself
_VARIABLES: Final = ("$releasever", "${releasever}")


def release_version(text: str) -> str | None:
    """Return what ``$releasever`` is for the system of an os-release; None: it has no RPMs.

    Enterprise distributions leave the minor version out.
    """
    release = parse_os_release(text)
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    version = release.get("VERSION_ID", "")
    if not version or not family & {"fedora", "rhel", "centos", "suse", "mageia"}:
        return None
    enterprise = release.get("ID") != "fedora" and family & {"rhel", "centos"}
    return version.partition(".")[0] if enterprise else version


def keys(root: Path = Path("/")) -> tuple[str, ...]:
    """Return where the keys are that a system verifies its own packages with, as URLs.

    They are those of its repositories; without these all that it keeps.
    """
    found: list[str] = []
    for path in sorted((root / "etc/yum.repos.d").glob("*.repo")):
        if not path.is_file():
            continue
        for section in re.split(r"^\[", path.read_text(errors="replace"), flags=re.MULTILINE)[1:]:
            if re.search(r"^enabled\s*=\s*(0|no|false)\s*$", section, re.MULTILINE | re.IGNORECASE):
                continue
            for match in _KEY_LINE.finditer(section):
                found += [url for url in re.split(r"[\s,]+", match[1])
                          if url.startswith("file:///")]  # fmt: skip
    if not found:
        found = [path.as_uri() for path in sorted((root / _KEYS).glob("*")) if path.is_file()]
    return tuple(dict.fromkeys(found))


def check(source: PackageSource, version: str | None, trusted: Sequence[str]) -> None:
    """Refuse what dnf could not install from. Raises HostError or UsageError."""
    for url in _urls(source):
        if version is None and any(word in url for word in _VARIABLES):
            raise UsageError(
                f"'{url}' has the number of a release to be filled in, and this installer is of "
                "no such release",
                hint="write the number instead of $releasever",
            )
        if not trusted and not holds(url):
            raise HostError(
                f"the packages of '{url}' cannot be verified: this installer has no keys for them",
                hint=f"put the distribution's keys into '/{_KEYS}' of the installer's image",
            )


def install(
    source: PackageSource,
    names: Sequence[str],
    machine: Machine,
    target: Target,
    *,
    version: str | None,
    trusted: Sequence[str],
    medium: Path = REPOSITORY,
) -> None:
    """Install packages, groups (``@``) and environments (``@^``) with what they need.

    What is on the ``medium`` is taken as it is; all else must be signed by one of the ``trusted``
    keys. Raises ToolError.
    """
    with tempfile.TemporaryDirectory(prefix="diskgen-dnf-") as scratch:
        config = Path(scratch, "dnf.conf")
        config.write_text("\n".join(_config(source, trusted, medium)) + "\n", encoding="utf-8")
        options, env = [f"--releasever={version}"], {}
        if version is None:  # RPM of a system without RPMs has its database in someone's home
            Path(scratch, ".rpmmacros").write_text(f"%_dbpath {_DATABASE}\n")
            options, env = [], {"HOME": scratch}
        if source.missing_allowed:
            options.append("--setopt=strict=0")
        run(
            [
                "dnf", "-y", f"--config={config}", f"--installroot={target.root}",
                f"--forcearch={machine.name}", *options,
                *(f"--exclude={name}" for name in source.excluded),
                "install", *(_GROUP.sub("@", name) for name in names),
            ],
            env=env,
        )  # fmt: skip
    shutil.rmtree(target.place(_CACHE), ignore_errors=True)
    shutil.rmtree(target.place(_LOGS), ignore_errors=True)
    if version is None:
        _settle_database(target)


def _config(source: PackageSource, trusted: Sequence[str], medium: Path) -> Iterator[str]:
    yield from (
        "[main]", "gpgcheck=1", "localpkg_gpgcheck=1", "plugins=0", "reposdir=/dev/null",
        f"cachedir=/{_CACHE}", f"logdir=/{_LOGS}", "keepcache=0",
        f"install_weak_deps={int(source.weak_dependencies)}",
        f"tsflags={'' if source.documentation else 'nodocs'}",
    )  # fmt: skip
    named = (("installation", source.url or ""), *source.repositories.items())
    for number, (name, url) in enumerate(named):
        word = source.kind if number == 0 else "url"
        yield f"[diskgen-{number}]"  # a name could be that of another section, or end this one
        yield f"name={_UNPRINTABLE.sub(' ', name)}"
        yield f"{_WORDS.get(word, word)}={url}"
        yield f"gpgcheck={int(not holds(url, medium))}"
        if trusted:
            yield "gpgkey=" + " ".join(trusted)


def _urls(source: PackageSource) -> tuple[str, ...]:
    return (source.url or "", *source.repositories.values())


def _settle_database(target: Target) -> None:
    """Move the packages' database to where the target's own RPM looks for it."""
    if not target.has("rpm"):
        return
    said = run(["chroot", target.root, "rpm", "--eval", "%_dbpath"], env={"HOME": "/"})
    wanted, made = target.place(said.text.strip()), target.place(_DATABASE)
    if wanted == made:
        return
    wanted.mkdir(parents=True, exist_ok=True)
    for path in made.iterdir():
        shutil.move(path, wanted / path.name)
    made.rmdir()
