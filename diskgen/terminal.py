"""Text for people: whatever an image, a disk or a program says, no terminal obeys it.

A value may hold characters that move the cursor, change colours, begin a line of their own, or
hide and reorder what stands beside them. All such are shown instead, by their numbers. Whatever
leaves for people goes through here; JSON is for programs and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TextIO

# Unicode 15.0, general categories Cc, Cf, Cs, Zl and Zp, and all of Default_Ignorable_Code_Point
# (DerivedCoreProperties.txt): controls, what reorders (UAX #9), what is not seen.
_UNSEEN: Final = (
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C),
    (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
    (0x3164, 0x3164), (0xD800, 0xDFFF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_HARMFUL: Final = re.compile(
    "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _UNSEEN) + "]"
)
# RFC 3986, section 3.2.1; what stands before a digest is a tag. A user alone may be a token.
PASSWORD: Final = re.compile(r"(https?://(?=[^\s/:@]+@)|://[^\s/:@]*:)[^\s/]*@(?!sha256:)")
_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BYTES: Final = range(0xDC80, 0xDD00)  # bytes of names that are no UTF-8: see PEP 383


def visible(value: str) -> str:
    r"""Return a value as part of one line: what a terminal would obey or hide is spelled out.

    ``\n``, ``\x1b`` and ``\u202e`` are how it is spelled; a byte that is no UTF-8 is ``\xff``.
    The password of a URL is masked.
    """
    return _HARMFUL.sub(_spelled, PASSWORD.sub(r"\1***@", value))


def page(lines: Iterable[str]) -> str:
    """Return lines as text. Each stays one line, whatever the values in it hold."""
    return "".join(f"{visible(line)}\n" for line in lines)


def checked(text: str) -> str:
    """Return text of several lines with nothing but its line ends for a terminal to obey."""
    return "\n".join(visible(line) for line in text.split("\n"))


def put(stream: TextIO, text: str) -> None:
    """Write text for people, and write it now; characters the stream lacks are spelled out.

    Raises BrokenPipeError when nobody reads any more.
    """
    encoding = stream.encoding or "utf-8"
    stream.write(checked(text).encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _spelled(match: re.Match[str]) -> str:
    char = match[0]
    number = ord(char)
    if number in _BYTES:
        return f"\\x{number - 0xDC00:02x}"
    if char in _NAMED:
        return _NAMED[char]
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
