"""What a medium is going to be, decided before anything of it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...arch import Machine
from ...config import IsoRequest
from ...decision import Decision
from ...terminal import page
from ...tree import Directory
from ...units import MIB, format_size
from ..kickstarts.kickstart import Packages
from ..kickstarts.merging import Met, united
from ..menus.menu import Choices, Submenu, make

SCHEMA_VERSION: Final = 1
_NOT_LABEL: Final = re.compile(r"[^A-Za-z0-9_.+-]+")
_NOT_TITLE: Final = re.compile(r"[^A-Za-z0-9 _.,:()/+-]+")
_MAX_LABEL: Final = 32
_STARTING: Final = 64 * MIB  # boot loaders twice, an initramfs, tables: what else is on a medium
# What libosinfo's database and the distributions' own installers know; else NAME-VERSION-ARCH.
_LABELS: Final = {
    "fedora": "Fedora-S-dvd-{arch}-{version}",
    "centos": "CentOS-Stream-{version}-BaseOS-{arch}",
    "rhel": "RHEL-{dashed}-0-BaseOS-{arch}",
    "almalinux": "AlmaLinux-{dashed}-{arch}-dvd",
    "rocky": "Rocky-{dashed}-{arch}-dvd",
    "ol": "OL-{dashed}-0-BaseOS-{arch}",
}
_LANGUAGES: Final = {"fedora": "F{major}", "rhel": "RHEL{major}", "centos": "RHEL{major}",
                     "almalinux": "RHEL{major}", "rocky": "RHEL{major}",
                     "ol": "RHEL{major}"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """What a plan has to know of an installer, of whatever kind; sizes in bytes."""

    title: str  # in words
    anaconda: bool
    kernel: str  # its release, or where it lies on the vendor's medium
    language: str  # of kickstarts
    identity: str = ""  # tells it from others
    label: str | None = None  # of the vendor's medium; None: by what is installed
    release: Mapping[str, str] = field(default_factory=dict[str, str])  # os-release
    kargs: tuple[str, ...] = ()
    fips: bool = False  # can be started in FIPS mode
    stamped: bool = True  # Anaconda knows its name
    repository: Packages | None = None  # what lies on the vendor's medium
    runtime_bytes: int = 0
    base_bytes: int = 0
    overlay: Directory | None = None  # the vendor's product.img
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoPlan:
    """All that will be done for one medium; sizes in bytes."""

    request: IsoRequest
    machine: Machine
    digest: str  # of the payload
    platform: str = ""  # of an index, as a disk's
    title: str  # of the payload
    product: str
    version: str
    label: str
    installer: str  # in words
    kickstart_version: str
    kernel: str  # of the installer
    choices: Choices
    kickstarts: tuple[str, ...]
    for_server: str | None = None  # the kickstart that installs without a question
    deployment: Decision  # what machines get, as far as it is known here
    timestamp: int
    payload_bytes: int  # on the medium
    package_bytes: int
    runtime_bytes: int  # of the installer's files before they are compressed
    base_bytes: int = 0  # of the medium that is remastered
    given: tuple[str, ...] = ()  # files that the installer gets to reach registries
    met: tuple[Met, ...] = ()  # what the commands of unattended ones come from, where both say it
    warnings: tuple[str, ...] = ()

    @property
    def most_bytes(self) -> int:
        """What the medium takes at most."""
        held = self.payload_bytes + self.package_bytes + self.runtime_bytes + self.base_bytes
        return held + _STARTING


def default_label(release: Mapping[str, str], machine: Machine) -> str:
    """Return the label a medium has when none is given, by os-release of what it installs."""
    version = release.get("VERSION_ID", "")
    pattern = _LABELS.get(release.get("ID", "")) if version else None
    if pattern is not None:
        text = pattern.format(arch=machine.name, version=version, dashed=version.replace(".", "-"))
    else:
        name = release.get("ID") or "diskgen"
        text = "-".join(part for part in (name.capitalize(), version, machine.name) if part)
    return _NOT_LABEL.sub("-", text)[:_MAX_LABEL]


def plain_title(text: str) -> str:
    """Return a name as boot menus and kickstarts can have it."""
    return " ".join(_NOT_TITLE.sub(" ", text).split()) or "Linux"


def language_of(release: Mapping[str, str], known: tuple[str, ...]) -> str:
    """Return the version of the kickstart language that an installer takes, by its os-release.

    An installer that is none of those known takes the newest.
    """
    pattern = _LANGUAGES.get(release.get("ID", ""), "")
    name = pattern.format(major=release.get("VERSION_ID", "").partition(".")[0])
    newest = max((v for v in known if v.startswith("F")), key=lambda v: int(v[1:]))
    return name if name in known else newest


def to_json(plan: IsoPlan) -> dict[str, Any]:
    """Return the plan as JSON values; the keys are a contract, ``version`` counts its changes."""
    return {
        "version": SCHEMA_VERSION,
        "format": "iso",
        "output": str(plan.request.output) if plan.request.output else None,
        "image": {
            "source": str(plan.request.source),
            "digest": plan.digest,
            "architecture": plan.machine.name,
            "platform": plan.platform or None,
            "title": plan.title,
        },
        "deployment": {
            "stateroot": plan.deployment.stateroot,
            "origin": plan.deployment.origin,
            "kargs": list(plan.deployment.words),
            "root_filesystem": str(plan.deployment.root_filesystem),
        },
        "installer": {
            "kind": plan.installer,
            "kernel": plan.kernel,
            "kickstart_version": plan.kickstart_version,
            "kickstarts": list(plan.kickstarts),
            "given": list(plan.given),
            "commands": [
                {"command": one.command, "from": one.origin, "arguments": list(one.arguments)}
                for one in plan.met
            ],
        },
        "medium": {
            "label": plan.label,
            "identifier": plan.choices.identity,
            "product": plan.product,
            "payload": plan.request.payload,
            "payload_bytes": plan.payload_bytes,
            "package_bytes": plan.package_bytes,
            "runtime_bytes": plan.runtime_bytes,
            "base_bytes": plan.base_bytes,
            "most_bytes": plan.most_bytes,
            "menu": _entries(plan),
        },
        "warnings": list(plan.warnings),
    }


def to_text(plan: IsoPlan) -> str:
    """Return the plan for people."""
    where = {
        "embedded": f"on the medium, {format_size(plan.payload_bytes)}",
        "remote": "from its registry, while the machine is installed",
        "both": f"from its registry, else the {format_size(plan.payload_bytes)} on the medium",
    }[plan.request.payload]
    lines = [
        plan.title,
        f"  image       {plan.request.source.short}",
        f"  digest      {plan.digest}"
        + (f", {plan.platform} of an index" if plan.platform else ""),
        f"  comes       {where}",
        f"  updates     {plan.deployment.origin}",
        f"  kargs       {' '.join(plan.deployment.words) or '-'}",
        "",
        f"  installer   {plan.installer}",
        f"  kernel      {plan.kernel}",
        f"  kickstarts  {plan.kickstart_version}: {', '.join(plan.kickstarts)}",
        f"  is given    {', '.join(plan.given)}",
        *([("  commands    " + "\n              ".join(united(plan.met)))] if plan.met else []),
        "",
        f"  label       {plan.label}",
        f"  size        at most {format_size(plan.most_bytes)}",
    ]
    wanted = plan.request.customizations
    if wanted.overridden:
        lines.append(f"  options     win over '{wanted.source}': {', '.join(wanted.overridden)}")
    for number, entry in enumerate(_entries(plan)):
        lines.append(f"  {'' if number else 'menu':<10}  {entry}")
    for warning in plan.warnings:
        lines += ["", f"warning: {warning}"]
    return page(lines)


def _entries(plan: IsoPlan) -> list[str]:
    made = make(plan.choices, kernel="", initrd="", bios=bool(plan.machine.bios_grub))
    out: list[str] = []
    for entry in made.entries:
        if isinstance(entry, Submenu):
            out += [f"{entry.title}: {inner.title}" for inner in entry.entries]
        else:
            out.append(entry.title)
    return out
