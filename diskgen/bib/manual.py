"""The man page bootc-image-builder(1), made of the tables: ``python -m diskgen.bib.manual PAGE``.

Format: man(7) of groff.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ..cli.manual import between, escaped, filled
from .flags import BUILD, COMMANDS, FLAGS, MANIFEST, Flag
from .types import OTHER_NAME, TYPES

_BEGIN: Final = '.\\" Tables: made by python -m diskgen.bib.manual\n'
_END: Final = '.\\" End of tables\n'


def tables() -> str:
    """Return the sections of commands, types and flags."""
    lines = [".SH COMMANDS"]
    for name, text in COMMANDS.items():
        lines += [".TP", f".B {escaped(name)}", *filled(escaped(f"{text[0].upper()}{text[1:]}."))]
    lines.append(".SH TYPES")
    for made in TYPES.values():
        what = f"Refused: {made.refused}." if made.refused else f"The file is {made.path}."
        if made.medium:
            what = f"An installer medium. {what} It is {OTHER_NAME}, too."
        lines += [".TP", f".B {escaped(made.name)}", *filled(escaped(what))]
    lines.append(".SH FLAGS")
    for flag in FLAGS:
        default = f" Default: {flag.default}." if flag.default else ""
        where = f" Command: {BUILD}." if MANIFEST not in flag.commands else ""
        lines += [".TP", _heading(flag), *filled(escaped(f"{flag.does}{default}{where}"))]
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """Return a man page with its tables as they are now. Raises ValueError."""
    return between(page, _BEGIN, _END, tables())


def _heading(flag: Flag) -> str:
    names = [*([f"-{flag.short}"] if flag.short else []), f"--{flag.name}"]
    shown = ", ".join(f"\\f[B]{escaped(name)}\\f[R]" for name in names)
    value = "|".join(flag.choices) if flag.choices else flag.metavar
    return f"{shown} \\f[I]{escaped(value)}\\f[R]" if value else shown


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(renewed(place.read_text(encoding="utf-8")), encoding="utf-8")
