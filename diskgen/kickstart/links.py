"""Network devices as a kickstart and the kernel's command line describe them.

Semantics: pykickstart's documentation of ``network``; dracut.cmdline(7) of ``ip=``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import UsageError
from ..link import (
    Address,
    Link,
    Protocol,
    Way,
    address,
    check_devices,
    is_mac,
    named,
    number,
    prefix_of,
    static,
)

_WAYS6: Final = {"": Way.AUTO, "auto": Way.AUTO, "dhcp": Way.DHCP, "ignore": Way.OFF}
_USUAL_PREFIX6: Final = "64"  # where a kickstart names none
_WORD: Final = re.compile(r"\[[^\]\s]*\]|[^\s\[\]:]*")
# What ``ip=`` says at its end: (IPv4, IPv6). Dracut's further words are other words for these.
_AUTOCONF: Final = {
    "dhcp": (Way.AUTO, Way.AUTO), "on": (Way.AUTO, Way.AUTO), "any": (Way.AUTO, Way.AUTO),
    "both": (Way.AUTO, Way.AUTO), "either6": (Way.AUTO, Way.AUTO),
    "single-dhcp": (Way.AUTO, Way.AUTO), "dhcp4": (Way.AUTO, Way.AUTO),
    "auto6": (Way.OFF, Way.AUTO), "dhcp6": (Way.OFF, Way.DHCP),
    "none": (Way.STATIC, Way.AUTO), "off": (Way.STATIC, Way.AUTO), "": (Way.STATIC, Way.AUTO),
}  # fmt: skip
_LEAST_FIELDS: Final = 4  # as PXELINUX writes it
_FIELDS: Final = 7  # before the name servers, or MTU and hardware address


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What the kernel's command line says."""

    links: tuple[Link, ...] = ()
    hostname: str | None = None


def of_kickstart(handler: Any, name: str) -> tuple[Link, ...]:  # noqa: ANN401
    """Return the devices of a kickstart. Where none is said to be activated, the first one is.

    Raises UsageError naming the file and the line.
    """
    made: list[Link] = []
    lines = handler.network.network
    for data in lines:
        try:
            link = _of_line(data, first=all(link.is_plain for link in made))
            if data.hostname and link.is_plain and not link.device and len(lines) > 1:
                continue  # it names the machine, as Anaconda takes it
            merged = _merged(made, link)
            check_devices(merged)
        except UsageError as error:
            raise UsageError(
                f"'{name}', line {data.lineno}: network: {error.message}", hint=error.hint
            ) from error
        made = merged
    return tuple(made)


def of_boot(cmdline: str) -> Booted:
    """Return what ``ip=`` and ``nameserver=`` of the kernel's arguments say. Raises UsageError."""
    links: list[Link] = []
    servers: list[Address] = []
    hostname: str | None = None
    for word in cmdline.split():
        key, _equals, value = word.partition("=")
        if key not in ("ip", "nameserver"):
            continue
        try:
            if key == "nameserver":
                servers.append(address(value.strip("[]")))
                continue
            link, name = _of_argument(value)
            hostname = name or hostname
            links = _merged(links, link)
            check_devices(links)
        except UsageError as error:
            raise UsageError(
                f"the kernel argument '{word}': {error.message}",
                hint="write it like ip=192.0.2.5::192.0.2.1:255.255.255.0:HOST:enp1s0:none, or "
                "ip=dhcp",
            ) from error
    if servers:
        links = [_with_servers(link, (*link.servers, *servers)) for link in links or [Link()]]
    return Booted(links=tuple(links), hostname=hostname)


def _merged(links: Sequence[Link], link: Link) -> list[Link]:
    """Return the devices with one more; what says nothing makes room for what does."""
    if link.is_plain and any(other.device == link.device for other in links):
        return list(links)
    return [*(o for o in links if not (o.is_plain and o.device == link.device)), link]


def _of_line(data: Any, *, first: bool) -> Link:  # noqa: ANN401
    activate = getattr(data, "activate", None)
    device = named(data.device)
    by_mac = getattr(data, "bindto", None) == "mac" and not (device and is_mac(device))
    servers = _listed(data.nameserver)
    if data.nodns and servers:
        raise UsageError("--nodns and --nameserver contradict each other")
    return Link(
        device=device,
        v4=_v4(data),
        v6=_v6(data),
        servers=tuple(address(server) for server in servers),
        mtu=number(data.mtu, "MTU") if data.mtu else None,
        default_route=not data.nodefroute,
        on_boot=bool(data.onboot),
        by_mac=by_mac,
        activate=first if activate is None else bool(activate),
    )


