"""The network: which device of this machine is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..errors import HostError
from ..link import Link, is_mac

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
    found: list[Device] = []
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
        return replace(link, device=chosen[0].mac, name=chosen[0].name)
    if link.by_mac and not is_mac(link.device):
        if link.device not in macs:
            raise HostError(
                f"this machine has no network device '{link.device}'",
                hint="leave --bindto=mac out, or name the device by its MAC",
            )
        return replace(link, device=macs[link.device], name=link.device)
    known = next((name for name, mac in macs.items() if mac == link.device), None)
    return replace(link, name=known) if known is not None else link


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
