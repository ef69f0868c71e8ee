"""The options of the man page, made of the table: ``python -m diskgen.cli.manual [PAGE]``.

Format: man(7) of groff. Texts come in the marks of ``Option.manual``.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .option import Option, Takes
from .remarks import entries, manual_of
from .table import SECTIONS

_BEGIN: Final = '.\\" Options: made by python -m diskgen.cli.manual\n'
_END: Final = '.\\" End of options\n'
_WIDTH: Final = 100
_MARKED: Final = re.compile(r"`([^`]+)`|\*([^*]+)\*")


def options() -> str:
    """Return the section of all options."""
    lines = [".SH OPTIONS"]
    for section in SECTIONS:
        lines.append(f".SS {section.heading}")
        for option, commands in entries(section):
            lines += [".TP", _heading(option), *_paragraphs(manual_of(option, commands))]
        if section.closing:
            lines += [".PP", *_paragraphs(section.closing)]
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """Return a man page with its options as the table has them now. Raises ValueError."""
    return between(page, _BEGIN, _END, options())


def between(page: str, begin: str, end: str, made: str) -> str:
    """Return a page with what stands between two marks made anew. Raises ValueError."""
    before, found, rest = page.partition(begin)
    _old, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError("the page has no marks around what is made")
    return f"{before}{begin}{made}{end}{after}"


def _heading(option: Option) -> str:
    value = f"\\f[I]{escaped(option.value)}\\f[R]" if option.metavar else escaped(option.value)
    if option.positional:
        return value
    if option.takes is Takes.MAYBE:
        value = f"[{value}]"
    flags = ", ".join(f"\\f[B]{escaped(flag)}\\f[R]" for flag in option.flags)
    return f"{flags} {value}".rstrip()


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".IP"
        yield from filled(_roff(paragraph))


def filled(text: str) -> Iterator[str]:
    """Yield a text of roff in lines, none of which is a request."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"\\&{line}" if line.startswith((".", "'")) else line


def _roff(text: str) -> str:
    """Return a marked text as roff: words to type are bold, words that stand for others italic."""
    made, end = "", 0
    for match in _MARKED.finditer(text):
        made += _plain(text[end : match.start()])
        typed, standing = match.groups()
        made += f"\\f[B]{escaped(typed)}\\f[R]" if typed else f"\\f[I]{escaped(standing)}\\f[R]"
        end = match.end()
    return made + _plain(text[end:])


def escaped(text: str) -> str:
    """Return words to type, whose dashes people copy."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def _plain(text: str) -> str:
    return text.replace("\\", "\\e")


def main() -> None:
    """Write the page named by the argument anew, or print the section."""
    if len(sys.argv) == 1:
        sys.stdout.write(options())
        return
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
