"""How a network device is written down, for what brings a system's network up.

Formats: nm-settings-keyfile(5), systemd.network(5), interfaces(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..identifiers import derive_uuid
from ..link import Link, Protocol, Way, is_mac
from .system import NOWHERE, UNITS, System, program

MANAGER: Final = "NetworkManager.service"
NETWORKD: Final = "systemd-networkd.service"
IFUPDOWN: Final = "networking.service"
RESOLVED: Final = "systemd-resolved.service"
SERVERS: Final = "etc/resolv.conf"
NONE: Final = "the system has no NetworkManager and no other service for its network"

# Of ifupdown, interfaces(5): its file, and what that has at first.
_INTERFACES: Final = "etc/network/interfaces"
_LOOPBACK: Final = "auto lo\niface lo inet loopback\n"
_SOURCED: Final = re.compile(r"^[ \t]*source(-directory)?[ \t].*\binterfaces\.d\b", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Main:
    """A service's file that has to name the directory of the others: by ``line``, at its end.

    ``first`` is what it has where the system has none.
    """

    path: str
    first: str
    line: str
    named: re.Pattern[str]

    def naming(self, text: str | None) -> str | None:
        """Return the file as it has to be; None: it is."""
        old = self.first if text is None else text
        if self.named.search(old):
            return None
        joint = "" if old.endswith("\n") or not old else "\n"
        return f"{old}{joint}{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How a service's files of devices are called and read."""

    folder: str
    start: str  # of a file's name
    suffix: str
    text: Callable[[Link], str]
    mode: int = 0o644
    by_name: bool = False  # it knows devices by the kernel's names alone
    main: Main | None = None
    takes_servers: bool = False  # tells everybody the name servers of its files

    def path(self, link: Link, folder: str = "") -> str:
        """Return the file of a device, in the usual folder or in another one."""
        name = link.known_as if self.by_name else ident(link)
        return f"{folder or self.folder}/{self.start}{name}{self.suffix}"


def service_of(system: System) -> str | None:
    """Return the unit that brings a network up: what is enabled, else what will be."""
    there = [unit for unit in (MANAGER, NETWORKD, IFUPDOWN) if _has(system, unit)]
    enabled = [unit for unit in there if _is_enabled(system, unit)]
    # systemd brings networkd to everyone; who does not enable it does not mean it.
    later = [unit for unit in there if unit != NETWORKD]
    return next(iter((*enabled, *later)), None)


def _has(system: System, unit: str) -> bool:
    if system.link(f"{UNITS[0]}/{unit}") == NOWHERE:
        return False
    return any(system.has(f"{place}/{unit}") for place in UNITS)


def _is_enabled(system: System, unit: str) -> bool:
    return any(
        name.endswith(f".wants/{unit}") and name.count("/") == 1
        for place in UNITS
        for name in system.names(place)
    )


def servers(links: Sequence[Link], written: Written, system: System) -> str | None:
    """Return resolv.conf(5) with the name servers, where nobody takes them from elsewhere."""
    found = dict.fromkeys(server for link in links for server in link.servers)
    search = dict.fromkeys(d for link in links for p in _protocols(link) for d in p.search)
    asked = (
        written.takes_servers
        or program(system, "resolvconf")
        or _has(system, RESOLVED)
        or system.link(SERVERS) is not None
    )
    if not found or asked:
        return None
    lines = [f"search {' '.join(search)}"] if search else []
    return "\n".join([*lines, *(f"nameserver {server}" for server in found), ""])


def ident(link: Link) -> str:
    """Return what files and connections of a device are called."""
    assert link.device is not None
    return link.device.replace(":", "-")


def networkd(link: Link) -> str:
    """Return a device's file for systemd-networkd."""
    assert link.device is not None
    ways = (link.v4.way, link.v6.way)
    dhcp = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}.get(
        (ways[0] is Way.AUTO, ways[1] is Way.DHCP), "no"
    )
    local = "no" if link.v6.way is Way.OFF else "ipv6"
    search = dict.fromkeys((*link.v4.search, *link.v6.search))
    route, told = link.default_route, (not link.v4.ignore_dns, not link.v6.ignore_dns)
    match = ("MACAddress", link.device) if is_mac(link.device) else ("Name", link.device)
    return _ini(
        ("Match", [match, ("Type", "ether")]),
        (
            "Link",
            [("MTUBytes", link.mtu), ("ActivationPolicy", None if link.on_boot else "manual")],
        ),
        (
            "Network",
            [
                ("DHCP", dhcp),
                ("IPv6AcceptRA", "yes" if link.v6.way is Way.AUTO else "no"),
                ("LinkLocalAddressing", local),
                *(("Address", p.address) for p in _protocols(link) if p.address is not None),
                *(("DNS", server) for server in link.servers),
                ("Domains", " ".join(search) or None),
            ],
        ),
        *(
            ("Route", [("Gateway", p.gateway), ("GatewayOnLink", None if p.reaches else "yes")])
            for p in _protocols(link)
            if p.gateway is not None and route
        ),
        ("DHCPv4", [("UseDNS", _no(told[0])), ("UseGateway", _no(route))]),
        (
            "DHCPv6",
            [
                ("UseDNS", _no(told[1])),
                ("WithoutRA", "solicit" if link.v6.way is Way.DHCP else None),
            ],
        ),
        ("IPv6AcceptRA", [("UseDNS", _no(told[1])), ("UseGateway", _no(route))]),
    )


