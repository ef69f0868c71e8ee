"""The network of this machine, set up while it installs: by systemd-networkd or NetworkManager."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..decision.networking import MANAGER, NETWORKD, WRITTEN, Written, ident
from ..link import Link
from ..run import run, which
from .network import Device, devices
from .target import Target

_UNITS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_PATIENCE_SECONDS: Final = 15.0  # for a cable to be noticed
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """What brings this machine's network up while it installs: files for this boot alone."""

    unit: str
    running: str  # their folder
    reload: tuple[str, ...]


_NETWORKD: Final = _Service(
    unit=NETWORKD, running="run/systemd/network", reload=("networkctl", "reload")
)
_MANAGER: Final = _Service(
    unit=MANAGER,
    running="run/NetworkManager/system-connections",
    reload=("nmcli", "connection", "reload"),
)


def found(links: Sequence[Link], *, patience: float = _PATIENCE_SECONDS) -> tuple[Device, ...]:
    """Return this machine's devices; which one has a cable in it is waited for where it matters."""
    deadline = time.monotonic() + patience
    asked = any(link.device is None and not link.is_plain for link in links)
    while True:
        now = devices()
        settled = not asked or len(now) < 2 or any(each.connected for each in now)
        if settled or time.monotonic() > deadline:
            return now
        time.sleep(_PAUSE_SECONDS)


def at_once(links: Sequence[Link]) -> tuple[Link, ...]:
    """Return what is to be up while the machine is installed, whatever it does at boot later."""
    return tuple(replace(link, on_boot=True) for link in links if link.activate)


def start(links: Sequence[Link], warn: Callable[[str], None]) -> None:
    """Set up this machine's own devices, as far as they are to be active now."""
    active = at_once(links)
    if not active:
        return
    here = Target(Path("/"))
    served = False
    for service in (_NETWORKD, _MANAGER):
        if which(service.reload[0]) is None or not _has_unit(here, service.unit):
            continue
        if run(["systemctl", "start", service.unit], ok=range(256)).status:
            continue
        written = WRITTEN[service.unit]
        for path in here.place(service.running).glob(f"{written.start}*"):
            path.unlink()  # of what was known before
        for link in active:
            _write(here, written, link, service.running)
        run(service.reload, ok=range(256))
        if service is _MANAGER:
            for link in active:
                run(["nmcli", "connection", "up", "id", ident(link)], ok=range(256))
        served = True
    if not served:
        warn("this installer has neither systemd-networkd nor NetworkManager for its network")


def _has_unit(target: Target, unit: str) -> bool:
    mask = target.place(_UNITS[0]) / unit
    if mask.is_symlink() and str(mask.readlink()) == "/dev/null":
        return False
    return any(target.place(f"{place}/{unit}").is_file() for place in _UNITS)


def _write(target: Target, written: Written, link: Link, folder: str) -> None:
    target.write(written.path(link, folder), written.text(link), mode=written.mode)
