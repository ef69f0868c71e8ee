"""The network: which device of a machine is meant, and the text that sets it up.

Formats: nm-settings-keyfile(5), systemd.network(5), interfaces(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..errors import HostError
from ..identifiers import derive_uuid
from ..link import Link, Protocol, Way, is_mac

_CLASS: Final = Path("/sys/class/net")
_ETHERNET: Final = "1"  # ARPHRD_ETHER of linux/if_arp.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An Ethernet device of this machine; ``connected`` says that there is a cable in it."""

    name: str
    mac: str
    connected: bool


def devices(place: Path = _CLASS) -> tuple[Device, ...]:
    """Return the Ethernet hardware of this machine, by name."""
    found = []
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if _read(path / "type") != _ETHERNET or not (path / "device").exists():
            continue
        if not (path / "wireless").exists() and not (path / "phy80211").exists():
            connected = _read(path / "carrier") == "1"
            found.append(Device(name=path.name, mac=_read(path / "address"), connected=connected))
    return tuple(found)


def resolve(links: Sequence[Link], found: Sequence[Device]) -> tuple[Link, ...]:
    """Return what has to be written down: nothing where nothing but DHCP is wanted.

    The device with a cable in it is then named by its hardware. Raises HostError when nobody can
    know which one it is, or what hardware a name stands for.
    """
    if all(link.is_plain for link in links):
        return ()
    wanted = [link for link in links if not link.is_plain or link.device is not None]
    taken = {link.device for link in wanted}
    free = [each for each in found if not taken & {each.name, each.mac}]
    macs = {each.name: each.mac for each in found}
    made = tuple(_bound(link, free, macs) for link in wanted)
    hardware = [macs.get(str(link.device), link.device) for link in made]
    for mac in hardware:
        if hardware.count(mac) > 1:
            raise HostError(
                f"the network device '{mac}' is set up twice, by its name and by its MAC",
                hint="leave one of them out",
            )
    return made


def _bound(link: Link, free: Sequence[Device], macs: dict[str, str]) -> Link:
    if link.device is None:
        chosen = [each for each in free if each.connected][:1] or free
        if len(chosen) != 1:
            names = ", ".join(each.name for each in free) or "none"
            raise HostError(
                f"no network device has a cable in it, and there is not one alone (found: {names})",
                hint="connect it, or name the device: --device=NAME, or its MAC",
            )
        return replace(link, device=chosen[0].mac)
    if link.by_mac and not is_mac(link.device):
        if link.device not in macs:
            raise HostError(
                f"this machine has no network device '{link.device}'",
                hint="leave --bindto=mac out, or name the device by its MAC",
            )
        return replace(link, device=macs[link.device])
    return link


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


def interfaces(link: Link, name: str) -> str:
    """Return a device's lines for ifupdown, which knows devices by their names."""
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


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
