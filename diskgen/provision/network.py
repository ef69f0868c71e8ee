"""Network devices, written down for what brings the machine's network up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..decision.networking import NONE, SERVERS, WRITTEN, servers, service_of
from ..decision.system import Tree
from ..link import Link
from .files import Files, RefusalError


def write(files: Files, links: Sequence[Link], warn: Callable[[str], None]) -> None:
    """Write devices down. Raises RefusalError for those that only the machine itself knows."""
    wanted = [link for link in links if not link.is_plain or link.device is not None]
    if not wanted:
        return
    system = Tree(files.root)
    written = WRITTEN.get(service_of(system) or "")
    for link in wanted:
        if link.device is None:
            raise RefusalError(
                "which network device is meant is known when the machine runs",
                "name it in --network: device=NAME, or its MAC",
            )
        if written is None:
            warn(f"{NONE}: {link.device} will not be set up")
            continue
        if written.by_name and link.known_as is None:
            raise RefusalError(
                f"the image's ifupdown knows devices by their names, not as '{link.device}'",
                "name the device as the machine does",
            )
        files.make(written.folder)
        files.write(written.path(link), written.text(link), mode=written.mode)
    if written is None:
        return
    if written.main is not None:
        text = written.main.naming(files.text(written.main.path))
        if text is not None:
            files.write(written.main.path, text)
    resolving = servers(wanted, written, system)
    if resolving is not None:
        files.write(SERVERS, resolving, mode=0o644)
