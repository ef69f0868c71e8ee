"""How a network device is set up: one model for the command line, kickstarts and what they become.

Addresses are checked here, before anything is written: what passes can be an address of a machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Final

from .errors import UsageError

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

SETTING: Final = "network"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")  # as the kernel limits it, see dev.c
_MAC: Final = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_MAX_HOST: Final = 64  # HOST_NAME_MAX of linux/limits.h
_SHORTEST_MTU: Final = {4: 68, 6: 1280}  # RFC 791, RFC 8200
_LONGEST_MTU: Final = 65535
_BITS: Final = {4: 32, 6: 128}
_USUAL: Final = {4: 24, 6: 64}
_SHARED: Final = 31  # from this prefix on an IPv4 network has no address of its own: RFC 3021
_PREFIX: Final = re.compile(r"[0-9]{1,3}", re.ASCII)


def host_fault(name: str) -> str | None:
    """Return why no machine can be called so, see hostname(5); None: it can."""
    if len(name) > _MAX_HOST:
        return f"it has {len(name)} characters, not up to {_MAX_HOST}"
    if not _DOMAIN.fullmatch(name):
        return "use letters, digits and '-', in parts that '.' separates"
    return None


class Way(StrEnum):
    """Where a device's addresses come from."""

    AUTO = "auto"  # DHCP for IPv4, for IPv6 what the router says
    DHCP = "dhcp"  # DHCPv6, whatever the router says
    STATIC = "static"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """IPv4 or IPv6 of a device. ``address`` is there exactly where ``way`` is STATIC."""

    way: Way = Way.AUTO
    address: Interface | None = None
    gateway: Address | None = None
    search: tuple[str, ...] = ()
    ignore_dns: bool = False  # the name servers that the network tells

    def __post_init__(self) -> None:
        if (self.way is Way.STATIC) != (self.address is not None):
            raise _error("a static address is missing, or one is given beside another way")
        for domain in self.search:
            if not _DOMAIN.fullmatch(domain):
                raise _error(f"'{domain}' is no domain")
        if self.address is not None:
            _check_own(self.address)
        if self.gateway is None:
            return
        if self.address is None:
            raise _error(f"the gateway {self.gateway} goes with a static address alone")
        if self.gateway == self.address.ip:
            raise _error(f"the gateway {self.gateway} is the machine's own address")
        _check_unicast(self.gateway)
        if self.gateway.version == 4 and not self.reaches and self.address.network.prefixlen < 32:
            raise _error(f"the gateway {self.gateway} is not in the network {self.address.network}")

    @property
    def reaches(self) -> bool:
        """Whether the gateway is in the network of the address."""
        return (
            self.address is not None
            and self.gateway is not None
            and self.gateway in self.address.network
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One device. ``device`` is a name or a hardware address; None: the one with a cable in it."""

    device: str | None = None
    v4: Protocol = Protocol()
    v6: Protocol = Protocol()
    servers: tuple[Address, ...] = ()  # of names
    mtu: int | None = None
    default_route: bool = True
    on_boot: bool = True
    by_mac: bool = False  # bind what is written to the hardware, whatever its name
    activate: bool = True  # while the machine is installed
    name: str | None = None  # that the kernel gives to the hardware, where that is known

    def __post_init__(self) -> None:
        device = self.device
        if device is not None and not (is_mac(device) or is_device(device)):
            raise _error(f"'{device}' is no network device", hint="such as enp1s0, or its MAC")
        for server in self.servers:
            if server.is_multicast or server.is_unspecified:
                raise _error(f"{server} is no address of a name server")
        if self.mtu is not None:
            least = _SHORTEST_MTU[4 if self.v6.way is Way.OFF else 6]
            if not least <= self.mtu <= _LONGEST_MTU:
                raise _error(f"the MTU {self.mtu} is not from {least} to {_LONGEST_MTU}")

    @property
    def known_as(self) -> str | None:
        """The name that the kernel has for it, as far as that is known."""
        return self.device if self.device is not None and not is_mac(self.device) else self.name

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing that a machine would not do by itself."""
        return (self.v4, self.v6, self.servers, self.mtu, self.default_route, self.on_boot) == (
            Protocol(), Protocol(), (), None, True, True,
        )  # fmt: skip


def is_mac(text: str) -> bool:
    """Say whether a device is named by its hardware address, in lower case."""
    return _MAC.fullmatch(text) is not None


def is_device(text: str) -> bool:
    """Say whether a text can be the name that the kernel has for a device."""
    return _NAME.fullmatch(text) is not None


def named(text: str) -> str | None:
    """Return the device that a text names, as Link has it; ``link`` or nothing is any."""
    lower = text.lower()
    if lower in ("", "link"):
        return None
    return lower if is_mac(lower) else text


def address(text: str, version: int | None = None) -> Address:
    """Return an address of that version. Raises UsageError."""
    try:
        found = ip_address(text)
    except ValueError:
        found = None
    if found is None or version not in (None, found.version) or "%" in text:
        raise _error(f"'{text}' is no {'IP' if version is None else f'IPv{version}'} address")
    return found


def static(text: str, version: int, *, prefix: str | None = None) -> Interface:
    """Return an address with the length of its network's prefix. Raises UsageError.

    ``text`` is ADDRESS/PREFIX, or the address alone where ``prefix`` is given beside it.
    """
    plain, slash, behind = text.partition("/")
    found = address(plain, version)
    if not slash and prefix is None:
        raise _error(f"'{text}' has no prefix", hint=f"write it like {plain}/{_USUAL[version]}")
    length = behind if slash else prefix or ""
    if not _PREFIX.fullmatch(length) or not 1 <= int(length) <= _BITS[version]:
        raise _error(f"'{text}': '{length}' is no length from 1 to {_BITS[version]}")
    return (IPv4Interface if version == 4 else IPv6Interface)(f"{found}/{int(length)}")


def prefix_of(netmask: str) -> str:
    """Return the length of the prefix that an IPv4 netmask leaves. Raises UsageError."""
    mask = int(address(netmask, 4))
    length = f"{mask:032b}".rstrip("0")
    if "0" in length or not length:
        raise _error(f"'{netmask}' is no netmask", hint="such as 255.255.255.0")
    return str(len(length))


def number(text: str, what: str) -> int:
    """Return a number of decimal digits. Raises UsageError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise _error(f"'{text}' is no {what}")
    return int(text)


def check_devices(links: Sequence[Link]) -> None:
    """Refuse two descriptions of one device. Raises UsageError naming it."""
    seen: set[str | None] = set()
    for link in links:
        if link.device in seen:
            raise _error(f"'{link.device or 'link'}' is set up twice")
        seen.add(link.device)


def parse(text: str) -> Link:
    """Return what the command line says of a device: KEY=VALUE,KEY=VALUE. Raises UsageError."""
    values: dict[str, list[str]] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if key not in _KEYS:
            raise _error(f"'{part}' is not understood", hint="known are: " + ", ".join(_KEYS))
        if not equals or not value:
            raise _error(f"'{key}' has no value", hint=f"write it like {key}={_KEYS[key]}")
        if key in values and key not in _SEVERAL:
            raise _error(f"'{key}' is given twice: {', '.join((*values[key], value))}")
        values.setdefault(key, []).append(value)
    one = {key: found[0] for key, found in values.items()}
    search = values.get("search", [])
    by4 = one.get("ip") != "off"
    return Link(
        device=named(one.get("device", "")),
        v4=_protocol(one.get("ip", "dhcp"), 4, one.get("gateway"), search if by4 else ()),
        v6=_protocol(one.get("ipv6", "auto"), 6, one.get("ipv6gateway"), () if by4 else search),
        servers=tuple(address(server) for server in values.get("dns", ())),
        mtu=number(one["mtu"], "MTU") if "mtu" in one else None,
        on_boot=_boolean(one.get("onboot", "yes")),
    )


# What a description may have, and what it may look like.
_KEYS: Final = {
    "device": "enp1s0", "ip": "192.0.2.5/24", "gateway": "192.0.2.1",
    "ipv6": "2001:db8::5/64", "ipv6gateway": "fe80::1", "dns": "192.0.2.53",
    "search": "example.org", "mtu": "9000", "onboot": "no",
}  # fmt: skip
_SEVERAL: Final = ("dns", "search")
_WAYS: Final = {
    4: {"dhcp": Way.AUTO, "off": Way.OFF},
    6: {"auto": Way.AUTO, "dhcp": Way.DHCP, "off": Way.OFF},
}


def _protocol(text: str, version: int, gateway: str | None, search: Iterable[str]) -> Protocol:
    way = _WAYS[version].get(text)
    return Protocol(
        way=way or Way.STATIC,
        address=None if way is not None else static(text, version),
        gateway=address(gateway, version) if gateway is not None else None,
        search=tuple(search),
    )


def _boolean(text: str) -> bool:
    if text not in ("yes", "no"):
        raise _error(f"'{text}' is neither yes nor no")
    return text == "yes"


def _check_unicast(found: Address) -> None:
    reserved = found.version == 4 and found.is_reserved  # for IPv6 that is all but today's
    if found.is_multicast or found.is_unspecified or found.is_loopback or reserved:
        raise _error(f"{found} is no address of a machine")


def _check_own(found: Interface) -> None:
    _check_unicast(found.ip)
    network = found.network
    if found.version == 4 and network.prefixlen < _SHARED and found.ip in (
        network.network_address, network.broadcast_address,
    ):  # fmt: skip
        what = "network" if found.ip == network.network_address else "broadcast address"
        raise _error(f"{found.ip} is no address of a machine: it is the {what} of {network}")


def _error(message: str, *, hint: str | None = None) -> UsageError:
    return UsageError(message, hint=hint, setting=SETTING)
