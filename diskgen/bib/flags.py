"""The flags of bootc-image-builder, one row each: what follows them, and what they do here.

They are those of its command line in August 2026; what it takes, this takes, and says where it
cannot do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class Takes(Enum):
    """What follows a flag."""

    VALUE = auto()
    VALUES = auto()  # one each time it is given
    SWITCH = auto()  # nothing, or =true and =false


BUILD: Final = "build"
MANIFEST: Final = "manifest"
VERSION: Final = "version"
HELP: Final = "help"
COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BUILD: "make disks, or an installer medium (the command where none is named)",
        MANIFEST: "print what would be made, as JSON, and make nothing",
        VERSION: "print the version",
        HELP: "print this",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag; ``does`` is what it does here, in one sentence.

    ``setting`` is what errors of diskgen call it.
    """

    name: str
    does: str
    metavar: str = ""
    takes: Takes = Takes.VALUE
    short: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    setting: str = ""
    ignored: bool = False  # accepted, and there is nothing for it to do
    commands: tuple[str, ...] = (BUILD, MANIFEST)


_BUILD: Final = (BUILD,)

FLAGS: Final = (
    Flag(
        name="type", takes=Takes.VALUES, metavar="TYPE", default="qcow2", setting="format",
        does="What to make. It can be given several times, and takes a list with commas.",
    ),
    Flag(
        name="rootfs", metavar="FS", choices=("ext4", "xfs", "btrfs"), setting="rootfs",
        does="The root filesystem. Without it the image decides, and where it does not, it is "
        "ext4.",
    ),
    Flag(
        name="target-arch", metavar="ARCH", setting="arch",
        does="The architecture of the machine. Nothing of the image is run, so it takes no "
        "emulator.",
    ),
    Flag(
        name="output", metavar="DIR", default=".", setting="output", commands=_BUILD,
        does="The directory that gets a directory for each type. It is made where it does not "
        "exist, and what an earlier build left there is replaced.",
    ),
    Flag(
        name="config", metavar="FILE", setting="config",
        does="What the machine is given; '-' is JSON on standard input. Without it /config.toml "
        "or /config.json is read where it exists.",
    ),
    Flag(
        name="chown", metavar="UID:GID", setting="chown", commands=_BUILD,
        does="The owner of what is made. It is tried before the build begins.",
    ),
    Flag(
        name="progress", metavar="HOW", default="auto", commands=_BUILD, setting="progress",
        choices=("auto", "term", "verbose", "debug"),
        does="How to show progress on standard error: 'term' is a live display, 'verbose' plain "
        "lines, 'debug' also the programs that are started.",
    ),
    Flag(
        name="no-default-kernel-args", takes=Takes.SWITCH, setting="no-console",
        does="Add no console= arguments.",
    ),
    Flag(
        name="seed", metavar="INT", setting="seed",
        does="Derive identifiers from the image and this number. Without it they derive from the "
        "image alone, and the same image gives the same bytes.",
    ),
    Flag(
        name="installer-payload-ref", metavar="REF", setting="installer-payload-ref",
        does="For type bootc-installer: the image that the medium installs.",
    ),
    Flag(
        name="bootc-installer-payload-ref", metavar="REF", setting="installer-payload-ref",
        does="The same as --installer-payload-ref.",
    ),
    Flag(
        name="tls-verify", takes=Takes.SWITCH, default="true", setting="tls-verify",
        does="Whether registries must have a certificate that is trusted.",
    ),
    Flag(
        name="local", takes=Takes.SWITCH, default="true",
        does="Nothing: images are always looked for in the local storage first. false is an "
        "error.",
    ),
    Flag(
        name="build-container", metavar="REF", ignored=True,
        does="Nothing: no program of an image is run.",
    ),
    Flag(
        name="in-vm", takes=Takes.SWITCH, ignored=True,
        does="Nothing: a build needs no privileges that a virtual machine would give it.",
    ),
    Flag(
        name="use-librepo", takes=Takes.SWITCH, default="true", ignored=True,
        does="Nothing: no packages are fetched.",
    ),
    Flag(
        name="rpmmd", metavar="DIR", default="/rpmmd", ignored=True,
        does="Nothing: no packages are fetched.",
    ),
    Flag(
        name="store", metavar="DIR", default="/store", ignored=True, commands=_BUILD,
        does="Nothing: layers are kept in diskgen's cache.",
    ),
    Flag(
        name="log-level", metavar="LEVEL", ignored=True, commands=(BUILD, MANIFEST, VERSION),
        does="Nothing: --verbose and --progress say how much is shown.",
    ),
    Flag(
        name="verbose", short="v", takes=Takes.SWITCH, commands=(BUILD, MANIFEST, VERSION),
        does="Show progress as plain lines, and the programs that are started.",
    ),
    Flag(
        name="aws-ami-name", metavar="NAME", commands=_BUILD, setting="ami-name",
        does="For type ami: make an AMI of this name of the disk. The three flags of AWS belong "
        "together, and are checked before the build. Credentials are found as AWS's own programs "
        "find them, by botocore.",
    ),
    Flag(
        name="aws-bucket", metavar="BUCKET", commands=_BUILD, setting="bucket",
        does="The bucket that the disk is uploaded to, and imported from by the role vmimport.",
    ),
    Flag(
        name="aws-region", metavar="REGION", commands=_BUILD, setting="region",
        does="The region of the AMI and of the bucket.",
    ),
)  # fmt: skip


def flag_of(setting: str) -> str | None:
    """Return what is typed for an error's setting; None where this command line has nothing."""
    named = (f"--{flag.name}" for flag in FLAGS if setting in (flag.setting, flag.name))
    return next(named, None)
