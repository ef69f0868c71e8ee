"""Kickstarts as pykickstart reads them: the one place that parses any, and all that it found.

Commands and sections: pykickstart's "Kickstart Documentation". Nothing is known of a kickstart but
what this parser says of it.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser, PutBackIterator
from pykickstart.sections import NullSection, PackageSection, Section
from pykickstart.version import makeVersion

from ..config import KICKSTART_VERSIONS, KickstartText
from ..errors import UsageError
from ..interrupt import whole

VERSIONS: Final = KICKSTART_VERSIONS  # of installers
MAX_BYTES: Final = 1024 * 1024
PACKAGES: Final = "%packages"
CERTIFICATE: Final = "%certificate"
SCRIPTS: Final = ("%pre", "%post", "%traceback", "%pre-install", "%onerror")  # pykickstart's kinds
_MARK: Final = b"\xef\xbb\xbf"  # of UTF-8
FETCHED: Final = "%ksappend"  # pykickstart replaces it by what it fetches, before it parses
_UNREAD: Final = ("%addon", "%anaconda")  # sections that mean something to Anaconda alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A kickstart that was understood. Sections and what is not seen are (line, words)."""

    name: str
    version: str
    handler: Any  # pykickstart's, of one version
    sections: tuple[tuple[int, str], ...] = ()  # of packages, and those that are not read
    hidden: tuple[tuple[int, str], ...] = ()  # %include and %ksappend, and what they name
    commands: tuple[tuple[int, str], ...] = field(default=())  # as written

    def line_of(self, *words: str) -> tuple[int, str] | None:
        """Return line and word of the first of some commands or sections that is there."""
        found: list[tuple[int, str]] = [
            *(item for item in self.commands if item[1] in words),
            *(item for item in self.sections if item[1] in words),
            *((s.lineno, SCRIPTS[s.type]) for s in self.handler.scripts
              if SCRIPTS[s.type] in words),
        ]  # fmt: skip
        return min(found) if found else None


def decode(data: bytes, name: str, setting: str | None = None) -> str:
    """Return the text of a kickstart, which is UTF-8 with or without a byte order mark.

    Raises UsageError naming the line of a byte that is not.
    """
    data = data.removeprefix(_MARK)
    if len(data) > MAX_BYTES:
        raise UsageError(f"'{name}' is too large for a kickstart", setting=setting)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"'{name}', line {line}: the byte 0x{data[error.start]:02x} is not UTF-8",
            hint="save the file as UTF-8, such as by 'iconv -f latin1 -t utf-8'",
            setting=setting,
        ) from error


def read(path: Path, setting: str | None = None) -> str:
    """Return a kickstart's text. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + len(_MARK) + 1)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}", setting=setting) from error
    return decode(data, str(path), setting)


def text_of(kickstart: Path | KickstartText, setting: str) -> str:
    """Return what a user's kickstart says. Raises UsageError."""
    if isinstance(kickstart, KickstartText):
        return decode(kickstart.text.encode(), kickstart.name, setting)
    return read(kickstart, setting)


@whole  # it takes whatever ends its import, a signal too, for a version that it does not know
def _handler(version: str) -> Any:  # noqa: ANN401 - pykickstart has no types
    before = list(sys.path)
    try:
        return makeVersion(version)
    finally:
        sys.path[:] = before  # it adds its own place to it each time


def parse(
    text: str, version: str, name: str, *, includes: bool = False, setting: str | None = None
) -> Parsed:
    """Parse a kickstart as an installer of that version does. Raises UsageError with the line.

    Includes are followed where that is asked for.
    """
    if version not in VERSIONS:
        raise UsageError(
            f"'{version}' is no version of an installer",
            hint="known are: " + ", ".join(VERSIONS),
            setting="kickstart-version",
        )
    handler = _handler(version)
    parser = _Parser(handler, followIncludes=includes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of commands that go away in later versions
            parser.readKickstartFromString(text)
    except KickstartError as error:
        number = error.lineno or 0
        message = str(error.message).strip()
        hint = f"the installer's version of the language is {version}"
    except RecursionError:
        raise UsageError(
            f"'{name}' includes itself", hint="see its lines with %include", setting=setting
        ) from None
    except ValueError as error:  # of quotes without an end, of an include that is no text
        number, message, hint = parser.lines.number, str(error), "see this line"
    else:
        return Parsed(
            name=name,
            version=version,
            handler=handler,
            sections=tuple(parser.sections),
            hidden=tuple(parser.hidden),
            commands=tuple(parser.commands),
        )
    where = f", line {number}" if number else ""
    raise UsageError(f"'{name}'{where}: {message}", hint=hint, setting=setting)


class _Lines(PutBackIterator):
    """Lines of a file, with the number of the one that was read last."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.number = 0

    def next(self) -> str:
        line = super().next()
        self.number += 1
        return line

    def put(self, s: str) -> None:
        super().put(s)
        self.number -= 1


class _Parser(KickstartParser):
    """pykickstart's parser, which also tells what it steps over."""

    def __init__(self, handler: Any, *, followIncludes: bool) -> None:  # noqa: ANN401, N803
        self.lines = _Lines([])
        self.sections: list[tuple[int, str]] = []
        self.hidden: list[tuple[int, str]] = []
        self.commands: list[tuple[int, str]] = []
        super().__init__(handler, followIncludes=followIncludes)

    def readKickstartFromString(self, s: str, reset: bool = True) -> None:  # noqa: N802
        if reset:
            self._reset()
        lines = s.removeprefix("\ufeff").splitlines(keepends=True)  # of an included file, too
        outer, self.lines = self.lines, _Lines([*lines, ""])
        self._stateMachine(self.lines)
        self.lines = outer

    def setupSections(self) -> None:  # noqa: N802
        super().setupSections()
        self.registerSection(_counted(PackageSection, self)(self.handler))
        for name in _UNREAD:
            self.registerSection(_counted(NullSection, self)(self.handler, sectionOpen=name))
        certificate = self.getSection(CERTIFICATE)
        certificate.__class__ = _counted(type(certificate), self)

    def handleCommand(self, lineno: int, args: list[str]) -> Any:  # noqa: ANN401, N802
        self.commands.append((lineno, args[0]))
        return super().handleCommand(lineno, args)

    def _handleInclude(self, f: str) -> None:  # noqa: N802
        self.hidden.append((self.lines.number, f"%include {f}"))
        super()._handleInclude(f)

    def _isBlankOrComment(self, line: str) -> bool:  # noqa: N802
        words = line.split(maxsplit=1)  # every line comes by here
        if words[:1] == [FETCHED]:
            self.hidden.append((self.lines.number, line.strip()))
        return super()._isBlankOrComment(line)


def _counted(section: type[Section], parser: _Parser) -> type[Section]:
    """Return a kind of section that tells the parser where it begins."""

    class Counted(section):  # type: ignore[misc, valid-type]
        def handleHeader(self, lineno: int, args: list[str]) -> None:  # noqa: N802
            parser.sections.append((lineno, args[0]))
            super().handleHeader(lineno, args)

    return Counted
