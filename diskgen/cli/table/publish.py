"""Options of publishing, whatever the place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..command import CLOUDS, PUBLISHED, PUBLISHING
from ..option import Option, Takes

_GROUP: Final = "publishing"

OPTIONS: Final = (
    Option(
        name="file",
        commands=PUBLISHING,
        positional=True,
        kind=Path,
        metavar="FILE",
        help="the finished file",
        manual="The file to publish. What it is, and which machines it is for, is read from it.",
    ),
    Option(
        name="arch",
        commands=CLOUDS,
        group=_GROUP,
        metavar="ARCH",
        otherwise="what the disk was made for",
        help="of the machines",
        manual="Architecture of the machines. Default: what the disk was made for.",
    ),
    Option(
        name="dry-run",
        commands=PUBLISHING,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="ask the place whether it would work, and print each request instead of making it",
        manual="Ask the place whether it would work, and print each request that would change "
        "something there, instead of making it.",
    ),
    Option(
        name="limit-rate",
        commands=CLOUDS | PUBLISHED,
        group=_GROUP,
        metavar="SIZE",
        help="send no more than so much a second, such as 10M",
        manual="Send no more than so much a second, over all connections, such as `10M`.",
    ),
)
