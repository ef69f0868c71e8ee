"""The table of options: parser, help, completion, man page, reference and hints are made of it.

To add an option: add a row to the module of its section, where it is to stand among the others (or
its command to the ``commands`` of a row that is there), read it in ``request`` or the command's
module, and write the man page anew by ``python -m diskgen.cli.manual``. Names in errors
(``setting=``) and flags in texts are held against the table by tests/cli/test_options_named.py.
"""

from __future__ import annotations

from typing import Final

from ..command import BUILDS, DISKS, FARM, FARM_BUILDS, MEDIA, PUBLISHING, READERS
from ..option import Option, Section
from . import (
    access,
    aws,
    azure,
    boot,
    cache,
    completion,
    disk,
    everywhere,
    farm,
    gcp,
    image,
    libvirt,
    machine,
    medium,
    output,
    publish,
    registry,
)

SECTIONS: Final = (
    Section(heading="Image", commands=READERS, options=image.OPTIONS),
    Section(heading="Disk", commands=DISKS, options=disk.OPTIONS),
    Section(heading="Medium (iso)", commands=MEDIA, options=medium.OPTIONS),
    Section(heading="Machine", commands=DISKS | MEDIA, options=machine.OPTIONS),
    Section(heading="Installed machine (iso)", commands=MEDIA, options=machine.INSTALLED),
    Section(heading="Registry access", commands=READERS, options=access.OPTIONS),
    Section(heading="Output", commands=BUILDS, options=output.OPTIONS),
    Section(heading="Publishing", commands=PUBLISHING, options=publish.OPTIONS),
    Section(heading="Publishing to AWS", commands=aws.COMMANDS, options=aws.OPTIONS),
    Section(heading="Publishing to Azure", commands=azure.COMMANDS, options=azure.OPTIONS),
    Section(heading="Publishing to Google Cloud", commands=gcp.COMMANDS, options=gcp.OPTIONS),
    Section(
        heading="Publishing to a registry", commands=registry.COMMANDS, options=registry.OPTIONS
    ),
    Section(heading="Publishing to libvirt", commands=libvirt.COMMANDS, options=libvirt.OPTIONS),
    Section(
        heading="boot", commands=boot.COMMANDS, options=boot.OPTIONS, closing=boot.HOW_THEY_GET_IN
    ),
    Section(heading="cache prune", commands=cache.PRUNE, options=cache.OPTIONS),
    Section(heading="Farm", commands=FARM_BUILDS | FARM, options=farm.OPTIONS),
    Section(heading="completion", commands=completion.COMMANDS, options=completion.OPTIONS),
    Section(heading="Everywhere", commands=frozenset(), options=everywhere.OPTIONS),
)
OPTIONS: Final = (
    *everywhere.OPTIONS,
    *(row for part in SECTIONS if part.options is not everywhere.OPTIONS for row in part.options),
)


def options_of(command: str) -> list[Option]:
    """Return a command's rows in the order of its help."""
    return [row for row in OPTIONS if command in row.commands]