def _v4(data: Any) -> Protocol:  # noqa: ANN401
    given = [option for option, value in (("--ip", data.ip), ("--netmask", data.netmask),
                                          ("--gateway", data.gateway)) if value]  # fmt: skip
    if data.noipv4:
        if given:
            raise UsageError(f"{given[0]} and --noipv4 contradict each other")
        return Protocol(way=Way.OFF)
    if data.bootProto != "static":
        if given:
            raise UsageError(f"{given[0]} goes with --bootproto=static")
        way, own = Way.AUTO, None
    else:
        if not (data.ip and data.netmask):
            raise UsageError("--bootproto=static takes --ip and --netmask")
        if "/" in data.ip:
            raise UsageError(f"--ip={data.ip} has a prefix", hint="--netmask says how long it is")
        way, own = Way.STATIC, static(data.ip, 4, prefix=prefix_of(data.netmask))
    return Protocol(
        way=way,
        address=own,
        gateway=address(data.gateway, 4) if data.gateway else None,
        search=tuple(_listed(getattr(data, "ipv4_dns_search", None))),
        ignore_dns=bool(data.nodns or getattr(data, "ipv4_ignore_auto_dns", None)),
    )


def _v6(data: Any) -> Protocol:  # noqa: ANN401
    if data.noipv6:
        if data.ipv6 or data.ipv6gateway:
            raise UsageError("--noipv6 contradicts --ipv6 and --ipv6gateway")
        return Protocol(way=Way.OFF)
    way = _WAYS6.get(data.ipv6)
    return Protocol(
        way=way or Way.STATIC,
        address=None if way else static(data.ipv6, 6, prefix=_USUAL_PREFIX6),
        gateway=address(data.ipv6gateway, 6) if data.ipv6gateway else None,
        search=tuple(_listed(getattr(data, "ipv6_dns_search", None))),
        ignore_dns=bool(data.nodns or getattr(data, "ipv6_ignore_auto_dns", None)),
    )


def _listed(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _of_argument(text: str) -> tuple[Link, str | None]:
    """Return the device and the host's name of one ``ip=``."""
    fields = list(_fields(text))
    if len(fields) <= 2 or (fields[1] and fields[1] in _AUTOCONF):  # WAY, or DEVICE:WAY[:MTU]
        device, way, *rest = ["", *fields] if len(fields) == 1 else fields
        v4, v6 = _autoconf(way)
        if v4 is Way.STATIC:
            raise UsageError(f"'{way}' takes an address")
        servers, mtu = _behind(rest)
        if servers:
            raise UsageError(f"'{servers[0]}' is no MTU")
        made = Link(device=named(device), v4=Protocol(way=v4), v6=Protocol(way=v6), mtu=mtu)
        return made, None
    if len(fields) < _LEAST_FIELDS:
        raise UsageError("it is too short")
    fields += [""] * (_FIELDS - len(fields))
    own, _peer, gateway, mask, host, device, way = fields[:_FIELDS]
    servers, mtu = _behind(fields[_FIELDS:])
    v4, v6 = _autoconf(way)
    if v4 is not Way.STATIC:
        first, second = Protocol(way=v4), Protocol(way=v6)
    elif ":" in own:
        first, second = Protocol(way=Way.OFF), _static(own, mask or _USUAL_PREFIX6, gateway, 6)
    else:
        length = mask if mask.isdecimal() else prefix_of(mask)
        first, second = _static(own, length, gateway, 4), Protocol()
    link = Link(device=named(device), v4=first, v6=second, mtu=mtu,
                servers=tuple(address(server) for server in servers))  # fmt: skip
    return link, host or None


def _static(own: str, prefix: str, gateway: str, version: int) -> Protocol:
    return Protocol(
        way=Way.STATIC,
        address=static(own, version, prefix=prefix),
        gateway=address(gateway, version) if gateway else None,
    )


def _behind(fields: Sequence[str]) -> tuple[list[str], int | None]:
    """Return the name servers, or the MTU, that stand at the end."""
    if any(is_mac(":".join(fields[at : at + 6]).lower()) for at in range(len(fields))):
        raise UsageError("a hardware address is not taken here")
    if fields and fields[0].isdecimal():
        if any(fields[1:]):
            raise UsageError(f"'{':'.join(fields[1:])}' is not understood")
        return [], number(fields[0], "MTU")
    return [field for field in fields if field], None


def _autoconf(word: str) -> tuple[Way, Way]:
    if word not in _AUTOCONF:
        raise UsageError(f"'{word}' is not understood", hint="known are: " + ", ".join(_AUTOCONF))
    return _AUTOCONF[word]


def _fields(text: str) -> Iterator[str]:
    """Yield what stands between colons; an address of IPv6 is in brackets."""
    at = 0
    while True:
        match = _WORD.match(text, at)
        assert match is not None  # it matches nothing, too
        yield match[0].strip("[]")
        at = match.end()
        if at == len(text):
            return
        if text[at] != ":":
            raise UsageError(f"'{text[at:]}' is not understood")
        at += 1


def _with_servers(link: Link, servers: tuple[Address, ...]) -> Link:
    return replace(link, servers=tuple(dict.fromkeys(servers)))