def keyfile(link: Link) -> str:
    """Return a device's file for NetworkManager."""
    assert link.device is not None
    mac = is_mac(link.device)
    return _ini(
        (
            "connection",
            [
                ("id", ident(link)),
                ("uuid", derive_uuid(link.device, "connection")),
                ("type", "ethernet"),
                ("interface-name", None if mac else link.device),
                ("autoconnect", None if link.on_boot else "false"),
            ],
        ),
        ("ethernet", [("mac-address", link.device if mac else None), ("mtu", link.mtu)]),
        ("ipv4", _setting(link, link.v4, 4)),
        ("ipv6", _setting(link, link.v6, 6)),
    )


def interfaces(link: Link) -> str:
    """Return a device's lines for ifupdown, which knows devices by their names."""
    name = link.known_as
    assert name is not None
    lines = [f"auto {name}"] if link.on_boot else []
    words = {
        4: {Way.AUTO: "dhcp", Way.STATIC: "static"},
        6: {Way.AUTO: "auto", Way.DHCP: "dhcp", Way.STATIC: "static"},
    }
    for protocol, version in ((link.v4, 4), (link.v6, 6)):
        if (word := words[version].get(protocol.way)) is None:
            continue
        lines.append(f"iface {name} inet{'' if version == 4 else '6'} {word}")
        if protocol.address is not None:
            lines.append(f"    address {protocol.address}")
        if protocol.gateway is not None and link.default_route:
            lines.append(f"    gateway {protocol.gateway}")
        servers = [str(server) for server in link.servers if server.version == version]
        for option, values in (("nameservers", servers), ("search", protocol.search)):
            if values:
                lines.append(f"    dns-{option} {' '.join(values)}")
        if link.mtu is not None and word != "dhcp":
            lines.append(f"    mtu {link.mtu}")
    return "\n".join([*lines, ""])


def _protocols(link: Link) -> tuple[Protocol, Protocol]:
    return (link.v4, link.v6)


def _setting(link: Link, protocol: Protocol, version: int) -> list[tuple[str, object]]:
    """Return NetworkManager's setting of a protocol."""
    off = protocol.way is Way.OFF
    methods = {Way.AUTO: "auto", Way.DHCP: "dhcp", Way.STATIC: "manual", Way.OFF: "disabled"}
    servers = [str(server) for server in link.servers if server.version == version]
    route = link.default_route
    return [
        ("method", methods[protocol.way]),
        ("address1", protocol.address),
        ("gateway", protocol.gateway if route else None),
        ("never-default", None if route or off else "true"),
        ("dns", None if off else _list(servers)),
        ("dns-search", None if off else _list(protocol.search)),
        ("ignore-auto-dns", "true" if protocol.ignore_dns and not off else None),
    ]


def _list(values: Sequence[str]) -> str | None:
    return "".join(f"{value};" for value in values) or None


def _ini(*sections: tuple[str, Sequence[tuple[str, object]]]) -> str:
    """Return sections of KEY=VALUE, without those that say nothing."""
    return "\n".join(_sections(sections))


def _sections(sections: Sequence[tuple[str, Sequence[tuple[str, object]]]]) -> Iterator[str]:
    for name, pairs in sections:
        lines = [f"{key}={value}" for key, value in pairs if value is not None]
        if lines:
            yield "\n".join([f"[{name}]", *lines, ""])


def _no(wanted: bool) -> str | None:
    return None if wanted else "no"


WRITTEN: Final[Mapping[str, Written]] = MappingProxyType(
    {
        MANAGER: Written(
            folder="etc/NetworkManager/system-connections",
            start="diskgen-",
            suffix=".nmconnection",
            text=keyfile,
            mode=0o600,  # it reads no others
            takes_servers=True,
        ),
        NETWORKD: Written(
            folder="etc/systemd/network",
            start="10-diskgen-",
            suffix=".network",
            text=networkd,
        ),
        IFUPDOWN: Written(
            folder=f"{_INTERFACES}.d",
            start="",
            suffix="",
            text=interfaces,
            by_name=True,
            main=Main(
                path=_INTERFACES,
                first=_LOOPBACK,
                line=f"source /{_INTERFACES}.d/*\n",
                named=_SOURCED,
            ),
        ),
    }
)
