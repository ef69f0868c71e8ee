"""What a description may say of its medium: sudo, modules of Anaconda, the volume's descriptor.

Modules: Anaconda's ``pyanaconda/modules``, by the commands that each of them handles. Descriptor:
ECMA-119 (4th edition), 8.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..accounts import name_fault
from .model import Customizations, Firewall, Services

MODULES: Final = "org.fedoraproject.Anaconda.Modules."
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
_NO_NAMES: Final = re.compile(r"ALL|Defaults|[A-Z][a-z]+_Alias")  # words of sudoers(5)
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_DESCRIBED: Final = 128  # bytes of a descriptor's field
_IN_FILE: Final = "_"  # begins the name of a file that has the text


@dataclass(frozen=True, slots=True)
class MediaFault:
    """Why a value cannot be; ``path`` is below the customizations."""

    path: str
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Module:
    """What is lost without a module of Anaconda; ``asked``: None is what every medium needs."""

    name: str
    what: str
    asked: Callable[[Customizations], object] | None


CARRIED: Final = (
    Module("Payloads", "the image", None),
    Module("Storage", "the disk", None),
    Module("Users", "accounts, groups and keys", lambda w: w.users or w.groups),
    Module("Network", "the machine's name, network and firewall",
           lambda w: w.hostname or w.links or w.firewall != Firewall()),
    Module("Localization", "languages and the keyboard", lambda w: w.languages or w.keyboard),
    Module("Timezone", "the time zone and its servers", lambda w: w.timezone or w.ntp_servers),
    Module("Services", "units", lambda w: w.services != Services()),
)  # fmt: skip


def faults(wanted: Customizations) -> Iterator[MediaFault]:
    """Yield all that is wrong with what a description says of its medium."""
    for entry in wanted.sudo_nopasswd:
        fault = name_fault(entry.removeprefix("%"))
        if _NO_NAMES.fullmatch(entry):
            fault = "it means another thing to sudo"
        if fault is not None:
            message = f"'{entry}' is neither an account nor a group behind '%'"
            yield MediaFault("installer.sudo-nopasswd", message, fault)
    yield from _modules(wanted)
    yield from _volume(wanted)


def _modules(wanted: Customizations) -> Iterator[MediaFault]:
    installer = wanted.installer
    for name, modules in (("enable", installer.enabled), ("disable", installer.disabled)):
        for module in modules:
            if not _MODULE.fullmatch(module):
                message = f"'{module}' is no module of Anaconda"
                yield MediaFault(f"installer.modules.{name}", message, f"such as {MODULES}Timezone")
    for row in CARRIED:
        if f"{MODULES}{row.name}" not in installer.disabled:
            continue
        if row.asked is None or row.asked(wanted):
            yield MediaFault(
                "installer.modules.disable",
                f"'{MODULES}{row.name}' cannot be disabled: it sets up {row.what}",
                "leave it in" if row.asked is None else "leave it in, or that out",
            )


def _volume(wanted: Customizations) -> Iterator[MediaFault]:
    volume = wanted.volume
    if volume.label is not None and not _LABEL.fullmatch(volume.label):
        hint = "use 1 to 32 of the letters a to z, digits, _ and -"
        yield MediaFault("iso.volume_id", f"'{volume.label}' is no label of a medium", hint)
    for path, text in (
        ("application_id", volume.application), ("publisher", volume.publisher),
    ):  # fmt: skip
        if text is None:
            continue
        fits = 0 < len(text) <= _DESCRIBED and text.isascii() and text.isprintable()
        if not fits or text.startswith(_IN_FILE) or text != text.strip():
            yield MediaFault(
                f"iso.{path}",
                f"'{text[:40]}' cannot be in a medium's descriptor",
                f"use 1 to {_DESCRIBED} characters of ASCII, and no '_' at the beginning",
            )
