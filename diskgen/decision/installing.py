"""What a description says of its medium, where no option does: one answer for all that make media.

An image's own description says nothing of media: whoever makes one decides what it erases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..blueprint.keys import KEYS, Use
from ..blueprint.model import Customizations
from ..blueprint.paths import plain
from ..config import ONLY_DISK, IsoRequest, KickstartText


def installing(request: IsoRequest) -> IsoRequest:
    """Return a request with what its description says of the medium; options win."""
    wanted = request.customizations
    installer, volume = wanted.installer, wanted.volume
    won = [
        option
        for option, given, said in (
            ("--label", request.label, volume.label),
            ("--kickstart", request.kickstart, installer.kickstart),
        )
        if given is not None and said is not None and given != said
    ]
    return replace(
        request,
        label=request.label or volume.label,
        unattended=request.unattended or (ONLY_DISK if installer.unattended else None),
        kickstart=request.kickstart or _kickstart(wanted),
        application=volume.application,
        publisher=volume.publisher,
        customizations=replace(wanted, overridden=(*wanted.overridden, *won)) if won else wanted,
    )


def _kickstart(wanted: Customizations) -> KickstartText | None:
    """Return a description's own kickstart; an empty one leaves all to people."""
    text, source = wanted.installer.kickstart, wanted.source
    if not text or not text.strip() or source is None:
        return None
    return KickstartText(
        name=f"the kickstart of {Path(source).name}", text=text, source=Path(source)
    )


def unheard(found: Customizations | None, request: IsoRequest) -> Iterator[str]:
    """Yield what of an image's own description is about media, which it has no say in."""
    if found is None or request.customizations.source != found.source:
        return
    by_path = {key.path: key for key in KEYS}
    for path in found.given:
        key = by_path[plain(path)]
        if key.of_media and {*key.uses(medium=True)} != {Use.WARNED}:  # who takes it at all
            yield (
                f"'{path}' of '{found.source}' is left out: an image does not say how media of it "
                "are made; name a file of yours with --config"
            )
