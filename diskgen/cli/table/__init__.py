"""The table of options: parser, help, completion, man page, reference and hints are made of it.

To add an option: add a row to the module of its section, where it is to stand among the others (or
its command to the ``commands`` of a row that is there), read it in ``request`` or the command's
module, and write the man page anew by ``python -m diskgen.cli.manual``. Names in errors
(``setting=``) and flags in texts are held against the table by tests/cli/test_options_named.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..option import Option
from . import access, boot, cache, disk, everywhere, image, machine, medium, output

SECTIONS: Final[Mapping[str, tuple[Option, ...]]] = MappingProxyType(
    {
        "Image": image.OPTIONS,
        "Disk": disk.OPTIONS,
        "Medium (iso)": medium.OPTIONS,
        "Installed machine (iso)": machine.OPTIONS,
        "Registry access": access.OPTIONS,
        "Output": output.OPTIONS,
        "boot": boot.OPTIONS,
        "cache prune": cache.OPTIONS,
        "Everywhere": everywhere.OPTIONS,
    }
)
OPTIONS: Final = (
    *everywhere.OPTIONS,
    *(row for rows in SECTIONS.values() if rows is not everywhere.OPTIONS for row in rows),
)


def options_of(command: str) -> list[Option]:
    """Return a command's rows in the order of its help."""
    return [row for row in OPTIONS if command in row.commands]
