"""Network devices, written down for what brings the machine's network up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..decision.networking import (
    IFUPDOWN,
    MANAGER,
    NETWORKD,
    NONE,
    ident,
    interfaces,
    keyfile,
    networkd,
    service_of,
)
from ..decision.system import Tree
from ..link import Link, is_mac
from .files import Files, RefusalError

_INTERFACES: Final = "etc/network/interfaces"


def write(files: Files, links: Sequence[Link], warn: Callable[[str], None]) -> None:
    """Write devices down. Raises RefusalError for those that only the machine itself knows."""
    wanted = [link for link in links if not link.is_plain or link.device is not None]
    if not wanted:
        return
    service = service_of(Tree(files.root))
    for link in wanted:
        if link.device is None:
            raise RefusalError(
                "which network device is meant is known when the machine runs",
                "name it in --network: device=NAME, or its MAC",
            )
        if service == MANAGER:
            place = f"etc/NetworkManager/system-connections/diskgen-{ident(link)}.nmconnection"
            files.make(place.rpartition("/")[0])
            files.write(place, keyfile(link), mode=0o600)  # it reads no others
        elif service == NETWORKD:
            files.make("etc/systemd/network")
            place = f"etc/systemd/network/10-diskgen-{ident(link)}.network"
            files.write(place, networkd(link), mode=0o644)
        elif service == IFUPDOWN:
            _add_interface(files, link)
        else:
            warn(f"{NONE}: {link.device} will not be set up")


def _add_interface(files: Files, link: Link) -> None:
    assert link.device is not None
    if is_mac(link.device):
        raise RefusalError(
            f"the image's ifupdown knows devices by their names, not as '{link.device}'",
            "name the device as the machine does",
        )
    files.make(f"{_INTERFACES}.d")
    files.write(f"{_INTERFACES}.d/{link.device}", interfaces(link, link.device), mode=0o644)
    text = files.text(_INTERFACES) or "auto lo\niface lo inet loopback\n"
    if "interfaces.d" not in text:
        files.write(_INTERFACES, f"{text.rstrip()}\nsource /etc/network/interfaces.d/*\n")
