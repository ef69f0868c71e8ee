"""What firewalld lets in, as the files of its zones: firewalld.zone(5), firewalld.conf(5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from ..blueprint.model import Firewall
from ..link import is_mac
from .files import Files, RefusalError
from .zone import NoZoneError, with_element, without_element

_CONFIG: Final = "etc/firewalld/firewalld.conf"
_ZONES: Final = "etc/firewalld/zones"
_VENDOR: Final = "usr/lib/firewalld"
_SERVICES: Final = ("etc/firewalld/services", f"{_VENDOR}/services")
_DEFAULT: Final = "public"
_TRUSTED: Final = "trusted"  # in which all is let in
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_NAMED_PORT: Final = re.compile(r"[a-z]", re.ASCII)


def apply(files: Files, firewall: Firewall) -> None:
    """Change the zones of a machine. Raises RefusalError."""
    if firewall == Firewall():
        return
    if files.directory(f"{_VENDOR}/zones") is None:
        raise RefusalError(
            "the image has no firewalld, which the firewall's settings are for",
            "leave them out, or install firewalld in the image",
        )
    for service in (*firewall.enabled, *firewall.disabled):
        if all(files.find(f"{place}/{service}.xml") is None for place in _SERVICES):
            raise RefusalError(
                f"the firewall's service '{service}' is none that the image knows",
                "name one that firewalld of the image knows, or a port",
            )
    if firewall.ports or firewall.enabled or firewall.disabled:
        name = _default_zone(files)
        text = _zone(files, name)
        for service in firewall.disabled:
            text = _changed(without_element, text, name, "service", {"name": service})
        for service in firewall.enabled:
            text = _changed(with_element, text, name, "service", {"name": service})
        for port in firewall.ports:
            number, _colon, protocol = port.partition(":")
            word = _number(files, number, protocol) if _NAMED_PORT.match(number) else number
            attributes = {"port": word, "protocol": protocol}
            text = _changed(with_element, text, name, "port", attributes)
        files.write(f"{_ZONES}/{name}.xml", text)
    if firewall.trusted:
        text = _zone(files, _TRUSTED)
        for device in firewall.trusted:
            text = _changed(with_element, text, _TRUSTED, "interface", {"name": device})
        files.write(f"{_ZONES}/{_TRUSTED}.xml", text)
    for zone in firewall.zones:
        text = _zone(files, zone.name)
        for source in zone.sources:
            kind = "mac" if is_mac(source.lower()) else "address"
            text = _changed(with_element, text, zone.name, "source", {kind: source})
        files.write(f"{_ZONES}/{zone.name}.xml", text)


def _default_zone(files: Files) -> str:
    found = re.findall(r"^DefaultZone=(\S+)", files.text(_CONFIG) or "", re.MULTILINE)
    return found[-1] if found and _NAME.fullmatch(found[-1]) else _DEFAULT


def _zone(files: Files, name: str) -> str:
    """Return a zone as the machine has it; a new one where it has none."""
    for place in (_ZONES, f"{_VENDOR}/zones"):
        text = files.text(f"{place}/{name}.xml")
        if text is not None:
            return text
    return f'<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>{name}</short>\n</zone>\n'


def _changed(
    change: Callable[[str, str, Mapping[str, str]], str],
    text: str,
    name: str,
    element: str,
    attributes: Mapping[str, str],
) -> str:
    try:
        return change(text, element, attributes)
    except NoZoneError:
        raise RefusalError(
            f"the firewall's zone '{name}' of the image is no zone of firewalld"
        ) from None


def _number(files: Files, name: str, protocol: str) -> str:
    """Return the number of a port that services(5) names."""
    for line in (files.text("etc/services") or "").splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and name in (words[0], *words[2:]) and words[1].endswith(f"/{protocol}"):
            return words[1].partition("/")[0]
    raise RefusalError(
        f"the firewall's port '{name}:{protocol}' is none that the image's services(5) names",
        "give its number",
    )
