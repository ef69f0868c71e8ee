"""Network devices, written down for what brings the machine's network up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..decision.networking import (
    IFUPDOWN,
    INTERFACES,
    LOOPBACK,
    NONE,
    SOURCE,
    WRITTEN,
    interfaces,
    service_of,
)
from ..decision.system import Tree
from ..link import Link, is_mac
from .files import Files, RefusalError


def write(files: Files, links: Sequence[Link], warn: Callable[[str], None]) -> None:
    """Write devices down. Raises RefusalError for those that only the machine itself knows."""
    wanted = [link for link in links if not link.is_plain or link.device is not None]
    if not wanted:
        return
    service = service_of(Tree(files.root))
    written = WRITTEN.get(service or "")
    for link in wanted:
        if link.device is None:
            raise RefusalError(
                "which network device is meant is known when the machine runs",
                "name it in --network: device=NAME, or its MAC",
            )
        if written is not None:
            files.make(written.folder)
            files.write(written.path(link), written.text(link), mode=written.mode)
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
    files.make(f"{INTERFACES}.d")
    files.write(f"{INTERFACES}.d/{link.device}", interfaces(link, link.device), mode=0o644)
    text = files.text(INTERFACES) or LOOPBACK
    if "interfaces.d" not in text:
        files.write(INTERFACES, f"{text.rstrip()}\n{SOURCE}")
