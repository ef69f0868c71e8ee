"""The commands, one row each, in the order of help; and the sets of them that share options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..place import PLACES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Command:
    """A command; its name is what is typed behind ``diskgen``, "" for diskgen itself."""

    name: str
    help: str
    choice: str = ""  # what its own commands are called, such as FORMAT
    dest: str = ""  # attribute of the parsed arguments that has which was taken
    format: str = ""  # what it makes or plans


_DISKS: Final = tuple(
    Command(name=name, help=place.text, format=name) for name, place in PLACES.items()
)
_PLANS: Final = (
    *(
        Command(name=f"plan {name}", help=f"print what would be done for a disk, as {name}",
                format=name)
        for name in PLACES
    ),
    Command(name="plan build", help="print what would be done for a disk of several formats"),
    Command(name="plan iso", help="print what would be done for a medium", format="iso"),
)  # fmt: skip

_PUBLISHING: Final = (
    Command(name="publish aws", help="make an AMI of a raw disk, by EBS direct or a bucket"),
    Command(name="publish azure", help="make an image of a VHD, by a managed disk or a page blob"),
    Command(name="publish gcp", help="make an image of Compute Engine, of diskgen gce's archive"),
    Command(name="publish registry", help="push a container disk, or any file as an artifact"),
    Command(name="publish libvirt", help="make a volume in a pool of libvirt's"),
)

COMMANDS: Final = (
    Command(
        name="",
        help="turn a bootable container image into a disk: no root, no KVM, no mounts",
        choice="COMMAND",
        dest="command",
    ),
    *_DISKS,
    Command(name="build", help="make several formats of one disk, side by side"),
    Command(
        name="iso",
        help="make an installer medium, which installs the image or packages",
        format="iso",
    ),
    Command(
        name="plan",
        help="print what a build would do, and write nothing but the cache",
        choice="FORMAT",
        dest="planned",
    ),
    *_PLANS,
    Command(
        name="publish",
        help="make of a finished file what a place has machines of",
        choice="PLACE",
        dest="place",
    ),
    *_PUBLISHING,
    Command(name="inspect", help="show what an image, a disk or a medium holds"),
    Command(name="doctor", help="say what this machine lacks, and what brings it"),
    Command(name="boot", help="boot a disk or a medium in QEMU, its serial line on this terminal"),
    Command(name="cache", help="list or clean the cache of layers", choice="ACTION", dest="action"),
    Command(name="cache ls", help="list what is cached, biggest first"),
    Command(name="cache prune", help="remove what was not used lately"),
    Command(name="farm", help="ask a farm what it makes", choice="ACTION", dest="action"),
    Command(name="farm ls", help="list the composes that it has"),
    Command(name="farm status", help="say how far composes are, or wait for them"),
    Command(name="farm logs", help="print what the workers of a compose said, as JSON"),
    Command(name="farm cancel", help="have it drop composes"),
    Command(name="farm download", help="fetch the file of a compose"),
    Command(name="farm doctor", help="say whether a farm can be used from here"),
    Command(name="bib", help="take the command line of bootc-image-builder: see its --help"),
    Command(name="completion", help="print a completion script for a shell"),
)

EVERY: Final = frozenset(command.name for command in COMMANDS)
_OF_DISKS: Final = frozenset({*PLACES, "build"})
# What makes or plans a disk of any format, and a medium.
DISKS: Final = frozenset(name for disk in _OF_DISKS for name in (disk, f"plan {disk}"))
SEVERAL: Final = frozenset({"build", "plan build"})  # formats of a disk
MEDIA: Final = frozenset({"iso", "plan iso"})
PLANS: Final = frozenset(command.name for command in _PLANS)
BUILDS: Final = (DISKS | MEDIA) - PLANS  # what writes an output
FARM_BUILDS: Final = BUILDS - MEDIA  # what a farm can make
FARM: Final = frozenset(name for name in EVERY if name.startswith("farm "))
FARM_WAITS: Final = frozenset({"farm status"})
PUBLISHING: Final = frozenset(command.name for command in _PUBLISHING)
CLOUDS: Final = PUBLISHING - {"publish registry", "publish libvirt"}
PUBLISHED: Final = frozenset({"ami", "gce", "vhd"})  # by the command that builds it, too
READERS: Final = DISKS | MEDIA | {"inspect"}  # what reads an image


def in_words(commands: frozenset[str]) -> str:
    """Return which commands these are, as a list for people: a plan goes with what it plans."""
    words = ["disks"] if commands >= _OF_DISKS else sorted(commands & _OF_DISKS)
    made = commands & BUILDS
    words += [] if made or not commands >= PLANS else ["plan"]
    rest = commands - _OF_DISKS - {f"plan {name}" for name in made}
    rest -= PLANS if "plan" in words else frozenset()
    words += [command.name for command in COMMANDS if command.name in rest]
    unplanned = bool(made) and not commands & PLANS
    return ", ".join(words) + (", but not plan" if unplanned else "")
