"""Which image of an index a machine gets: the one that its own registry client would take.

The rule is that of containers/image, the library of skopeo, podman and bootc (its
internal/pkg/platform and internal/manifest): platforms are tried from the most to the least
wanted, and the first manifest of a platform counts, those with zstd layers before others.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arch import MACHINES, Machine
from ..errors import SourceError
from .manifest import Platform


@dataclass(frozen=True, slots=True)
class Choice:
    """The manifest that was taken; ``of`` is how many images the index has for machines."""

    platform: Platform
    of: int
    warnings: tuple[str, ...] = ()

    @property
    def spelling(self) -> str:
        """Return which one it is, as people write it: ``linux/amd64/v3``."""
        return self.platform.spelling or "the one without a platform"


def wanted_variants(machine: Machine) -> tuple[str, ...]:
    """Return the variants that are looked for, the most wanted first; "" is none."""
    if not machine.variant:
        return ("", *machine.variants)
    if machine.variant in machine.variants:
        return (*machine.variants[machine.variants.index(machine.variant) :], "")
    return (machine.variant, "")


def override(machine: Machine) -> list[str]:
    """Return skopeo's global options that make it choose as we do."""
    options = ["--override-os", "linux", "--override-arch", machine.oci]
    return [*options, "--override-variant", machine.variant] if machine.variant else options


def choose(platforms: tuple[Platform, ...], machine: Machine, what: str) -> Choice:
    """Return the manifest for a machine. Raises SourceError that lists what there is."""
    found = _best(platforms, machine)
    real = [p for p in platforms if p.architecture not in ("", "unknown")]
    if found is not None:
        return Choice(found, len(real), _doubts(platforms, found, machine, what))
    asked = f"{machine.oci}/{machine.variant}" if machine.variant else machine.oci
    others = [p.variant for p in real if p.architecture == machine.oci and p.os == "linux"]
    if others:
        hint = f"choose one: {', '.join(f'--arch {machine.name}/{v}' for v in sorted({*others}))}"
        if not machine.variant:
            hint += "; machines take none of these at an update by themselves"
    else:
        known = sorted({p.spelling.removeprefix("linux/") for p in real})
        hint = f"it has {', '.join(known)}" if known else "it has no images for machines at all"
    raise SourceError(
        f"'{what}' has no image for {machine.name} ({asked})", hint=hint, setting="arch"
    )


def _best(platforms: tuple[Platform, ...], machine: Machine) -> Platform | None:
    for variant in wanted_variants(machine):
        wanted = ("linux", machine.oci, variant)
        same = [p for p in platforms if p.stated and (p.os, p.architecture, p.variant) == wanted]
        if same:
            return next((p for p in same if p.zstd), same[0])
    return next((p for p in platforms if not p.stated), None)  # the config will tell


def _doubts(
    platforms: tuple[Platform, ...], found: Platform, machine: Machine, what: str
) -> tuple[str, ...]:
    """Say where a machine's own client would not take the same image."""
    own = _best(platforms, MACHINES[machine.name])
    if own == found:
        return ()
    then = f"takes {own.spelling}" if own is not None else "finds no image in it"
    return (
        f"{found.spelling} of '{what}' was taken as --arch says; a machine that updates from it "
        f"{then}: name a reference of that image alone by --target-imgref",
    )
