"""What an image lacks where a disk of a format runs: drivers for its root, someone who gets keys.

Pure. The drivers of a place are in its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import Problem
from ..ostree.facts import TreeFacts
from ..place import Place


def unsuited(place: Place, tree: TreeFacts) -> Iterator[str]:
    """Yield what a machine of this image will not do there, and the way out."""
    yield from _rootless(place, tree)
    if place.cloud and not tree.fetchers:
        yield (
            f"nothing in the image gets keys or accounts from {place.title} (cloud-init, or "
            "Ignition with Afterburn): nobody but its own accounts can log in"
        )


def unshared(places: Sequence[Place], tree: TreeFacts) -> Iterator[Problem]:
    """Yield why places cannot have the same disk: Ignition is told by it where it runs."""
    platforms = {place.platform: place.format for place in places}
    if tree.ignition and len(platforms) > 1:
        names = " and ".join(f"'{name}'" for name in platforms.values())
        yield Problem(
            code="formats",
            message=f"{names} cannot be made of one disk: the image is set up by Ignition, and the "
            "disk tells it where it runs",
            hint="make one after the other",
        )


def _rootless(place: Place, tree: TreeFacts) -> Iterator[str]:
    drivers = tree.drivers
    if not drivers.known or any(drivers.early.issuperset(group) for group in place.drivers):
        return
    for group in place.drivers[:1]:
        missing = [name for name in group if name not in drivers.early]
        names = " ".join(missing)
        if drivers.late.issuperset(missing):
            way = f"make the initramfs in the image's build by: dracut --add-drivers '{names}'"
        else:
            way = "install what brings them for its kernel (such as kernel-modules)"
        yield (
            f"on {place.title} the machine may not find its root: neither the kernel nor its "
            f"initramfs has the drivers '{names}'; {way}"
        )
