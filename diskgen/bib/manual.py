"""The man page bootc-image-builder(1), made of the tables: ``python -m diskgen.bib.manual PAGE``.

Format: man(7) of groff.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .flags import BUILD, COMMANDS, FLAGS, MANIFEST, Flag
from .types import OTHER_NAME, TYPES

_BEGIN: Final = '.\\" Tables: made by python -m diskgen.bib.manual\n'
_END: Final = '.\\" End of tables\n'
_WIDTH: Final = 100


def tables() -> str:
    """Return the sections of commands, types and flags."""
    lines = [".SH COMMANDS"]
    for name, text in COMMANDS.items():
        lines += [".TP", f".B {_escaped(name)}", *_filled(f"{text[0].upper()}{text[1:]}.")]
    lines.append(".SH TYPES")
    for made in TYPES.values():
        what = f"Refused: {made.refused}." if made.refused else f"The file is {made.path}."
        if made.medium:
            what = f"An installer medium. {what} It is {OTHER_NAME}, too."
        lines += [".TP", f".B {_escaped(made.name)}", *_filled(what)]
    lines.append(".SH FLAGS")
    for flag in FLAGS:
        default = f" Default: {flag.default}." if flag.default else ""
        where = f" Command: {BUILD}." if MANIFEST not in flag.commands else ""
        refused = f" {flag.refused[0].upper()}{flag.refused[1:]}." if flag.refused else ""
        lines += [".TP", _heading(flag), *_filled(f"{flag.does}{refused}{default}{where}")]
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """Return a man page with its tables as they are now. Raises ValueError."""
    before, begin, rest = page.partition(_BEGIN)
    _old, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("the page has no marks around its tables")
    return f"{before}{begin}{tables()}{end}{after}"


def _heading(flag: Flag) -> str:
    names = [*([f"-{flag.short}"] if flag.short else []), f"--{flag.name}"]
    shown = ", ".join(f"\\f[B]{_escaped(name)}\\f[R]" for name in names)
    value = "|".join(flag.choices) if flag.choices else flag.metavar
    return f"{shown} \\f[I]{_escaped(value)}\\f[R]" if value else shown


def _filled(text: str) -> Iterator[str]:
    """Yield a text in lines of roff, none of which is a request."""
    for line in textwrap.wrap(_escaped(text), _WIDTH, break_on_hyphens=False):
        yield f"\\&{line}" if line.startswith((".", "'")) else line


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(renewed(place.read_text(encoding="utf-8")), encoding="utf-8")
