"""What an image lacks where a disk of a format runs, and the way out of each.

Pure. What a place wants is in its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..arch import Machine
from ..errors import Problem
from ..ostree.drivers import Drivers
from ..ostree.facts import TreeFacts
from ..place import Place
from ..plan import Way
from .answers import consoles_at, device_of

_SCREEN = "tty0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What is known of a disk that is to be made."""

    tree: TreeFacts
    machine: Machine
    ways: tuple[Way, ...]  # in which it starts
    kargs: tuple[str, ...]
    accounts: bool  # whether one is made that somebody can log in by


def unsuited(place: Place, disk: Disk) -> Iterator[str]:
    """Yield what a machine of this disk will not do there, and the way out."""
    yield from _rootless(place, disk.tree.drivers)
    yield from _startless(place, disk.ways)
    if place.cloud:
        yield from _keyless(place, disk)
        yield from _silent(place, disk)
        if not disk.tree.grows:
            yield (
                f"nothing in the image grows its root: a larger disk at {place.title} will not be "
                "used; install cloud-utils-growpart or configure systemd-repart, or say "
                "--disk-size"
            )
    if disk.tree.ignition:
        yield from _unreached(place, disk.tree.drivers)


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


def _rootless(place: Place, drivers: Drivers) -> Iterator[str]:
    if lacking := _lacking(place.drivers, drivers):
        names, way = lacking
        yield (
            f"on {place.title} the machine may not find its root: neither the kernel nor its "
            f"initramfs has the drivers '{names}'; {way}"
        )


def _unreached(place: Place, drivers: Drivers) -> Iterator[str]:
    if lacking := _lacking(place.network, drivers):
        names, way = lacking
        yield (
            f"on {place.title} Ignition may not reach its configuration: neither the kernel nor "
            f"its initramfs has the network's drivers '{names}'; {way}"
        )


def _lacking(groups: Sequence[tuple[str, ...]], drivers: Drivers) -> tuple[str, str] | None:
    """Return the drivers that the first of some sets lacks, and what brings them.

    None where one of the sets is whole, and where nothing is known.
    """
    if not groups or not drivers.known:
        return None
    if any(drivers.early.issuperset(group) for group in groups):
        return None
    missing = [name for name in groups[0] if name not in drivers.early]
    names = " ".join(missing)
    if drivers.late.issuperset(missing):
        return names, f"make the initramfs in the image's build by: dracut --add-drivers '{names}'"
    return names, "install what brings them for its kernel (such as kernel-modules)"


def _startless(place: Place, ways: Sequence[Way]) -> Iterator[str]:
    offered = [way for way in ways if way.name in place.ways]
    if offered and not any(way.works for way in offered):
        why = offered[0]
        others = [way.name for way in ways if way.works]
        also = f"; it starts by {' and '.join(others)}" if others else ""
        yield (
            f"a machine of {place.title} starts by {' or '.join(way.name for way in offered)}, "
            f"and this disk does not: {why.reason}{also}"
        )


def _keyless(place: Place, disk: Disk) -> Iterator[str]:
    if disk.accounts or {None, place.platform} & disk.tree.fetched:
        return
    if disk.tree.ignition:
        yield (
            f"nothing in the image gets keys from {place.title} (Afterburn): there are the "
            "accounts alone that Ignition's configuration makes"
        )
    else:
        yield (
            f"nothing in the image gets keys or accounts from {place.title} (cloud-init, or "
            "Ignition with Afterburn): nobody but its own accounts can log in; --user and "
            "--user-key make one"
        )


def _silent(place: Place, disk: Disk) -> Iterator[str]:
    named = {device_of(word) for word in disk.kargs if word.startswith("console=")}
    there = [word for word in consoles_at(place, disk.machine) if device_of(word) != _SCREEN]
    if named and there and named.isdisjoint(map(device_of, there)):
        yield (
            f"at {place.title} nobody sees what the machine says: the kernel arguments name other "
            f"consoles than there are; add --karg {there[-1]}"
        )
