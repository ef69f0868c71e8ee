"""The network that a kickstart will describe, while Anaconda's %pre runs, which is before that.

Whether a registry answers is found out there. Connections that live in memory alone are added,
brought up and removed again. Words: nmcli(1), nm-settings-nmcli(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from ...link import Link, Protocol, is_mac

_SECONDS: Final = 30  # for a device to come up


def up(links: Sequence[Link]) -> str:
    """Return the commands of a shell that bring up what DHCP would not."""
    lines: list[str] = []
    for name, link in _asked(links):
        words = " ".join(shlex.quote(word) for word in _words(name, link))
        lines += [f"nmcli {words}", f"nmcli --wait {_SECONDS} connection up {name}"]
    return "\n  ".join(lines) or ":"


def down(links: Sequence[Link]) -> str:
    """Return the commands that leave the devices as they were found."""
    lines = [f"nmcli connection delete {name}" for name, _link in _asked(links)]
    return "\n  ".join(lines) or ":"


def _asked(links: Sequence[Link]) -> Iterator[tuple[str, Link]]:
    for number, link in enumerate(links):
        if link.activate and not link.is_plain:
            yield f"diskgen-{number}", link


def _words(name: str, link: Link) -> Iterator[str]:
    device = link.device
    by_mac = device is not None and is_mac(device)
    yield from ("connection", "add", "save", "no", "type", "ethernet", "con-name", name)
    yield from ("ifname", "*" if device is None or by_mac else device)
    if device is not None and by_mac:
        yield from ("802-3-ethernet.mac-address", device)
    if link.mtu is not None:
        yield from ("802-3-ethernet.mtu", str(link.mtu))
    for kind, protocol in (("ipv4", link.v4), ("ipv6", link.v6)):
        yield from _protocol(kind, protocol)
        version = 4 if kind == "ipv4" else 6
        servers = [str(server) for server in link.servers if server.version == version]
        if servers:
            yield from (f"{kind}.dns", ",".join(servers))


def _protocol(kind: str, protocol: Protocol) -> Iterator[str]:
    ways = {"auto": "auto", "dhcp": "dhcp", "static": "manual", "off": "disabled"}
    yield from (f"{kind}.method", ways[protocol.way])
    if protocol.address is not None:
        yield from (f"{kind}.addresses", str(protocol.address))
    if protocol.gateway is not None:
        yield from (f"{kind}.gateway", str(protocol.gateway))
    if protocol.search:
        yield from (f"{kind}.dns-search", ",".join(protocol.search))
